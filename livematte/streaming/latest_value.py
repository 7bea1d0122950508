"""Latest-value hand-over between live threads, and a stage's thread that can be replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from livematte.clock import Clock

T = TypeVar("T")


class LatestValue(Generic[T]):
    """Holds at most one item, the latest. A consumer never gets an old item, and there is no queue."""

    def __init__(self) -> None:
        self._item: T | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Store an item without waiting; True if it replaced one that nobody had taken."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            self._changed.notify()
            return replaced

    def take(self, timeout: float | None = None) -> T | None:
        """Wait for an item; None after :meth:`close`, or if none comes in ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """End every wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class StageThread(Generic[T]):
    """The thread of a stage, which takes items from a :class:`LatestValue`.

    A thread that hangs in C code cannot be stopped: :attr:`given_up` is set, its later results are discarded,
        and
    another thread replaces it.

    Args:
        work: handles one item; it also gets this object, to check :attr:`given_up` before it passes a result
            on.
    """

    def __init__(
        self, name: str, inbox: LatestValue[T], work: Callable[[T, StageThread[T]], None], clock: Clock
    ) -> None:
        self.given_up = False
        self._inbox, self._work, self._clock = inbox, work, clock
        self._busy_since: float | None = None
        self.thread = threading.Thread(target=self._body, name=f"livematte-{name}", daemon=True)

    def busy(self) -> float:
        """Seconds spent on the present item; 0 while the thread waits."""
        since = self._busy_since
        return 0.0 if since is None else self._clock.now() - since

    def _body(self) -> None:
        while not self.given_up and (item := self._inbox.take()) is not None:
            self._busy_since = self._clock.now()
            self._work(item, self)
            self._busy_since = None
