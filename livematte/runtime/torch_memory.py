"""One cache of a GPU's memory for torch and CuPy: what one has let go of the other takes.

With a cache each, frames that grew would fail for want of memory that torch keeps for later, and the other
way round. Both give memory back to the stream that it was taken on, so that nothing changes for their users.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import torch

from livematte.errors import LivematteError
from livematte.kernels.cuda_launch import cupy, on


def share_memory() -> None:
    """Let CuPy, where it is, take memory from torch's cache from now on; what it has it keeps till then."""
    try:
        module = cupy()
    except LivematteError:  # frames are the CPU's
        return
    _shared(module)


class _Loan:
    """Some of torch's cache, given back with the last array that lies there.

    CuPy's PythonFunctionAllocator would do that for whole functions, but where arrays are a part of what only
    Python's garbage collector finds, as after an error, it forgets whom to give it back to (CuPy 14).
    """

    __slots__ = ("address",)

    def __init__(self, size: int, device: int, stream: int) -> None:
        self.address = 0
        if size:
            self.address = torch.cuda.caching_allocator_alloc(size, device, stream)

    def __del__(self, ending: Any = sys.is_finalizing) -> None:
        if self.address and not ending():  # torch may be gone before the last array
            torch.cuda.caching_allocator_delete(self.address)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def _shared(module: Any) -> None:
    def take(size: int) -> Any:
        device = module.cuda.runtime.getDevice()
        loan = _Loan(size, device, module.cuda.get_current_stream().ptr)
        return module.cuda.MemoryPointer(module.cuda.UnownedMemory(loan.address, size, loan, device), 0)

    module.cuda.set_allocator(take)


def release_memory(index: int) -> None:
    """Give back what torch and CuPy keep of GPU ``index`` for later."""
    torch.cuda.empty_cache()
    if (module := sys.modules.get("cupy")) is not None:
        with on(device=index):
            module.get_default_memory_pool().free_all_blocks()  # from before the cache was shared
