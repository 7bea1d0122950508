"""One GPU memory cache for torch and CuPy: memory released by one is available to the other.

With separate caches, frames could run out of memory that torch keeps cached, and vice versa. Both libraries
return memory to the stream it was allocated on, so their users notice no difference.
"""

from __future__ import annotations

import sys
from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import Any

import torch

from livematte.device.cuda import cupy, gpu_scope
from livematte.errors import LivematteError


def share_memory() -> None:
    """Make CuPy, if installed, allocate from torch's cache from now on. Existing memory is kept."""
    try:
        module = cupy()
    except LivematteError:  # frames are on the CPU
        return
    _install_allocator(module)


class _TorchAllocation:
    """A block of torch's cache that is freed with the last array that uses it.

    CuPy's PythonFunctionAllocator also calls back on release, but if arrays are freed by the garbage
    collector, e.g. after an error, it loses the callback (CuPy 14).
    """

    __slots__ = ("address",)

    def __init__(self, size: int, device: int, stream: int) -> None:
        self.address = 0
        if size:
            self.address = torch.cuda.caching_allocator_alloc(size, device, stream)

    def __del__(self, is_finalizing: Any = sys.is_finalizing) -> None:
        if self.address and not is_finalizing():  # torch may be unloaded before the last array
            torch.cuda.caching_allocator_delete(self.address)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def _install_allocator(module: Any) -> None:
    def allocate(size: int) -> Any:
        device = module.cuda.runtime.getDevice()
        allocation = _TorchAllocation(size, device, module.cuda.get_current_stream().ptr)
        return module.cuda.MemoryPointer(
            module.cuda.UnownedMemory(allocation.address, size, allocation, device), 0
        )

    module.cuda.set_allocator(allocate)


class TensorLender:
    """Exports tensors as CuPy arrays.

    The memory is reused after all work that CuPy had queued when it released the array.
    ``Tensor.record_stream`` does the same, but terminates the process if the GPU failed before.
    """

    def __init__(self) -> None:
        self._returned: deque[tuple[Any, torch.Tensor]] = deque()

    def as_cupy(self, tensor: torch.Tensor, consumer: torch.cuda.Stream | None) -> Any:
        """Return a contiguous ``tensor`` as a CuPy array for ``consumer`` (None: the caller waits)."""
        while self._returned and self._returned[0][0].query():
            self._returned.popleft()
        module, dtype = cupy(), str(tensor.dtype).removeprefix("torch.")
        owner = _TensorOwner(tensor, consumer, self._returned)
        memory = module.cuda.UnownedMemory(tensor.data_ptr(), tensor.nbytes, owner, tensor.device.index or 0)
        return module.ndarray(tuple(tensor.shape), dtype, module.cuda.MemoryPointer(memory, 0))

    def clear(self) -> None:
        """Release all returned tensors. Call this only when no work is queued."""
        self._returned.clear()


class _TensorOwner:
    """Keeps a tensor alive while a CuPy array or one of its views uses it."""

    __slots__ = ("_consumer", "_returned", "_tensor")

    def __init__(
        self, tensor: torch.Tensor, consumer: torch.cuda.Stream | None, returned: deque[Any]
    ) -> None:
        self._tensor, self._consumer, self._returned = tensor, consumer, returned

    def __del__(self, is_finalizing: Any = sys.is_finalizing) -> None:
        if self._consumer is None or is_finalizing():
            return
        with suppress(RuntimeError):  # the GPU has failed: this memory is not reused
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(self._consumer)
            self._returned.append((event, self._tensor))


def release_memory(index: int) -> None:
    """Release the memory of GPU ``index`` that torch and CuPy keep cached."""
    torch.cuda.empty_cache()
    if (module := sys.modules.get("cupy")) is not None:
        with gpu_scope(device=index):
            module.get_default_memory_pool().free_all_blocks()  # allocated before the cache was shared
