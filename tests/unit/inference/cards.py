"""A card for machines without one: torch's CPU tensors behind three queues that lag as far as they may.

What is put into a queue is done only when somebody waits for a later point of that queue. So a wait that is
forgotten shows as a wrong picture each time, which on a real card it would only now and then. What this
cannot show: CUDA's own behaviour, memory, speed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Point = tuple[str, int]


class LazyCard:
    """A :class:`livematte.inference.torch_device.TorchDevice`.

    Args:
        room: pictures a captured graph may take; more are out of memory.
        refuses: what a capture says it cannot hold.
        quick: queues that do at once what they may, as a card does that has nothing else to do.
    """

    kind = "cpu"

    def __init__(self, room: int = 1000, refuses: str = "", quick: tuple[str, ...] = ()) -> None:
        self.room, self.refuses, self.quick = room, refuses, quick
        self.queues: dict[str, list[Callable[[], None]]] = {n: [] for n in ("upload", "compute", "download")}
        self.at = dict.fromkeys(self.queues, 0)
        self.captured: list[int] = []
        self.released = 0
        self.bytes = 64 * 2**30

    def load(self, module):
        return module.to(memory_format=torch.channels_last)

    def zeros(self, shape, dtype):
        return torch.zeros(tuple(shape), dtype=dtype)

    def pinned(self, shape, dtype):
        return torch.zeros(tuple(shape), dtype=dtype)

    def enqueue(self, queue, work):
        self.queues[queue].append(work)
        if queue in self.quick:
            self.synchronize(self.record_event(queue))

    def record_event(self, queue):
        return queue, len(self.queues[queue])

    def wait_event(self, queue, point):
        self.queues[queue].append(lambda: self.synchronize(point))

    def synchronize(self, point):
        queue, end = point
        while self.at[queue] < end:
            work = self.queues[queue][self.at[queue]]
            self.at[queue] += 1
            work()

    def is_done(self, point):
        return self.at[point[0]] >= point[1]

    def import_array(self, array):
        return array

    def export_arrays(self, tensors, point, like):
        assert isinstance(like, torch.Tensor)
        self.synchronize(point)
        return tensors

    def _run(self, run):
        outputs = run()
        if len(outputs[0]) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")
        return outputs

    def warm_up(self, run):
        return self._run(run)

    def capture(self, run):
        if self.refuses:
            raise RuntimeError(self.refuses)
        outputs = tuple(t.clone() for t in self._run(run))
        self.captured.append(len(outputs[0]))

        def replay():
            for kept, new in zip(outputs, run(), strict=True):
                kept.copy_(new)

        return replay, outputs

    def free_bytes(self):
        return self.bytes

    def release_cached(self):
        self.released += 1
