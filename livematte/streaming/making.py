"""Making another model while the present one works on: for another level, or after it broke."""

from __future__ import annotations

import threading
from collections.abc import Callable

from livematte.clock import Clock
from livematte.protocols import LiveFormat
from livematte.streaming.governor import Level
from livematte.streaming.matting import Parts

Maker = Callable[[Level, BaseException | None], Parts]
"""Makes what works at a level; the second argument is what broke the last one, None for a mere change."""

Spawn = Callable[[Callable[[], None]], None]


def in_a_thread(body: Callable[[], None]) -> None:
    """Run ``body`` beside everything else; the process may end without it."""
    threading.Thread(target=body, name="livematte-aside", daemon=True).start()


class Making:
    """At most one model in the making. It is warmed before it is handed out.

    Args:
        pause: seconds before another try after a failure.
        patience: seconds after which a try that hangs is forgotten.
        spawn: runs the work; tests run it at once.
    """

    def __init__(
        self,
        make: Maker,
        format: LiveFormat,
        clock: Clock,
        *,
        pause: float = 2.0,
        patience: float = 60.0,
        spawn: Spawn = in_a_thread,
    ) -> None:
        self._make, self._format, self._clock = make, format, clock
        self._pause, self._patience, self._spawn = pause, patience, spawn
        self._lock = threading.Condition()
        self._running = 0
        self._try = 0
        self._since: float | None = None
        self._not_before = clock.now()
        self._made: tuple[Parts, int] | None = None
        self.error: BaseException | None = None

    @property
    def free(self) -> bool:
        """Whether something may be asked for."""
        with self._lock:
            now = self._clock.now()
            if self._since is not None and now - self._since > self._patience:
                self._since, self._try = None, self._try + 1
            return self._since is None and self._made is None and now >= self._not_before

    def ask(self, level: Level, index: int | None, broke: BaseException | None) -> None:
        """Begin to make ``level``, the ladder's number ``index``; None only prepares it, where ``make`` keeps
        what it made.
        """
        with self._lock:
            self._try += 1
            mine, self._since = self._try, self._clock.now()
            make = self._make
            self._running += 1

        def body() -> None:
            made, error = None, None
            try:
                made = make(level, broke)
                made.warm(self._format)
            except BaseException as failure:
                error = failure
            with self._lock:
                self._running -= 1
                self._lock.notify_all()
                if mine != self._try:
                    return
                self._since, self.error = None, error
                if error is not None or made is None:
                    self._not_before = self._clock.now() + self._pause
                elif index is not None:
                    self._made = made, index

        self._spawn(body)

    def offer(self, make: Maker, parts: Parts) -> None:
        """Parts that were made elsewhere, for the best level, and how to make the others."""
        with self._lock:
            self._try += 1
            self._make, self._since, self._made = make, None, (parts, 0)

    def fetch(self) -> tuple[Parts, int] | None:
        """What was made and its number on the ladder; once."""
        with self._lock:
            made, self._made = self._made, None
            return made

    def finish(self, patience: float) -> None:
        """Wait for what is under way, but no longer than ``patience`` seconds.

        A thread that comes back from C++ code while Python ends takes the whole process down.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._running == 0, patience)
