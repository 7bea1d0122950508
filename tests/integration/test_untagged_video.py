"""Video without colour tags: read as players do, by width and height, and written with tags."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from livematte.kernels.convert import to_rgb
from livematte.video import open_sink, open_video
from tests import clips

UNTAGGED = (2, 2, 2, 0)

OUTPUTS = [
    ("x264", "o.mp4"), ("x264", "o.mkv"), ("x265", "o.mov"), ("vp9", "o.webm"), ("prores", "o.mov"),
    ("ffv1", "o.mkv"), ("svt-av1", "o.mp4"),
]  # fmt: skip

SIZES = {
    (480, 720): (6, 6, 6), (576, 720): (5, 5, 6), (360, 640): (6, 1, 1), (64, 1280): (1, 1, 1),
    (720, 96): (1, 1, 1),
}  # fmt: skip
"""Matrix, primaries and transfer (AVColorSpace etc.) by (height, width)."""


def copy(path: Path, target: Path, codec: str) -> None:
    with open_video(path) as source:
        sink = open_sink(target, source.info, codec=codec)
        for frame in source:
            sink.write(frame)
        sink.close()


def stored_tags(path: Path) -> tuple[int, ...]:
    """Return matrix, primaries, transfer and range of the container or of the first frame."""
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        frame = next(container.decode(video=0))
        given = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        seen = (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)
    return tuple(int(b) if int(b) not in (0, 2) or index == 3 else int(a)
                 for index, (a, b) in enumerate(zip(given, seen, strict=True)))  # fmt: skip


@pytest.mark.parametrize(("codec", "name"), OUTPUTS)
def test_a_guess_is_written_as_tags(tmp_path: Path, codec: str, name: str) -> None:
    size = (480, 720)
    path = clips.make_clip(tmp_path / "in.mkv", tags=UNTAGGED, size=size, frames=2)
    copy(path, tmp_path / name, codec)
    assert stored_tags(tmp_path / name) == (*SIZES[size], 1)


@pytest.mark.parametrize("size", SIZES)
def test_tags_follow_width_and_height(tmp_path: Path, size: tuple[int, int]) -> None:
    path = clips.make_clip(tmp_path / "in.mp4", tags=UNTAGGED, size=size, frames=2)
    copy(path, tmp_path / "o.mp4", "x264")
    assert stored_tags(tmp_path / "o.mp4") == (*SIZES[size], 1)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video", "libvpx-vp9", "ffv1"])
def test_colours_stay_through_reading_and_writing(tmp_path: Path, codec: str) -> None:
    path = clips.make_clip(tmp_path / "in.mkv", codec=codec, tags=UNTAGGED, size=(64, 1280), frames=2)
    with open_video(path) as source:
        assert source.info.color.matrix == "bt709" and source.info.color.matrix_tag == 2
        before = to_rgb(next(iter(source))).astype(int)
    copy(path, tmp_path / "o.mkv", "x264")
    with open_video(tmp_path / "o.mkv") as source:
        assert source.info.color.matrix_tag == 1
        assert np.abs(to_rgb(next(iter(source))).astype(int) - before).mean() < 2


def test_tags_of_the_source_are_not_replaced(tmp_path: Path) -> None:
    path = clips.make_clip(tmp_path / "in.mp4", tags=(6, 6, 6, 1), size=(720, 96), frames=2)
    copy(path, tmp_path / "o.mp4", "x264")
    assert stored_tags(tmp_path / "o.mp4") == (6, 6, 6, 1)
