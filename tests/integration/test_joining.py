"""Parts encoded apart and joined, against the same pictures encoded in one go."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livematte.errors import OutputError
from livematte.frame import Frame
from livematte.video.atomic_file import count_playable_frames
from livematte.video.concat import EncodedPart, open_concat
from livematte.video.reader import open_video
from livematte.video.writer import open_sink
from tests import clips


def encoded(source: Path, folder: Path, cuts: list[int], suffix: str, **how: Any) -> list[EncodedPart]:
    """The frames of ``source`` in files of their own, divided before those numbers."""
    with open_video(source) as video:
        frames, info = [(f, f.with_planes(tuple(map(np.array, f.planes)))) for f in video], video.info
    kept: list[Frame] = [copy for _, copy in frames]
    parts = []
    for number, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(kept)], strict=True)):
        sink = open_sink(folder / f"{number}{suffix}", info, **{"start": 0, **how})
        for frame in kept[begin:end]:
            sink.write(frame)
        sink.close()
        parts.append(EncodedPart(Path(sink.path), tuple((f.pts, f.duration) for f in kept[begin:end])))
    return parts


def joined(source: Path, target: Path, parts: list[EncodedPart], **how: Any) -> Any:
    with open_video(source) as video:
        sink = open_concat(target, video.info, **how)
    for part in parts:
        sink.append(part)
    return sink


def pictures(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    with open_video(path) as video:
        return [(f.seconds, np.array(f.planes[0])) for f in video]


CASES = [
    ("mp4", {"codec": "x264", "preset": "medium"}, "yuv420p"), ("mp4", {"codec": "x265"}, "yuv420p10le"),
    ("mkv", {"codec": "x264", "preset": "fast"}, "yuv420p"), ("mkv", {"codec": "ffv1"}, "yuv420p"),
    ("mov", {"codec": "prores"}, "yuv422p10le"), ("webm", {"codec": "vp9", "preset": "8"}, "yuv420p"),
    ("mp4", {"codec": "svt-av1", "preset": "12"}, "yuv420p"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "how", "format"), CASES, ids=[f"{c[1]['codec']}-{c[0]}" for c in CASES])
def test_joined_is_as_written_in_one_go(tmp_path: Path, kind: str, how: Any, format: str) -> None:
    """Uneven times, sound and chapters, whatever the codec stores and in whatever order it codes."""
    pts = [i * 3 + (i % 5 == 2) for i in range(40)]
    source = clips.make_clip(
        tmp_path / "in.mp4", frames=40, pts=pts, time_base=Fraction(1, 90), audio=2, chapters=True,
        format=format, metadata={"title": "Two halves"},
    )  # fmt: skip
    parts = encoded(source, tmp_path, [13, 30], f".{kind}", **how)
    target = tmp_path / f"out.{kind}"
    sink = joined(source, target, parts, copy_streams_from=source, **how)
    sink.close()
    (whole,) = encoded(source, tmp_path, [], f".{kind}", copy_streams_from=source, start=None, **how)
    once, again = pictures(whole.path), pictures(target)
    assert [t for t, _ in again] == [t for t, _ in once]
    if kind in ("mp4", "mov"):  # Matroska rounds, and is late by the sound's lead-in
        assert [t for t, _ in again] == [Fraction(n, 90) for n in pts]
    for (_, a), (_, b) in zip(once, again, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 2 * 4 ** ("10" in format)
    for index in range(2):
        ours, theirs = (clips.packets(path, "audio", index) for path in (target, source))
        if kind == "webm":
            continue  # which holds Opus only
        assert [data for _, data in ours] == [data for _, data in theirs]
    with av.open(str(target)) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == ["first", "second"]
        assert container.metadata["title"] == "Two halves"
        length = container.streams.video[0].duration
        packets = [p for p in container.demux(video=0) if p.size]
    with av.open(str(whole.path)) as container:
        assert container.streams.video[0].duration == length
    told = [p for p in packets if p.dts is not None]  # Matroska stores none
    assert [p.dts for p in told] == sorted({p.dts for p in told})
    assert all(p.dts <= p.pts for p in told)


def test_alpha_comes_through(tmp_path: Path) -> None:
    """Matroska and WebM hold VP9's alpha beside its packets."""
    source = clips.make_clip(tmp_path / "in.mkv", frames=12, format="yuva420p", codec="ffv1")
    how: Any = {"alpha": True, "codec": "vp9", "preset": "8"}
    parts = encoded(source, tmp_path, [6], ".webm", **how)
    joined(source, tmp_path / "out.webm", parts, **how).close()
    with open_video(tmp_path / "out.webm") as video:
        alphas = [np.array(frame.planes[3]) for frame in video]
    assert len(alphas) == 12
    assert all(alpha.max() > 200 and alpha.min() < 100 for alpha in alphas)


def test_what_was_joined_stays_playable(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=20, audio=1)
    parts = encoded(source, tmp_path, [10], ".mp4", codec="x264")
    sink = joined(source, tmp_path / "out.mp4", parts[:1], copy_streams_from=source)
    sink.abort()
    assert count_playable_frames(tmp_path / "out.mp4") == 10
    assert any("first 10 frames" in note for note in sink.notes)
    sink = joined(source, tmp_path / "other.mp4", [])
    with pytest.raises(OutputError, match="10 pictures, expected 9"):
        sink.append(EncodedPart(parts[0].path, parts[0].times[1:]))
    sink.abort()
    assert not (tmp_path / "other.mp4").exists()
