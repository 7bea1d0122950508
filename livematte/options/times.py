"""Times as users write them: ``90``, ``1:30``, ``0:01:30.5`` or, with frames, ``00:00:30:12``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from livematte.errors import UsageError

ALLOWED = "seconds (90), m:ss (1:30), h:mm:ss (0:01:30.5) or h:mm:ss:ff with frames (00:00:30:12)"

LONGEST = 10**9
"""Largest number of seconds, 30 years."""

_CLOCK = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})", re.ASCII)
_FRAMES = re.compile(r"(\d{1,4}):(\d\d):(\d\d)([:;])(\d{2,3})", re.ASCII)


@dataclass(frozen=True)
class FrameLabel:
    """A frame as ``hh:mm:ss:ff``, counted from 00:00:00:00 for the first frame of a video.

    Attributes:
        minutes, seconds, frame: the fields of the label; hours are in ``minutes``.
        drop: True for drop-frame count (``;``), which leaves out labels so that it follows the clock.
    """

    minutes: int
    seconds: int
    frame: int
    drop: bool
    text: str

    def in_seconds(self, name: str, rate: Fraction | None) -> Fraction:
        """Return the time of the frame, a quarter of a frame early: stored times can be rounded.

        Raises:
            UsageError: the rate is unknown, or has fewer frames a second.
        """
        if rate is None:
            raise UsageError(f"{name} {self.text} is invalid: the frame rate is unknown, use seconds")
        per_second = round(rate)
        if self.frame >= per_second:
            raise UsageError(
                f"{name} {self.text} is invalid: at {float(rate):.6g} frames per second, frames are "
                f"00 to {per_second - 1:02}"
            )
        count = (60 * self.minutes + self.seconds) * per_second + self.frame
        if self.drop and per_second % 30 == 0:
            count -= per_second // 15 * (self.minutes - self.minutes // 10)
        return max(Fraction(0), (count - Fraction(1, 4)) / rate)


def parse_time(name: str, value: float | str) -> float | Fraction | FrameLabel:
    """Return seconds, exact for text, or a frame. Numbers up to :data:`LONGEST` are returned unchanged.

    Raises:
        UsageError: it is no time; ``name`` names it.
    """
    if not isinstance(value, str):
        if math.isfinite(value) and value > LONGEST:
            raise UsageError(f"{name} {value:g} is invalid: use up to {LONGEST} seconds")
        return value
    text = value.strip()
    if match := _FRAMES.fullmatch(text):
        hours, minutes, seconds, frame = (int(match[number]) for number in (1, 2, 3, 5))
        if minutes < 60 and seconds < 60:
            return FrameLabel(60 * hours + minutes, seconds, frame, match[4] == ";", text)
    elif match := _CLOCK.fullmatch(text):
        hours, minutes = int(match[1] or 0), int(match[2] or 0)
        seconds_part = Fraction(match[3] if not match[3].endswith(".") else match[3] + "0")
        if (match[1] is None or minutes < 60) and (match[2] is None or seconds_part < 60):
            return 3600 * hours + 60 * minutes + seconds_part
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if number < 0:
        raise UsageError(f"{name} {number:g} is invalid: use 0 or more seconds")
    raise UsageError(f"{name} {value!r} is invalid: use {ALLOWED}")
