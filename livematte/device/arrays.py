"""Arrays of NumPy, CuPy and torch: which library one belongs to, and conversion from one to another."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from livematte.device.choice import Device
from livematte.frame import Array


def is_numpy(array: Array) -> bool:
    """True if ``array`` is a NumPy array, so on the CPU."""
    return type(array).__module__ == "numpy"


def namespace(array: Array) -> Any:
    """The module whose functions take ``array``: numpy, cupy or torch."""
    return import_module(type(array).__module__.partition(".")[0])


def to_torch(array: Array, device: Device) -> Array:
    """A NumPy or CuPy ``array`` as a torch tensor on ``device``, sharing memory if possible."""
    import torch

    if isinstance(array, torch.Tensor):
        return array.to(str(device), non_blocking=True)
    if is_numpy(array):  # torch has no negative strides, and no read-only tensors
        unfit = not array.flags.writeable or any(stride < 0 for stride in array.strides)
        whole = array.copy() if unfit else array
        tensor = torch.from_numpy(whole)
    else:
        tensor = torch.utils.dlpack.from_dlpack(array)
    return tensor.to(str(device), non_blocking=True)


def to_numpy(array: Array) -> Array:
    """A torch, CuPy or NumPy ``array`` as a NumPy array of the same shape and dtype on the CPU."""
    if is_numpy(array):
        return array
    if hasattr(array, "detach"):
        return array.detach().cpu().numpy()
    return array.get()


def from_numpy(array: Array, like: Array) -> Array:
    """NumPy's ``array`` on the device of ``like``: itself, a torch tensor, or a CuPy array."""
    if is_numpy(like):
        return array
    if hasattr(like, "detach"):
        return namespace(like).from_numpy(array).to(like.device)
    return namespace(like).asarray(array)
