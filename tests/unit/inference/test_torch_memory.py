"""Torch's cache behind CuPy: a stand-in for each here, the real two on a card."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from livematte.device import choose_device
from livematte.device.cuda import cupy, empty, gpu_scope, on_gpu
from livematte.device.execution import CudaContext
from livematte.errors import DeviceError
from livematte.inference.torch_device import open_torch_device
from livematte.inference.torch_memory import TensorLender, release_memory, share_memory
from livematte.kernels.resize import resize
from tests.cuda_shim import build, fakecupy
from tests.unit.kernels.backends import SOURCE, running


class Cache:
    """Torch's, of the computer's memory: what is out, by address, and whom it was for."""

    def __init__(self) -> None:
        self.out: dict[int, np.ndarray] = {}
        self.asked: list[tuple[int, int, int]] = []
        self.emptied, self.full = 0, False

    def alloc(self, size: int, device: int, stream: int) -> int:
        if self.full:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nOf the allocated")
        memory = np.empty(size, np.uint8)
        self.out[memory.ctypes.data] = memory
        self.asked.append((size, device, stream))
        return memory.ctypes.data

    def delete(self, address: int) -> None:
        del self.out[address]

    def empty(self) -> None:
        self.emptied += 1


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cache]:
    made = Cache()
    monkeypatch.setattr(torch.cuda, "caching_allocator_alloc", made.alloc)
    monkeypatch.setattr(torch.cuda, "caching_allocator_delete", made.delete)
    monkeypatch.setattr(torch.cuda, "empty_cache", made.empty)
    with running(SOURCE):
        yield made


@pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler with fibres in its library")
def test_kernels_work_on_memory_of_torchs_cache_and_give_it_back(cache: Cache) -> None:
    before = cupy().asarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    share_memory()
    share_memory()  # by a second network
    own = fakecupy.ExternalStream(77)
    with gpu_scope(own):
        there = cupy().asarray(np.arange(12, dtype=np.float32).reshape(3, 4))
        assert len(cache.out) == 1 and cache.asked[-1][1:] == (0, 77), "its home is the stream it is used on"
        made = resize(there, 6, 8)
        assert len(cache.out) == 2
    np.testing.assert_array_equal(made.get(stream=own), resize(before, 6, 8).get())
    with gpu_scope(fakecupy.Stream.null):
        assert empty((5,), np.uint8).shape == (5,)
    assert cache.asked[-1][1:] == (0, 0), "CUDA's default stream is torch's, too"
    part = there[1:]
    del there, made
    gc.collect()
    assert len(cache.out) == 1, "a view keeps it"
    del part
    gc.collect()
    assert cache.out == {}


def test_what_is_garbage_in_a_circle_goes_back_as_well(cache: Cache) -> None:
    """As frames are that an error's traceback holds. CuPy's PythonFunctionAllocator would lose them."""
    share_memory()
    frame: dict[str, Any] = {"plane": empty((9, 9), np.uint8)}
    frame["itself"] = frame
    assert len(cache.out) == 1
    del frame
    gc.collect()
    assert cache.out == {}


class Taker:
    """A stream as torch sees it, on which work is done when ``reached`` says so."""

    reached, failed = False, False


class Recorded:
    """An event."""

    def record(self, taker: Taker) -> None:
        if taker.failed:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        self._taker = taker

    def query(self) -> bool:
        return self._taker.reached


def test_what_cupy_works_on_is_torchs_again_when_that_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Recorded)
    taker: Any = Taker()
    with running(SOURCE):
        lent, tensor = TensorLender(), torch.arange(6, dtype=torch.float32).reshape(2, 3)
        array = lent.as_cupy(tensor, taker)
        assert array.tolist() == [[0, 1, 2], [3, 4, 5]] and on_gpu(array)
        assert array.__array_interface__["data"][0] == tensor.data_ptr()
        ours, part = weakref.ref(tensor), array[1:]
        del tensor, array
        other = torch.zeros(3)
        lent.as_cupy(other, None)
        assert part.tolist() == [[3, 4, 5]] and ours() is not None, "a view keeps it"
        del part
        lent.as_cupy(other, None)
        assert ours() is not None, "CuPy's stream has not come so far"
        taker.reached = True
        lent.as_cupy(other, None)
        assert ours() is None


def test_a_gpu_that_has_failed_takes_nothing_else_down_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stream recorded torch throws where C++ can only end the process."""
    monkeypatch.setattr(torch.cuda, "Event", Recorded)
    unraised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraised.append)
    taker: Any = Taker()
    with running(SOURCE):
        lent, tensor = TensorLender(), torch.zeros(3)
        array, ours = lent.as_cupy(tensor, taker), weakref.ref(tensor)
        taker.failed = True
        del tensor, array
        assert ours() is None and unraised == []


def test_memory_that_torch_has_not_is_told_as_cupys_own_is(cache: Cache) -> None:
    share_memory()
    place = CudaContext(0)
    cache.full = True
    told = pytest.raises(DeviceError, match=r"cuda:0 has no room for the frames \(CUDA out of memory")
    with told, place.compute_stream():
        empty((9, 9), np.uint8)


def test_giving_back_what_is_kept_covers_both(cache: Cache) -> None:
    pool: Any = cupy().get_default_memory_pool()
    release_memory(0)
    assert (cache.emptied, pool.given_back) == (1, 1)


def test_without_cupy_torch_keeps_its_memory_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    emptied: list[int] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    cupy.cache_clear()
    share_memory()
    release_memory(0)
    assert emptied == [1]


@pytest.mark.gpu
def test_on_a_card_both_take_from_one_cache() -> None:
    import cupy

    card = open_torch_device(choose_device("cuda:0"), torch.float16)
    card.release_cached()
    before, own = torch.cuda.memory_allocated(0), cupy.get_default_memory_pool().used_bytes()
    with gpu_scope(device=0):
        array = cupy.zeros((1 << 26,), np.uint8)
        assert torch.cuda.memory_allocated(0) - before == 1 << 26
        assert cupy.get_default_memory_pool().used_bytes() == own
        address = array.data.ptr
        del array
        assert torch.cuda.memory_allocated(0) == before
        again = torch.empty(1 << 26, dtype=torch.uint8, device="cuda:0")
        assert again.data_ptr() == address, "torch takes what CuPy has let go of"
    kept = torch.cuda.memory_reserved(0)
    del again
    card.release_cached()
    assert torch.cuda.memory_reserved(0) <= kept - (1 << 26)
