"""Times of frames: exactly the stream's, mended only where it has none or they run backwards."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from av.container.input import InputContainer
from av.stream import Stream
from av.video.frame import VideoFrame

_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT: MPEG transport and program streams


def origin_of(container: InputContainer, stream: Stream | None = None) -> Fraction:
    """When the file begins, in seconds on its own clock: what a player shows as 0:00."""
    begins: int | None = container.start_time
    if begins is not None:
        return Fraction(begins, 1_000_000)
    if stream is not None and stream.start_time is not None and stream.time_base is not None:
        return stream.start_time * stream.time_base
    return Fraction(0)


def exactly(seconds: float | Fraction) -> Fraction:
    """What is meant: a Fraction as it is, a float to the microsecond."""
    return seconds if isinstance(seconds, Fraction) else Fraction(seconds).limit_denominator(10**6)


def announced_end(container: InputContainer, stream: Stream) -> Fraction | None:
    """When the last picture ends by the file's own word, in seconds on its clock; None where it says nothing.

    Only what is said of the stream itself counts: the whole file's length may be that of longer sound.
    """
    if stream.duration and stream.time_base is not None:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base
    if "matroska" in container.format.name:
        told = next((value for key, value in stream.metadata.items() if key.upper() == "DURATION"), "")
        if match := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", told.strip()):
            return int(match[1]) * 3600 + int(match[2]) * 60 + Fraction(match[3])
    return None


def has_arbitrary_clock(container: InputContainer) -> bool:
    """The format's clock starts anywhere (a broadcast recording may begin at 26 hours)."""
    return bool(container.format.flags & _TS_DISCONT)


class Clock:
    """Gives each frame its pts: its own, else its dts, else one step after the last; always rising."""

    def __init__(self, time_base: Fraction, rate: Fraction | None, note: Callable[[str], None]) -> None:
        self._step = max(1, round(1 / (rate * time_base))) if rate else 1
        self._note = note
        self._last: int | None = None

    def time_of(self, frame: VideoFrame) -> int:
        """The frame's time in ticks."""
        step = frame.duration or self._step
        pts = frame.pts
        if pts is None:
            if frame.dts is not None and (self._last is None or frame.dts > self._last):
                pts = frame.dts
            else:
                pts = 0 if self._last is None else self._last + step
            self._note("some frames have no time: it was filled in from their order")
        if self._last is not None and pts <= self._last:
            pts = self._last + step
            self._note("some frames' times ran backwards: they were moved behind the frame before")
        self._last = pts
        return pts
