"""How the CUDA sources in ``cu/`` come to run on arrays that CuPy holds.

Each source is compiled once for the type of its samples, by NVRTC through CuPy, which keeps the result on
disk. Launches go to CuPy's current device and stream; :func:`on` chooses others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from livematte.device import in_use
from livematte.errors import DeviceError, MissingExtraError
from livematte.frame import Array
from livematte.weights import cache_folder

PARTS: dict[str, tuple[str, ...]] = {
    "alpha": ("guide", "alpha"),
    "blur": ("blur",),
    "colors": ("colors",),
    "composite": ("guide", "composite"),
    "from_rgb": ("from_rgb",),
    "hdr": ("hdr",),
    "regions": ("regions",),
    "resample": ("resample",),
    "temporal": ("temporal",),
    "to_rgb": ("to_rgb",),
}
"""Sources and what each is put together from, after what all share."""

TYPES = {"uint8": "u8", "uint16": "u16", "float32": "f32"}
"""What the sources call them."""

OPTIONS = ("-std=c++17",)

BLOCK = (32, 8)
"""Threads of a block where each makes one sample."""
_LINE = 256
_SPOT = (16, 256)
"""Rows and columns of pixels that a block of 256 threads makes; see ``cu/guide.cu``."""


@lru_cache(maxsize=1)
def cupy() -> Any:
    """The module, with a GPU to work on.

    Raises:
        MissingExtraError: it is not installed.
        DeviceError: it finds no GPU that it can use.
    """
    folder = cache_folder("cupy")
    if folder is not None:
        os.environ.setdefault("CUPY_CACHE_DIR", str(folder))  # else ~/.cupy
    try:
        import cupy as module
    except ImportError:
        raise MissingExtraError("keeping pictures on an NVIDIA GPU", "cuda") from None
    try:
        module.cuda.runtime.getDeviceCount()
    except Exception as error:  # of a class that CuPy does not name in public
        raise DeviceError(f"CuPy can use no GPU here: {error} (--device cpu runs without)") from None
    return module


def on_gpu(array: object) -> bool:
    """Whether ``array`` is one of CuPy's. Imports nothing."""
    return type(array).__module__.partition(".")[0] == "cupy"


def source(name: str, sample: str = "uint8", rgb: str = "uint8") -> str:
    """The text of a source.

    Args:
        name: a key of :data:`PARTS`.
        sample, rgb: what ``T`` and ``S`` are in it, keys of :data:`TYPES`.
    """
    folder = resources.files("livematte.kernels") / "cu"
    shared, *parts = (
        (folder / f"{part}.cu").read_text(encoding="utf-8") for part in ("shared", *PARTS[name])
    )
    return "\n".join([shared, f"typedef {TYPES[sample]} T;\ntypedef {TYPES[rgb]} S;", *parts])


@lru_cache(maxsize=256)
def _kernel(device: int, name: str, kernel: str, sample: str, rgb: str) -> Any:
    return _module(device, name, sample, rgb).get_function(kernel)


@lru_cache(maxsize=64)
def _module(device: int, name: str, sample: str, rgb: str) -> Any:
    module = cupy().RawModule(code=source(name, sample, rgb), options=OPTIONS)
    try:
        module.compile()
    except Exception as error:  # CuPy has several kinds of its own
        raise _not_compiled(f"the GPU's kernels {name!r}", error) from error
    return module


def _not_compiled(what: str, error: Exception) -> DeviceError:
    why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return DeviceError(
        f"cannot compile {what}: {why}; does CuPy fit the driver's CUDA? (--device cpu runs without)"
    )


def check_kernels(device: int) -> None:
    """Compile one of the sources, and one of CuPy's own, which needs CUDA's headers: wheels bring neither the
    compiler nor these.

    Raises:
        MissingExtraError, DeviceError: as :func:`cupy`; or one cannot be compiled.
    """
    with on(device=device):
        _module(device, "resample", "uint8", "uint8")
        try:
            empty((1,), np.float32) * np.float32(1)
        except Exception as error:  # as above
            raise _not_compiled("what CuPy makes itself", error) from error


