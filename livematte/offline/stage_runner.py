"""Stages as threads with bounded queues: a full queue blocks its producer; the first exception stops all
upstream stages.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

QUEUE_DEPTH = 3
"""Frames between two stages: enough to bridge a slow frame, few enough for little memory."""


class BoundedQueue(Generic[T]):
    """A bounded queue between two threads that either side can end."""

    def __init__(self, depth: int = QUEUE_DEPTH) -> None:
        self._items: deque[T] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._finished = False
        self._cancelled = False

    def put(self, item: T) -> bool:
        """Wait for room; False after :meth:`cancel`."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._depth or self._cancelled)
            if self._cancelled:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def finish(self) -> None:
        """Called by the producer after its last item; the consumer still gets all queued items."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Called by the consumer to end the queue; queued items are dropped."""
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
    """The working time of a stage without waiting. Written by one thread only."""

    wall: float = 0.0
    frames: int = 0

    def add(self, began: float) -> None:
        """Add one frame that began at ``time.perf_counter()`` = ``began``."""
        self.wall += time.perf_counter() - began
        self.frames += 1


class StageRunner:
    """Runs stages as threads. The first exception stops all upstream stages; the others run to their end."""

    def __init__(self, times: Mapping[str, StageTime]) -> None:
        """Take the object that records the time of each stage."""
        self._threads: list[threading.Thread] = []
        self._queues: list[BoundedQueue[Any]] = []
        self._lock = threading.Lock()
        self.times = times
        self.failure: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Record ``error``, unless there was one before."""
        with self._lock:
            self.failure = self.failure or error

    def queue(self) -> BoundedQueue[Any]:
        """A queue that :meth:`end` cancels, even if its consumer was never started."""
        made: BoundedQueue[Any] = BoundedQueue()
        self._queues.append(made)
        return made

    def start(self, name: str, body: Callable[[], None]) -> None:
        """Run ``body`` in a new thread."""
        thread = threading.Thread(target=body, name=f"livematte-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stage(
        self,
        name: str,
        inbox: BoundedQueue[Any],
        work: Callable[[Any], list[Any]],
        rest: Callable[[], list[Any]] = list,
    ) -> BoundedQueue[Any]:
        """Run ``work`` on every item of ``inbox``, then ``rest`` once. Returns the queue of results."""
        outbox = self.queue()
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
        """Stop all running stages and wait for them."""
        for queue in self._queues:
            queue.cancel()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
