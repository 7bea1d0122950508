"""Compilation and launch of CUDA kernels on CuPy arrays.

Each source is compiled once for each device and sample type, by NVRTC through CuPy, which keeps the result on
disk. Launches go to CuPy's current device and stream; :func:`livematte.device.cuda.gpu_scope` sets both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from livematte.device.cuda import cupy, empty, gpu_scope, on_gpu
from livematte.errors import DeviceError
from livematte.frame import Array

TYPES = {"uint8": "unsigned char", "uint16": "unsigned short", "float32": "float"}
"""NumPy's names of sample types, and those of C++."""

OPTIONS = ("-std=c++17",)

BLOCK = (32, 8)
"""Threads of a block in which each makes one sample."""
_LINE = 256
_PATCHES = (16, 256)
"""Rows and columns of pixels that a block of 256 threads makes in :func:`launch_patches`."""


@dataclass(frozen=True, eq=False)
class CudaSource:
    """CUDA C++ files that are compiled as one text.

    Attributes:
        package: dotted name of the Python package that holds them.
        files: their paths in it, in the order in which they are joined.
    """

    package: str
    files: tuple[str, ...]

    def text(self, sample: str = "uint8", rgb: str = "uint8") -> str:
        """The source code, after the definitions of two types.

        Args:
            sample, rgb: the types ``T`` and ``S`` in it, keys of :data:`TYPES`.
        """
        folder = resources.files(self.package)
        types = f"typedef {TYPES[sample]} T;\ntypedef {TYPES[rgb]} S;"
        return "\n".join([types, *((folder / file).read_text(encoding="utf-8") for file in self.files)])


@lru_cache(maxsize=256)
def _kernel(device: int, source: CudaSource, kernel: str, sample: str, rgb: str) -> Any:
    return _module(device, source, sample, rgb).get_function(kernel)


@lru_cache(maxsize=64)
def _module(device: int, source: CudaSource, sample: str, rgb: str) -> Any:
    module = cupy().RawModule(code=source.text(sample, rgb), options=OPTIONS)
    try:
        module.compile()
    except Exception as error:  # CuPy has several kinds of its own
        raise _compile_error(f"the GPU's kernels {source.files[-1]!r}", error) from error
    return module


def _compile_error(what: str, error: Exception) -> DeviceError:
    why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return DeviceError(
        f"cannot compile {what}: {why}; does CuPy fit the driver's CUDA? (--device cpu runs without)"
    )


def check_compiler(device: int, source: CudaSource) -> None:
    """Compile ``source`` and one kernel of CuPy's own, which needs CUDA's headers.

    Wheels of CuPy bring neither the compiler nor the headers.

    Raises:
        MissingExtraError: CuPy is not installed.
        DeviceError: CuPy finds no GPU that it can use, or one of the two cannot be compiled.
    """
    with gpu_scope(device=device):
        _module(device, source, "uint8", "uint8")
        try:
            empty((1,), np.float32) * np.float32(1)
        except Exception as error:  # as above
            raise _compile_error("what CuPy makes itself", error) from error


def plane_arguments(array: Array) -> tuple[Any, ...]:
    """Arguments for the macro ``PLANE``: an array (h, w, ...), and its row and column strides in samples."""
    size = array.itemsize
    if any(stride % size for stride in array.strides):
        array = cupy().ascontiguousarray(array)
    return array, array.strides[0] // size, array.strides[1] // size


def launch_samples(
    source: CudaSource,
    kernel: str,
    size: tuple[int, ...],
    *arguments: Any,
    sample: str = "uint8",
    rgb: str = "uint8",
) -> None:
    """Launch one thread for each of (h, w) or (n,) samples. ``size`` is passed as the last arguments."""
    if len(size) == 1:
        grid, block = (-(-size[0] // _LINE), 1), (_LINE, 1)
    else:
        grid, block = (-(-size[1] // BLOCK[0]), -(-size[0] // BLOCK[1])), BLOCK
    launch(source, kernel, grid, block, (*arguments, *size), sample, rgb)


def launch_runs(source: CudaSource, kernel: str, size: tuple[int, int], *arguments: Any, sample: str) -> None:
    """Launch one thread for 8 samples in a row of (h, w). ``size`` is passed as the last arguments."""
    grid = (-(-size[1] // (8 * BLOCK[0])), -(-size[0] // BLOCK[1]))
    launch(source, kernel, grid, BLOCK, (*arguments, *size), sample)


def launch_patches(
    source: CudaSource, kernel: str, size: tuple[int, int], *arguments: Any, sample: str
) -> None:
    """Launch one thread for 2 x 8 of (h, w) pixels. ``size`` is passed as the last arguments."""
    grid = (-(-size[1] // _PATCHES[1]), -(-size[0] // _PATCHES[0]))
    launch(source, kernel, grid, (_LINE, 1), (*arguments, *size), sample)


def launch(
    source: CudaSource,
    kernel: str,
    grid: tuple[int, int],
    block: tuple[int, int],
    arguments: tuple[Any, ...],
    sample: str = "uint8",
    rgb: str = "uint8",
) -> None:
    """Queue a kernel. Python's integers become ``int`` and its floats ``float``.

    Raises:
        DeviceError: an array is not on the GPU, or the kernels cannot be compiled.
    """
    device = cupy().cuda.runtime.getDevice()
    given = tuple(_argument(kernel, x) for x in arguments)
    _kernel(device, source, kernel, sample, rgb)((*grid, 1), (*block, 1), given)


def _argument(kernel: str, x: Any) -> Any:
    if on_gpu(x):
        return x
    if isinstance(x, (bool, int, np.integer)):
        return np.int32(x)
    if isinstance(x, (float, np.floating)):
        return np.float32(x)
    raise DeviceError(
        f"{kernel} works on the GPU and was given a {type(x).__name__} that is not there: upload it first"
    )
