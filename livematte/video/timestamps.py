"""Timestamps of frames: taken from the stream, repaired only if they are missing or not rising."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av.error
from av.container.input import InputContainer
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.video.container import open_container

_PLAUSIBLE_RATE = 120
"""Frames per second; a higher declared rate is measured."""

_MEASURED_FRAMES = 250

_LATE = 10
"""Seconds on the clock of a file from which on its first time is that of a stream that ran before."""

_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT: MPEG transport and program streams


def as_fraction(number: Fraction | None) -> Fraction | None:
    """Return a rational number of PyAV as a Fraction; None if it is not set.

    PyAV 19 returns its own type instead of :class:`~fractions.Fraction`, and 0 instead of None.
    """
    return Fraction(number.numerator, number.denominator) if number else None


def frame_rate(path: str | Path, stream: VideoStream) -> Fraction | None:
    """Return the average frame rate of a stream of the file ``path``; None if it is not known.

    Browsers record with a clock of milliseconds and declare no rate: FFmpeg then reports 1000 frames a
    second. An implausible rate, or none, is therefore replaced by that of the first frames.
    """
    declared = as_fraction(stream.average_rate or stream.guessed_rate)
    if (declared is not None and declared <= _PLAUSIBLE_RATE) or not Path(path).is_file():
        return declared
    return _measured_rate(path, stream.index) or declared


def _measured_rate(path: str | Path, index: int) -> Fraction | None:
    times: set[int] = set()
    with open_container(path) as container:
        stream = container.streams[index]
        with contextlib.suppress(av.error.FFmpegError, OSError):
            for packet in container.demux(stream):
                if packet.stream_index == index and packet.pts is not None:
                    times.add(packet.pts)
                if len(times) == _MEASURED_FRAMES:
                    break
        time_base = as_fraction(stream.time_base)
    if len(times) < 2 or time_base is None:
        return None
    return ((len(times) - 1) / ((max(times) - min(times)) * time_base)).limit_denominator(100)


def container_start_time(container: InputContainer, stream: Stream | None = None) -> Fraction:
    """Return the start time of the file in seconds on its own clock, which players show as 0:00."""
    begins: int | None = container.start_time
    if begins is not None:
        return Fraction(begins, 1_000_000)
    if stream is not None and stream.start_time is not None and stream.time_base:
        return stream.start_time * stream.time_base
    return Fraction(0)


def exact_seconds(seconds: float | Fraction) -> Fraction:
    """Return a Fraction unchanged, and a float rounded to the microsecond."""
    return seconds if isinstance(seconds, Fraction) else Fraction(seconds).limit_denominator(10**6)


def declared_end(container: InputContainer, stream: Stream) -> Fraction | None:
    """Return the declared end of the stream in seconds on the file's clock; None if it is not declared.

    Uses only the duration of the stream itself: the duration of the file may be that of longer audio.
    """
    if stream.duration and stream.time_base:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base
    if "matroska" in container.format.name:
        declared = next((value for key, value in stream.metadata.items() if key.upper() == "DURATION"), "")
        if match := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", declared.strip()):
            return int(match[1]) * 3600 + int(match[2]) * 60 + Fraction(match[3])
    return None


def has_arbitrary_start(container: InputContainer) -> bool:
    """Return True if the format's clock starts anywhere, e.g. a recording at 26 hours."""
    return bool(container.format.flags & _TS_DISCONT)


def starts_late(container: InputContainer) -> bool:
    """Return True if a recording of a running stream kept its clock: the time before is not part of it.

    MP4 and MOV are excepted: there, an edit list says that nothing is shown until then.
    """
    begins = container_start_time(container)
    return begins > _LATE and not container.format.name.startswith(("mov", "image2"))


class PtsNormalizer:
    """Provides strictly rising pts: the pts of the frame, else its dts, else the previous pts plus a step."""

    def __init__(self, time_base: Fraction, rate: Fraction | None, note: Callable[[str], None]) -> None:
        self._step = max(1, round(1 / (rate * time_base))) if rate else 1
        self._note = note
        self._last: int | None = None

    def normalized_pts(self, frame: VideoFrame) -> int:
        """Return the pts of ``frame`` in ticks."""
        step = frame.duration or self._step
        pts = frame.pts
        if pts is None:
            if frame.dts is not None and (self._last is None or frame.dts > self._last):
                pts = frame.dts
            else:
                pts = 0 if self._last is None else self._last + step
            self._note("some frames have no timestamp: it was derived from their order")
        if self._last is not None and pts <= self._last:
            pts = self._last + step
            self._note("some timestamps were not rising: they were moved after the previous frame")
        self._last = pts
        return pts
