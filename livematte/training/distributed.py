"""Several processes that train one network, each on its share of the batch.

Started by ``livematte train`` itself or by ``torchrun -m livematte train``; alone without them. Two processes
of one thread each use a two-core machine better than one process of two threads, because making a picture and
computing a small layer take one core anyway.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, distributed

from livematte.training import TOGETHER


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    def device(self, wanted: str) -> torch.device:
        """Where this process computes: with several processes and ``cuda``, each on its own GPU."""
        if wanted == "cuda" and self.count > 1:
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", self.rank)))
        return torch.device(wanted)

    def share(self, batch: int) -> int:
        """How many pictures of a batch this process takes."""
        return batch // self.count + (self.rank < batch % self.count)

    def mean_gradients(self, parameters: Iterable[Tensor], batch: int) -> None:
        """Replace every gradient by its mean over the ``batch`` pictures of all processes' shares."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        flat *= self.share(batch) / batch
        distributed.all_reduce(flat)
        for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def same(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's ``tensors``, in place."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def agree(self, here: bool, device: torch.device) -> bool:
        """Whether it is true ``here`` in any of the processes; all of them have to ask."""
        if self.count == 1:
            return here
        flag = torch.tensor(here, dtype=torch.int32, device=device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag.item())

    def wait(self) -> None:
        """Until every process is here: while the first one validates, the others must not run ahead."""
        if self.count > 1:
            distributed.barrier()


def join_process_group(device: str = "cpu") -> ProcessGroup:
    """Join the processes that ``torchrun`` started; each gets its share of the processor's threads.

    Gradients go over gloo between CPU processes and over NCCL between GPUs.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ProcessGroup()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
    backend, rank = "nccl" if device.startswith("cuda") else "gloo", int(os.environ["RANK"])
    if TOGETHER in os.environ:  # over TCP, PyTorch asks the DNS for the name of 127.0.0.1
        store = cast(Any, distributed).FileStore(os.environ[TOGETHER], count)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
    else:
        distributed.init_process_group(backend)
    workers = ProcessGroup(rank, count)
    if device.startswith("cuda"):
        torch.cuda.set_device(workers.device(device))
    return workers
