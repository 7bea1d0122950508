"""How far a job is, how fast it goes and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    done: int
    total: int | None
    """Frames expected; None where the container does not say."""
    fps: float
    """Frames a second over the last seconds."""
    eta: float | None
    """Seconds left at that rate."""


class Meter:
    """Turns "one more frame" into a :class:`Progress`, at most ten times a second."""

    def __init__(self, total: int | None, report: Callable[[Progress], None] | None) -> None:
        self._report, self._total = report, total
        self._first = self._last = self._shown = 0.0
        self._done = 0
        self._rate = 0.0

    def __call__(self, done: int) -> None:
        """``done`` frames are written."""
        now = time.monotonic()
        if done == 1:
            self._first = now
        else:
            recent = 1 / max(now - self._last, 1e-6)
            share = min(1.0, max(now - self._last, 1e-6) / 2.0)  # mean over about two seconds
            self._rate = recent if self._rate == 0 else 1 / ((1 - share) / self._rate + share / recent)
        self._last, self._done = now, done
        if self._report is not None and (now - self._shown >= 0.1 or done == self._total):
            self._shown = now
            self._report(self.progress())

    def progress(self) -> Progress:
        """How it stands."""
        left = None
        if self._total is not None and self._rate > 0:
            left = max(self._total - self._done, 0) / self._rate
        return Progress(self._done, self._total, self._rate, left)

    def finished(self) -> Progress:
        """The last word: what there was is all there is, however many the container had promised."""
        return Progress(self._done, self._done, self._rate, 0.0)

    @property
    def fps(self) -> float:
        """The mean over the whole job."""
        return (self._done - 1) / (self._last - self._first) if self._last > self._first else 0.0
