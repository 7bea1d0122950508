"""Where arrays live: the choice of a device, and the only place where arrays cross between devices.

Looking for an NVIDIA GPU asks its driver directly, so that the CPU path never imports torch.
"""

from __future__ import annotations

import ctypes
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from livematte.errors import DeviceError, UsageError
from livematte.frame import Array

_SPEC = re.compile(r"cuda(?::(\d{1,3}))?")


@dataclass(frozen=True)
class Device:
    """A device that was looked at and is there."""

    kind: str
    """'cpu' or 'cuda'."""
    index: int
    """Which GPU; 0 for the CPU."""
    why: str
    """One line: what was taken, and why."""

    def __str__(self) -> str:
        """As ``--device`` takes it: 'cpu' or 'cuda:0'."""
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


def choose_device(spec: str = "auto") -> Device:
    """The device that ``spec`` means: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    'auto' takes the first usable GPU and the CPU otherwise; ``why`` says which and for what reason.

    Raises:
        UsageError: ``spec`` is none of these.
        DeviceError: a GPU was asked for and cannot be used; the message says what is missing.
    """
    if spec == "cpu":
        return Device("cpu", 0, "the CPU, as asked")
    match = _SPEC.fullmatch(spec)
    if spec != "auto" and match is None:
        raise UsageError(f"unknown device {spec!r}: allowed are auto, cpu, cuda and cuda:N, such as cuda:0")
    index = int(match.group(1) or 0) if match else 0
    trouble = cuda_trouble(index)
    if trouble is None:
        return Device("cuda", index, f"GPU {index}, {'as asked' if match else 'the first one found'}")
    if match:
        raise DeviceError(f"--device {spec}: {trouble}; use --device cpu to run without a GPU")
    return Device("cpu", 0, f"the CPU: {trouble}")


def driver_gpus() -> int:
    """How many GPUs the NVIDIA driver shows; 0 where there is no driver. Imports nothing."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def cuda_trouble(index: int) -> str | None:
    """Why GPU ``index`` cannot be used, in one clause; None where it can."""
    found = driver_gpus()
    if found == 0:
        return "no NVIDIA GPU or driver was found"
    if index >= found:
        return f"there is no GPU {index}, only {found} (0 to {found - 1})"
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        return "an NVIDIA GPU is there but torch is not installed (pip install torch)"
    if torch_version.endswith("+cpu"):
        return f"an NVIDIA GPU is there but torch {torch_version} is a CPU-only build (install a CUDA one)"
    import torch

    if not torch.cuda.is_available():
        return f"an NVIDIA GPU is there but torch {torch_version} cannot use it (is the driver too old?)"
    return None


def to_torch(array: Array, device: Device) -> Array:
    """A NumPy or CuPy ``array`` as a torch tensor on ``device``, shared where that is possible."""
    import torch

    if isinstance(array, torch.Tensor):
        return array.to(str(device), non_blocking=True)
    if _is_numpy(array):  # torch has no negative strides, and no read-only tensors
        unfit = not array.flags.writeable or any(stride < 0 for stride in array.strides)
        whole = array.copy() if unfit else array
        tensor = torch.from_numpy(whole)
    else:
        tensor = torch.utils.dlpack.from_dlpack(array)
    return tensor.to(str(device), non_blocking=True)


def to_numpy(array: Array) -> Array:
    """A torch, CuPy or NumPy ``array`` as a NumPy array of the same shape and dtype on the CPU."""
    if _is_numpy(array):
        return array
    if hasattr(array, "detach"):
        return array.detach().cpu().numpy()
    return array.get()


def _is_numpy(array: Array) -> bool:
    return type(array).__module__ == "numpy"
