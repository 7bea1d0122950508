"""Transfers between the computer's memory and an NVIDIA GPU's, and how many bytes they moved.

Whole frames go through :class:`livematte.device.execution.CudaContext`, beside the work on others; what else
crosses is small and goes through :func:`to_gpu` and :func:`to_host`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np

from livematte.device.cuda import cupy, from_dlpack, on_gpu
from livematte.frame import Array, Matte


@dataclass
class TransferStats:
    """Bytes that were transferred.

    Attributes:
        uploaded, downloaded: to GPUs and back.
    """

    uploaded: int = 0
    downloaded: int = 0

    def __sub__(self, other: TransferStats) -> TransferStats:
        return TransferStats(self.uploaded - other.uploaded, self.downloaded - other.downloaded)


_total, _lock = TransferStats(), threading.Lock()


def transfer_stats() -> TransferStats:
    """A copy of the bytes that this process has transferred so far."""
    with _lock:
        return replace(_total)


def count_transfer(uploaded: int = 0, downloaded: int = 0) -> None:
    """Add bytes to :func:`transfer_stats`."""
    with _lock:
        _total.uploaded += uploaded
        _total.downloaded += downloaded


def to_gpu(array: Array) -> Array:
    """``array`` on the current GPU; shared if it is on one, also another library's. Waits for a copy."""
    if not isinstance(array, np.ndarray):
        return from_dlpack(array)
    count_transfer(uploaded=array.nbytes)
    return cupy().asarray(np.ascontiguousarray(array))


def to_host(array: Array) -> Array:
    """Return ``array`` as a NumPy array, without a copy if it is one. Waits for the current stream."""
    if not on_gpu(array):
        return array
    count_transfer(downloaded=array.nbytes)
    return array.get()


def to_same_device(array: Array, like: Array) -> Array:
    """``array`` on the device of ``like``; itself if it is there."""
    if on_gpu(array) == on_gpu(like):
        return array
    return to_gpu(array) if on_gpu(like) else to_host(array)


def matte_to_same_device(matte: Matte, like: Array) -> Matte:
    """Alpha and foreground on the device of ``like``; the extras are left as they are."""
    named = {"alpha": matte.alpha, "foreground": matte.foreground}
    moved = {
        name: to_same_device(values, like)
        for name, values in named.items()
        if values is not None and on_gpu(values) != on_gpu(like)
    }
    return replace(matte, **moved) if moved else matte


def matte_to_host(matte: Matte) -> Matte:
    """All arrays of a matte in the computer's memory."""
    extras = {name: to_host(values) for name, values in matte.extras.items()}
    foreground = None if matte.foreground is None else to_host(matte.foreground)
    return Matte(to_host(matte.alpha), foreground, extras)
