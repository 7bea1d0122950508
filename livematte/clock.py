"""Clock and frame pacing. The clock is injected everywhere, so that tests need not wait."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """A monotonic clock in seconds, with a sleep function."""

    def now(self) -> float:
        """Return monotonic seconds since an arbitrary epoch."""
        ...

    def sleep_until(self, when: float, stop: threading.Event | None = None) -> bool:
        """Sleep until :meth:`now` reaches ``when`` or ``stop`` is set.

        Returns:
            False if ``stop`` is set.
        """
        ...


class SystemClock:
    """The system's monotonic clock (``time.monotonic``)."""

    def now(self) -> float:
        """Return monotonic seconds since an arbitrary epoch."""
        return time.monotonic()

    def sleep_until(self, when: float, stop: threading.Event | None = None) -> bool:
        """See :class:`Clock`."""
        left = max(0.0, when - self.now())
        if stop is not None:
            return not stop.wait(left)
        time.sleep(left)
        return True


class Pacer:
    """Deadlines of an output that sends ``rate`` frames per second, without drift.

    A late frame is sent immediately; later deadlines do not shift. A frame that is late by a whole interval
    or more skips the missed deadlines, so frames are never sent in a burst.

    Attributes:
        lates: number of deadlines that were missed by more than a tenth of an interval.
        skips: number of deadlines that passed without a frame.
    """

    def __init__(self, rate: Fraction, clock: Clock) -> None:
        if rate <= 0:
            raise ValueError(f"rate {rate} is invalid: use more than 0 frames per second")
        self._interval, self._clock = 1 / Fraction(rate), clock
        self._start = clock.now()
        self._tick = -1
        self.lates = self.skips = 0

    @property
    def interval(self) -> float:
        """Seconds between two frames."""
        return float(self._interval)

    @property
    def tick(self) -> int:
        """Index of the last deadline, 0 for the first. Skipped deadlines are counted."""
        return self._tick

    def next_due(self) -> float:
        """Return the next deadline in clock seconds. It can be up to one interval in the past."""
        now = self._clock.now()
        self._tick += 1
        behind = now - self._due(self._tick)
        if behind >= self.interval:
            skipped = int(behind / self.interval)
            self.skips += skipped
            self._tick += skipped
        if now - self._due(self._tick) > 0.1 * self.interval:
            self.lates += 1
        return self._due(self._tick)

    def wait(self, stop: threading.Event | None = None) -> bool:
        """Sleep until the next deadline. Return False if ``stop`` is set."""
        return self._clock.sleep_until(self.next_due(), stop)

    def _due(self, tick: int) -> float:
        return self._start + float(tick * self._interval)
