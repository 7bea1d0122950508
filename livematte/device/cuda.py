"""CuPy's arrays, streams and current device, behind functions that import CuPy only when it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from livematte.cache import cache_folder
from livematte.device.driver import in_use
from livematte.errors import DeviceError, MissingExtraError
from livematte.frame import Array


@lru_cache(maxsize=1)
def cupy() -> Any:
    """The module ``cupy``, once it was seen to find a GPU.

    Raises:
        MissingExtraError: it is not installed.
        DeviceError: it finds no GPU that it can use.
    """
    folder = cache_folder("cupy")
    if folder is not None:
        os.environ.setdefault("CUPY_CACHE_DIR", str(folder))  # CuPy's default is ~/.cupy
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
    """True if ``array`` is a CuPy array. Imports nothing."""
    return type(array).__module__.partition(".")[0] == "cupy"


@contextmanager
def gpu_scope(stream: Any = None, device: int | None = None) -> Iterator[None]:
    """Allocate on ``device`` and queue work on ``stream`` inside this block.

    Args:
        stream: CuPy's, torch's (``torch.cuda.Stream``), or the address of one; None for the current one.
        device: index of a GPU; None for the current one.
    """
    module = cupy()
    with ExitStack() as stack:
        if device is not None:
            stack.enter_context(_current_device(module.cuda.runtime, device))
        if stream is not None:
            if not isinstance(stream, (module.cuda.Stream, module.cuda.ExternalStream)):
                address = getattr(stream, "cuda_stream", stream)
                stream = module.cuda.ExternalStream(int(address))
            stack.enter_context(stream)
        yield


@contextmanager
def _current_device(runtime: Any, device: int) -> Iterator[None]:
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
    """The CuPy stream on which work of this thread is queued."""
    return cupy().cuda.get_current_stream()


def from_dlpack(array: Any) -> Array:
    """A device array of any library (a torch tensor, a decoded surface) as a CuPy array sharing its memory.

    Raises:
        DeviceError: it is in the computer's memory, or cannot be shared.
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
    """A new array on the current GPU, not initialised."""
    return cupy().empty(shape, dtype)


def contiguous(array: Array, dtype: Any) -> Array:
    """A CuPy ``array`` as ``dtype`` and C-contiguous; itself if it is so already."""
    return cupy().ascontiguousarray(array, dtype)
