"""Time, and keeping a pace. The clock is injected everywhere, so that tests need not wait."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """Seconds that only grow, and sleeping by them."""

    def now(self) -> float:
        """Seconds since some moment; monotonic."""
        ...

    def sleep_until(self, when: float, stop: threading.Event | None = None) -> bool:
        """Sleep until :meth:`now` is ``when``, or until ``stop`` is set.

        Returns:
            False where ``stop`` is set.
        """
        ...


class SystemClock:
    """The computer's own monotonic clock; the same as ``time.monotonic``."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep_until(self, when: float, stop: threading.Event | None = None) -> bool:
        """See :class:`Clock`."""
        left = max(0.0, when - self.now())
        if stop is not None:
            return not stop.wait(left)
        time.sleep(left)
        return True


class Pacer:
    """Due times of an output that sends ``rate`` frames a second, exactly, however long it runs.

    Who comes late sends at once, and the grid stays. Who comes later than a whole frame skips what was
    missed, so that frames never come in a burst.

    Attributes:
        lates: times that were met after they were due, by more than a tenth of a frame.
        skips: due times that passed without a frame.
    """

    def __init__(self, rate: Fraction, clock: Clock) -> None:
        if rate <= 0:
            raise ValueError(f"a rate of {rate} frames a second keeps no pace")
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
        """The number of the due time last given, 0 for the first: skipped ones are counted."""
        return self._tick

    def next_due(self) -> float:
        """The next moment to send, on the clock; it may lie up to one frame in the past."""
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
        """Sleep until the next moment to send; False where ``stop`` is set."""
        return self._clock.sleep_until(self.next_due(), stop)

    def _due(self, tick: int) -> float:
        return self._start + float(tick * self._interval)
