"""Stages as threads over short queues: what is ahead waits, the first failure ends what is above it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

QUEUE_DEPTH = 3
"""Frames between two stages: enough to ride out a slow one, few enough to stay small in memory."""


class Channel(Generic[T]):
    """A bounded hand-over between two threads that either side can end."""

    def __init__(self, depth: int = QUEUE_DEPTH) -> None:
        self._items: deque[T] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._finished = False
        self._cancelled = False

    def put(self, item: T) -> bool:
        """Wait for room; False says that nobody reads any more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._depth or self._cancelled)
            if self._cancelled:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def finish(self) -> None:
        """The writer has no more; the reader still gets what is queued."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """The reader wants no more; what is queued is dropped."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._finished or self._cancelled)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


@dataclass
class StageTime:
    """How long a stage worked, waiting left out. Each is written by one thread only."""

    wall: float = 0.0
    frames: int = 0

    def add(self, began: float) -> None:
        """One more frame, begun at ``time.perf_counter()`` = ``began``."""
        self.wall += time.perf_counter() - began
        self.frames += 1


class Pipeline:
    """Stages as threads; the first failure ends what is above it and lets what is below it run out."""

    def __init__(self, times: Mapping[str, StageTime]) -> None:
        """Take where each stage's time is kept."""
        self._threads: list[threading.Thread] = []
        self._channels: list[Channel[Any]] = []
        self._lock = threading.Lock()
        self.times = times
        self.failure: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Remember ``error``, unless there was one before."""
        with self._lock:
            self.failure = self.failure or error

    def channel(self) -> Channel[Any]:
        """A channel that :meth:`end` cancels, even where its reader was never started."""
        made: Channel[Any] = Channel()
        self._channels.append(made)
        return made

    def start(self, name: str, body: Callable[[], None]) -> None:
        """Run ``body`` in a thread of its own."""
        thread = threading.Thread(target=body, name=f"livematte-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stage(
        self,
        name: str,
        inbox: Channel[Any],
        work: Callable[[Any], list[Any]],
        rest: Callable[[], list[Any]] = list,
    ) -> Channel[Any]:
        """Run ``work`` on everything from ``inbox`` and ``rest`` at its end; gives the channel of results."""
        outbox = self.channel()
        clock = self.times[name]

        def body() -> None:
            try:
                for item in inbox:
                    began = time.perf_counter()
                    results = work(item)
                    clock.add(began)
                    if not all(outbox.put(result) for result in results):
                        break
                else:
                    for result in rest():
                        outbox.put(result)
            except BaseException as error:
                self.fail(error)
            finally:
                outbox.finish()
                inbox.cancel()

        self.start(name, body)
        return outbox

    def end(self) -> None:
        """Stop what still runs and wait for it."""
        for channel in self._channels:
            channel.cancel()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
