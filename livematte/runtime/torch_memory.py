"""One cache of a GPU's memory for torch and CuPy: what one has let go of the other takes.

With a cache each, frames that grew would fail for want of memory that torch keeps for later, and the other
way round. Both give memory back to the stream that it was taken on, so that nothing changes for their users.
"""

from __future__ import annotations

import sys
from collections import deque
from contextlib import suppress
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


class Lent:
    """Tensors that CuPy works on, as its arrays. Their memory is used again when all is done that CuPy had
    queued by the time that it let go of them.

    ``Tensor.record_stream`` says as much, but where the GPU has failed by then torch ends the process.
    """

    def __init__(self) -> None:
        self._back: deque[tuple[Any, torch.Tensor]] = deque()

    def array(self, tensor: torch.Tensor, taker: torch.cuda.Stream | None) -> Any:
        """``tensor``, contiguous, as CuPy's, for work on ``taker``; None where the caller sees to it."""
        while self._back and self._back[0][0].query():
            self._back.popleft()
        module, dtype = cupy(), str(tensor.dtype).removeprefix("torch.")
        owner = _Use(tensor, taker, self._back)
        memory = module.cuda.UnownedMemory(tensor.data_ptr(), tensor.nbytes, owner, tensor.device.index or 0)
        return module.ndarray(tuple(tensor.shape), dtype, module.cuda.MemoryPointer(memory, 0))

    def done(self) -> None:
        """Nothing is queued any more."""
        self._back.clear()


class _Use:
    """Of a tensor by an array and its views."""

    __slots__ = ("_back", "_taker", "_tensor")

    def __init__(self, tensor: torch.Tensor, taker: torch.cuda.Stream | None, back: deque[Any]) -> None:
        self._tensor, self._taker, self._back = tensor, taker, back

    def __del__(self, ending: Any = sys.is_finalizing) -> None:
        if self._taker is None or ending():
            return
        with suppress(RuntimeError):  # the GPU has failed: nobody will use this memory again
            point = torch.cuda.Event()  # type: ignore[no-untyped-call]
            point.record(self._taker)
            self._back.append((point, self._tensor))


def release_memory(index: int) -> None:
    """Give back what torch and CuPy keep of GPU ``index`` for later."""
    torch.cuda.empty_cache()
    if (module := sys.modules.get("cupy")) is not None:
        with on(device=index):
            module.get_default_memory_pool().free_all_blocks()  # from before the cache was shared
