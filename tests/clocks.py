"""A clock that tests turn by hand."""

from __future__ import annotations

import threading


class FakeClock:
    """Stands still until it is told; sleeping on it moves it on at once, without waiting.

    With ``by_hand`` a sleeper waits until another thread moves the clock with :meth:`advance`.
    """

    def __init__(self, start: float = 100.0, *, by_hand: bool = False) -> None:
        self._now, self._by_hand = start, by_hand
        self._moved = threading.Condition()

    def now(self) -> float:
        with self._moved:
            return self._now

    def advance(self, seconds: float) -> None:
        with self._moved:
            self._now += seconds
            self._moved.notify_all()

    def sleep_until(self, when: float, stop: threading.Event | None = None) -> bool:
        with self._moved:
            if not self._by_hand:
                self._now = max(self._now, when)
            else:  # the stop event does not notify us, so look at it now and then
                while self._now < when and not (stop is not None and stop.is_set()):
                    self._moved.wait(0.01)
        return not (stop is not None and stop.is_set())
