"""Everything that kernels run on, behind one face: the CPU's, the CUDA source run on the CPU, and a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from livematte.frame import Array, Frame
from livematte.kernels import cpu, cuda, cuda_blur, cuda_launch, cuda_windows, fusion, transfer, windows
from tests.cuda_shim import build, fakecupy


@dataclass(frozen=True)
class Backend:
    """Where arrays live, and the modules with the twins of ``cpu``, of ``windows``, and of the two others."""

    name: str
    cpu: ModuleType
    windows: ModuleType
    fusion: ModuleType
    transfer: ModuleType
    module: Callable[[], Any]
    """Whatever has ``asarray``."""

    def __str__(self) -> str:
        return self.name

    def up(self, x: Any) -> Any:
        """Arrays, frames, and tuples of them, on this back-end with the strides they have; what else there is
        stays as it is.
        """
        if isinstance(x, Frame):
            return replace(x, planes=self.up(x.planes))
        if isinstance(x, tuple):
            return tuple(self.up(y) for y in x)
        if not isinstance(x, np.ndarray) or self.name == "cpu":
            return x
        base: Any = x
        while isinstance(base.base, np.ndarray):
            base = base.base
        there = self.module().asarray(np.ascontiguousarray(base))
        if base is x or (base.shape == x.shape and base.strides == x.strides):
            return there
        return self._view(there, base, x)

    def _view(self, there: Array, base: Array, like: Array) -> Array:
        """``like`` is a view of ``base``; the same view of ``there``."""
        if not base.flags.c_contiguous:
            return self.module().asarray(np.ascontiguousarray(like))
        start = like.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        flat = there.reshape(-1)
        if self.name == "cuda":
            from cupy.lib.stride_tricks import as_strided  # type: ignore[import-not-found]

            return as_strided(flat[start // like.itemsize :], like.shape, like.strides)
        bare = flat.view(np.ndarray)
        return np.ndarray(like.shape, like.dtype, bare, start, like.strides).view(fakecupy.ndarray)


def down(x: Any) -> Any:
    """Back in the computer's memory."""
    if isinstance(x, tuple):
        return tuple(down(y) for y in x)
    return x.get() if cuda_launch.on_gpu(x) else x


def _cupy() -> Any:
    return cuda_launch.cupy()


CPU = Backend("cpu", cpu, windows, fusion, transfer, lambda: np)
SOURCE = Backend("cuda source", cuda, cuda_windows, cuda_windows, cuda_windows, _cupy)
GPU = Backend("cuda", cuda, cuda_windows, cuda_windows, cuda_windows, _cupy)

_SOURCE = pytest.param(
    SOURCE, id="cuda-source",
    marks=pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler with fibres in its library"),
)  # fmt: skip
_GPU = pytest.param(GPU, id="cuda", marks=pytest.mark.gpu)

BACKENDS = pytest.mark.parametrize("backend", [pytest.param(CPU, id="cpu"), _SOURCE, _GPU])
ON_GPU = pytest.mark.parametrize("backend", [_SOURCE, _GPU])


@contextmanager
def running(backend: Backend) -> Iterator[Backend]:
    """With the fake of CuPy in place for "cuda source"."""
    if backend is not SOURCE:
        yield backend
        return
    caches = (
        cuda_launch.cupy,
        cuda_launch._kernel,
        cuda_launch._module,
        cuda_windows._tables,
        cuda_blur._gaussian,
    )
    with fakecupy.in_place():
        for cache in caches:
            cache.cache_clear()
        try:
            yield backend
        finally:
            for cache in caches:
                cache.cache_clear()