@contextmanager
def on(stream: Any = None, device: int | None = None) -> Iterator[None]:
    """Work and memory in this block are of ``device`` and queued on ``stream``.

    Args:
        stream: CuPy's, torch's (``torch.cuda.Stream``), or the address of one; None for the current one.
        device: index of a GPU; None for the current one.
    """
    module = cupy()
    with ExitStack() as stack:
        if device is not None:
            stack.enter_context(_current(module.cuda.runtime, device))
        if stream is not None:
            if not isinstance(stream, (module.cuda.Stream, module.cuda.ExternalStream)):
                address = getattr(stream, "cuda_stream", stream)
                stream = module.cuda.ExternalStream(int(address))
            stack.enter_context(stream)
        yield


@contextmanager
def _current(runtime: Any, device: int) -> Iterator[None]:
    """As CuPy's ``Device``, which would begin to use GPU 0, where threads begin, only to go back to it."""
    before = runtime.getDevice()
    if before != device:
        runtime.setDevice(device)
    try:
        yield
    finally:
        if before != device and in_use(before):
            runtime.setDevice(before)


def current_stream() -> Any:
    """CuPy's, on which work of this thread is queued."""
    return cupy().cuda.get_current_stream()


def from_dlpack(array: Any) -> Array:
    """A device array of any library (a torch tensor, a decoded surface) as CuPy's, sharing its memory.

    Raises:
        DeviceError: it lies in the computer's memory, or cannot be shared.
    """
    if on_gpu(array):
        return array
    if isinstance(array, np.ndarray):
        raise DeviceError("this array is in the computer's memory and not on the GPU: upload it once, before")
    try:
        return cupy().from_dlpack(array)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        kind = type(array).__name__
        raise DeviceError(f"cannot take {kind} over to the GPU's kernels without a copy: {error}") from error


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """A new array on the GPU, not filled."""
    return cupy().empty(shape, dtype)


def whole(array: Array, dtype: Any) -> Array:
    """``array`` as ``dtype``, C-contiguous; itself where it is."""
    return cupy().ascontiguousarray(array, dtype)


def as_plane(array: Array) -> tuple[Any, ...]:
    """What ``PLANE`` takes of an array (h, w, ...): itself, and the stride of rows and of columns in
    samples.
    """
    size = array.itemsize
    if any(stride % size for stride in array.strides):
        array = cupy().ascontiguousarray(array)
    return array, array.strides[0] // size, array.strides[1] // size


def over_samples(
    name: str, kernel: str, size: tuple[int, ...], *arguments: Any, sample: str = "uint8", rgb: str = "uint8"
) -> None:
    """Launch with one thread for each of (h, w) or (n,) samples. ``size`` is given as the last arguments."""
    if len(size) == 1:
        grid, block = (-(-size[0] // _LINE), 1), (_LINE, 1)
    else:
        grid, block = (-(-size[1] // BLOCK[0]), -(-size[0] // BLOCK[1])), BLOCK
    launch(name, kernel, grid, block, (*arguments, *size), sample, rgb)


def over_runs(name: str, kernel: str, size: tuple[int, int], *arguments: Any, sample: str) -> None:
    """Launch with one thread for 8 samples in a row of (h, w). ``size`` is given as the last arguments."""
    grid = (-(-size[1] // (8 * BLOCK[0])), -(-size[0] // BLOCK[1]))
    launch(name, kernel, grid, BLOCK, (*arguments, *size), sample)


def over_spots(name: str, kernel: str, size: tuple[int, int], *arguments: Any, sample: str) -> None:
    """Launch with one thread for 8 x 2 of (h, w) pixels. ``size`` is given as the last arguments."""
    grid = (-(-size[1] // _SPOT[1]), -(-size[0] // _SPOT[0]))
    launch(name, kernel, grid, (_LINE, 1), (*arguments, *size), sample)


def launch(
    name: str,
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
    _kernel(device, name, kernel, sample, rgb)((*grid, 1), (*block, 1), given)


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
