"""Progress, speed and remaining time of a job."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class FileProgress:
    """Progress of one of many files.

    Attributes:
        name: its main output, relative to the output folder.
        done, total: frames written, and expected; None if the container does not specify it.
    """

    name: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Progress:
    """Progress of a job."""

    done: int
    total: int | None
    """Expected number of frames; None if the container does not specify it."""
    fps: float
    """Frames per second, averaged over about two seconds."""
    eta: float | None
    """Remaining seconds at that rate."""
    files: tuple[FileProgress, ...] = ()
    """The files in work, if there are many."""


class Meter:
    """Measures the frame rate and reports a :class:`Progress` at most ten times per second.

    Args:
        files: returns the files in work.
    """

    def __init__(
        self, total: int | None, report: Callable[[Progress], None] | None,
        files: Callable[[], tuple[FileProgress, ...]] = tuple,
    ) -> None:  # fmt: skip
        self._report, self._total, self._files = report, total, files
        self._first = self._last = self._shown = 0.0
        self._done = self._before = 0
        self._rate = 0.0

    def __call__(self, done: int) -> None:
        """Record that ``done`` frames are written; several may have come since the last call."""
        now = time.monotonic()
        if self._last == 0.0:
            self._first, self._last, self._before = now, now, done
        elif done > self._done:
            taken = max(now - self._last, 1e-6)
            recent = (done - self._done) / taken
            share = min(1.0, taken / 2.0)  # mean over about two seconds
            self._rate = recent if self._rate == 0 else 1 / ((1 - share) / self._rate + share / recent)
            self._last = now
        self._done = done
        if self._report is not None and (now - self._shown >= 0.1 or done == self._total):
            self._shown = now
            self._report(self.progress())

    def progress(self) -> Progress:
        """Return the current progress."""
        left = None
        if self._total is not None and self._rate > 0:
            left = max(self._total - self._done, 0) / self._rate
        return Progress(self._done, self._total, self._rate, left, self._files())

    def finished(self) -> Progress:
        """Return the final progress. The total is the number of frames written."""
        return Progress(self._done, self._done, self._rate, 0.0)

    @property
    def fps(self) -> float:
        """Mean frames per second of the whole job."""
        return (self._done - self._before) / (self._last - self._first) if self._last > self._first else 0.0
