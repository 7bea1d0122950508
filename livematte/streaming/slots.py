"""Between live threads: a slot for the newest item, and a thread that can be given up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from livematte.clock import Clock

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds one item; a newer one takes its place. What is taken is never old, and nothing piles up."""

    def __init__(self) -> None:
        self._item: T | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Leave an item and go on at once; whether an older one was thrown away for it."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            self._changed.notify()
            return replaced

    def take(self, timeout: float | None = None) -> T | None:
        """Wait for an item; None says that no more will come, or that none came in ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """End every wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Worker(Generic[T]):
    """A stage's thread, which takes items from a slot. Where one hangs in C nothing can stop it: it is given
    up, whatever it brings later is thrown away, and another takes its place.

    Args:
        work: handles one item; gets the worker, to look at :attr:`given_up` before it hands anything on.
    """

    def __init__(self, name: str, inbox: Slot[T], work: Callable[[T, Worker[T]], None], clock: Clock) -> None:
        self.given_up = False
        self._inbox, self._work, self._clock = inbox, work, clock
        self._busy_since: float | None = None
        self.thread = threading.Thread(target=self._body, name=f"livematte-{name}", daemon=True)

    def busy(self) -> float:
        """Seconds that it has worked on one item by now; 0 while it waits."""
        since = self._busy_since
        return 0.0 if since is None else self._clock.now() - since

    def _body(self) -> None:
        while not self.given_up and (item := self._inbox.take()) is not None:
            self._busy_since = self._clock.now()
            self._work(item, self)
            self._busy_since = None
