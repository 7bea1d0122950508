"""What every Sink to files keeps to, whatever it writes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from livematte.errors import OutputError
from livematte.frame import PIXEL_FORMATS, ColorInfo, Frame
from livematte.protocols import Sink, SourceInfo
from livematte.video import open_sink, open_video

TARGETS = ["a.mp4", "a.m4v", "a.mov", "a.mkv", "a.webm", "frames/%03d.png"]


def debug_view_info(format: str) -> SourceInfo:
    color = ColorInfo("rgb", True) if PIXEL_FORMATS[format].rgb else ColorInfo("bt709", False, 1, 1, 1, 1)
    return SourceInfo("test", 96, 128, format, Fraction(1, 1000), Fraction(25), color=color)


def frames(info: SourceInfo, times: list[int]) -> list[Frame]:
    layout = PIXEL_FORMATS[info.format]
    dtype = np.uint8 if layout.depth == 8 else np.uint16
    small = layout.chroma_size(info.height, info.width)
    made = []
    for time in times:
        planes = [np.full((info.height, info.width), layout.maximum // 3, dtype)]
        if layout.gray:
            pass
        elif layout.interleaved:
            planes.append(np.full((*small, 2), 128, dtype))
        else:
            planes += [np.full(small, (layout.maximum + 1) // 2, dtype) for _ in range(2)]
        if layout.alpha:
            planes.append(np.full((info.height, info.width), layout.maximum, dtype))
        made.append(Frame(tuple(planes), info.format, time, info.time_base, 40, info.color))
    return made


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("format", sorted(PIXEL_FORMATS))
def test_every_frame_format_is_taken(tmp_path: Path, target: str, format: str) -> None:
    info = debug_view_info(format)
    sink = open_sink(tmp_path / target, info)
    assert isinstance(sink, Sink)
    for frame in frames(info, [0, 40, 80]):
        sink.write(frame)
    sink.close()
    made = list(open_video(tmp_path / target))
    assert len(made) == sink.frames == 3
    top, given = made[0].pixel_format.maximum, PIXEL_FORMATS[format]
    if made[0].color.matrix == info.color.matrix:
        level = int(made[1].planes[0][50, 50]) / top
        assert level == pytest.approx(given.maximum // 3 / given.maximum, abs=0.02)


@pytest.mark.parametrize("target", TARGETS[:-1])
def test_times_are_kept_and_must_rise(tmp_path: Path, target: str) -> None:
    info = debug_view_info("yuv420p")
    times = [0, 10, 13, 400, 401, 2000]
    sink = open_sink(tmp_path / target, info)
    for frame in frames(info, times):
        sink.write(frame)
    with pytest.raises(OutputError, match="must rise"):
        sink.write(frames(info, [2000])[0])
    with pytest.raises(OutputError, match="time base is 1/90000 s, expected 1/1000 s"):
        sink.write(frames(replace(info, time_base=Fraction(1, 90000)), [180000])[0])
    sink.close()
    assert [frame.seconds * 1000 for frame in open_video(tmp_path / target)] == times


@pytest.mark.parametrize("target", TARGETS)
def test_frames_are_copied_when_written(tmp_path: Path, target: str) -> None:
    info = debug_view_info("yuv444p")
    (frame,) = frames(info, [0])
    sink = open_sink(tmp_path / target, info)
    sink.write(frame)
    for plane in frame.planes:
        plane[...] = 0
    sink.close()
    (made,) = open_video(tmp_path / target)
    assert int(made.planes[0].mean()) > 60


@pytest.mark.parametrize("target", TARGETS)
def test_closing_and_aborting_twice_is_free(tmp_path: Path, target: str) -> None:
    info = debug_view_info("yuv420p")
    for first, second in (("close", "abort"), ("abort", "close")):
        sink = open_sink(tmp_path / target, info)
        sink.write(frames(info, [0])[0])
        getattr(sink, first)()
        getattr(sink, second)()
    assert not list(tmp_path.rglob("*rendering*"))


@pytest.mark.parametrize("target", TARGETS[:-1])
def test_a_frame_of_another_size_is_refused(tmp_path: Path, target: str) -> None:
    info = debug_view_info("yuv420p")
    sink = open_sink(tmp_path / target, info)
    with pytest.raises(OutputError, match="expected"):
        sink.write(frames(replace(info, width=130), [0])[0])
    sink.abort()
    assert list(tmp_path.iterdir()) == []
