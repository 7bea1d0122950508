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


@lru_cache(maxsize=1)
def _shared(module: Any) -> None:
    def take(size: int, device: int) -> int:
        stream = module.cuda.get_current_stream().ptr
        address: int = torch.cuda.caching_allocator_alloc(size, device, stream)
        return address

    def give_back(address: int, device: int, ending: Any = sys.is_finalizing) -> None:
        if not ending():  # torch may be gone before the last array
            torch.cuda.caching_allocator_delete(address)  # type: ignore[no-untyped-call]

    module.cuda.set_allocator(module.cuda.PythonFunctionAllocator(take, give_back).malloc)


def release_memory(index: int) -> None:
    """Give back what torch and CuPy keep of GPU ``index`` for later."""
    torch.cuda.empty_cache()
    if (module := sys.modules.get("cupy")) is not None:
        with on(device=index):
            module.get_default_memory_pool().free_all_blocks()  # from before the cache was shared
