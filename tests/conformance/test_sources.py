"""What every Source of files keeps to, whatever it reads."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from livematte.errors import InputError
from livematte.frame import PIXEL_FORMATS
from livematte.protocols import Source
from livematte.video import open_video
from tests import clips

INPUTS: dict[str, Callable[[Path], Path]] = {
    "h264": lambda at: clips.make_clip(at / "a.mp4", frames=8),
    "vfr": lambda at: clips.make_clip(
        at / "a.mkv", frames=5, pts=[0, 7, 40, 41, 300], time_base=Fraction(1, 1000)
    ),
    "turned": lambda at: clips.make_clip(at / "a.mov", frames=4, rotation=90),
    "odd": lambda at: clips.make_clip(at / "a.webm", codec="libvpx-vp9", frames=4, size=(121, 161)),
    "deep": lambda at: clips.make_clip(at / "a.mp4", codec="libx265", format="yuv420p10le", frames=8),
    "alpha": lambda at: clips.make_clip(at / "a.mov", codec="prores_ks", format="yuva444p10le", frames=3),
    "interlaced": lambda at: clips.make_clip(at / "a.ts", interlaced=True, frames=6),
    "pictures": lambda at: clips.make_pictures(at / "p", frames=3),
    "gif": lambda at: clips.make_gif(at / "a.gif"),
    "photograph": lambda at: clips.make_jpeg(at / "a.jpg", orientation=6),
}


@pytest.fixture(params=sorted(INPUTS))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    return open_video(INPUTS[request.param](tmp_path))


def test_frames_are_as_announced_and_times_rise(source: Source) -> None:
    assert isinstance(source, Source)
    info, last, count = source.info, None, 0
    for frame in source:
        layout = PIXEL_FORMATS[frame.format]
        assert (frame.format, frame.size, frame.time_base) == (
            info.format, (info.height, info.width), info.time_base,
        )  # fmt: skip
        assert frame.color == info.color
        assert len(frame.planes) == 3 + layout.alpha - layout.interleaved
        for index, plane in enumerate(frame.planes):
            assert plane.shape[:2] == (layout.chroma_size(*frame.size) if index in (1, 2) else frame.size)
            assert plane.dtype == (np.uint8 if layout.depth == 8 else np.uint16)
            assert plane.strides[1] == plane.itemsize
            assert plane.strides[0] > 0
            assert int(plane.max()) <= layout.maximum
        assert last is None or frame.pts > last
        last, count = frame.pts, count + 1
    assert count > 0
    assert info.frames is None or abs(info.frames - count) <= 1 or "matroska" in info.details["container"]
    source.close()


def test_reading_is_once_and_closing_is_free(source: Source) -> None:
    next(iter(source))
    source.close()
    source.close()
    with pytest.raises(InputError, match="once"):
        next(iter(source))


def test_details_are_plain_values(source: Source) -> None:
    import json

    assert json.loads(json.dumps(dict(source.info.details))) == dict(source.info.details)
    source.close()
