"""Everything that kernels run on: the CPU, the CUDA sources run on the CPU, and a GPU.

Kernels choose by where their arrays are, so a back-end is a way to put arrays somewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from livematte.device import cuda, launch
from livematte.frame import Array, Frame
from livematte.kernels.blur.cuda import _gaussian
from livematte.kernels.hdr.cuda import _tables
from tests.cuda_shim import build, fakecupy


@dataclass(frozen=True)
class Backend:
    """A place for arrays."""

    name: str
    module: Callable[[], Any]
    """Returns a module that has ``asarray``."""

    def __str__(self) -> str:
        return self.name

    def up(self, x: Any) -> Any:
        """Arrays, frames, and tuples of them here, with the strides they have; anything else as it is."""
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
    return x.get() if cuda.on_gpu(x) else x


def definition(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The NumPy definition of an exported kernel."""
    module = import_module(f"{kernel.__module__.rpartition('.')[0]}.reference")
    found: Callable[..., Any] = getattr(module, kernel.__name__)
    return found


CPU = Backend("cpu", lambda: np)
SOURCE = Backend("cuda source", lambda: cuda.cupy())
GPU = Backend("cuda", lambda: cuda.cupy())

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
    caches = (cuda.cupy, launch._kernel, launch._module, _tables, _gaussian)
    with fakecupy.in_place():
        for cache in caches:
            cache.cache_clear()
        try:
            yield backend
        finally:
            for cache in caches:
                cache.cache_clear()
