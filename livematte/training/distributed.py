"""Data-parallel training: several processes train one network, each on a part of the batch.

The processes are started by ``livematte train`` or by ``torchrun -m livematte train``. On a machine with two
cores, two processes with one thread each are faster than one process with two threads, because augmentation
and small layers use only one core.
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
    """Rank of this process, number of processes, and their communication."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """True for rank 0, which writes logs and checkpoints."""
        return self.rank == 0

    def device(self, wanted: str) -> torch.device:
        """Return the device of this process: its own GPU if ``wanted`` is ``cuda`` and there are several."""
        if wanted == "cuda" and self.count > 1:
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", self.rank)))
        return torch.device(wanted)

    def local_batch(self, batch: int) -> int:
        """Return the number of pictures that this process computes of a batch."""
        return batch // self.count + (self.rank < batch % self.count)

    def local_places(self, batch: int) -> range:
        """Return the places in a batch of the pictures that this process computes."""
        return range(self.rank, batch, self.count)

    def mean_gradients(self, parameters: Iterable[Tensor], batch: int) -> None:
        """Replace each gradient by its mean over the ``batch`` pictures of all processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        flat *= self.local_batch(batch) / batch
        distributed.all_reduce(flat)
        for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Copy ``tensors`` of rank 0 to all processes, in place."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def any_process(self, here: bool, device: torch.device) -> bool:
        """Return True if ``here`` is True in any process; all processes must call this."""
        if self.count == 1:
            return here
        flag = torch.tensor(here, dtype=torch.int32, device=device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag.item())

    def barrier(self) -> None:
        """Wait until all processes have called this, for instance while rank 0 validates."""
        if self.count > 1:
            distributed.barrier()


def join_process_group(device: str = "cpu") -> ProcessGroup:
    """Join the process group described by the environment, and divide the CPU's threads evenly.

    Gradients are exchanged with gloo between CPU processes and with NCCL between GPUs.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ProcessGroup()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
    backend, rank = "nccl" if device.startswith("cuda") else "gloo", int(os.environ["RANK"])
    if TOGETHER in os.environ:  # with TCP, PyTorch would query the DNS for 127.0.0.1
        store = cast(Any, distributed).FileStore(os.environ[TOGETHER], count)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
    else:
        distributed.init_process_group(backend)
    workers = ProcessGroup(rank, count)
    if device.startswith("cuda"):
        torch.cuda.set_device(workers.device(device))
    return workers
