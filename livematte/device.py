"""Where arrays live: the choice of a device, and the only place where arrays cross between devices.

Looking for an NVIDIA GPU asks its driver directly, so that the CPU path never imports torch; which other
devices can be used is what ONNX Runtime says of itself.
"""

from __future__ import annotations

import ctypes
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from livematte.errors import DeviceError, UsageError
from livematte.frame import Array
from livematte.quiet import import_quietly

_SPEC = re.compile(r"(cuda|directml)(?::(\d{1,3}))?|(coreml)")

_ALLOWED = "auto, cpu, cuda and cuda:N, such as cuda:0, directml, directml:N and coreml"

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""What ONNX Runtime calls its part for each kind of device, and for TensorRT."""

_BRINGS = {
    "cuda": "pip uninstall onnxruntime, then pip install onnxruntime-gpu",
    "tensorrt": "pip uninstall onnxruntime, then pip install onnxruntime-gpu tensorrt",
    "directml": "on Windows pip uninstall onnxruntime, then pip install onnxruntime-directml",
    "coreml": "on a Mac pip install onnxruntime",
}


@dataclass(frozen=True)
class Device:
    """A device that was looked at and is there."""

    kind: str
    """'cpu', 'cuda', 'directml' or 'coreml'."""
    index: int
    """Which GPU; 0 for the CPU and Core ML."""
    why: str
    """One line: what was taken, and why."""

    def __str__(self) -> str:
        """As ``--device`` takes it: 'cpu', 'coreml' or 'cuda:0'."""
        return self.kind if self.kind in ("cpu", "coreml") else f"{self.kind}:{self.index}"


def choose_device(spec: str = "auto", runtime: str = "torch") -> Device:
    """The device that ``spec`` means: 'auto', 'cpu', 'cuda', 'cuda:N', 'directml', 'directml:N' or 'coreml'.

    'auto' takes the first usable NVIDIA GPU and the CPU otherwise, and none of the others, whose speed nobody
    has measured; ``why`` says which and for what reason.

    Args:
        runtime: what is going to use it: 'torch', 'onnxruntime', 'tensorrt', 'openvino', or 'auto' for
            whichever can.

    Raises:
        UsageError: ``spec`` is none of these, or one that ``runtime`` never runs on.
        DeviceError: a device was asked for and cannot be used; the message says what is missing.
    """
    if spec == "cpu":
        return Device("cpu", 0, "the CPU, as asked")
    match = _SPEC.fullmatch(spec)
    if spec != "auto" and match is None:
        raise UsageError(f"unknown device {spec!r}: allowed are {_ALLOWED}")
    if spec == "auto" and runtime == "openvino":
        return Device("cpu", 0, "the CPU: runtime openvino runs there only")
    kind = (match.group(1) or match.group(3)) if match else "cuda"
    index = int(match.group(2) or 0) if match else 0
    if kind != "cuda":
        if runtime not in ("auto", "onnxruntime"):
            raise UsageError(f"--device {spec} needs --runtime onnxruntime, not {runtime}")
        trouble = provider_trouble(kind)
    else:
        trouble = cuda_trouble(index, runtime)
    if trouble is None:
        name = {"cuda": f"GPU {index}", "directml": f"GPU {index} by DirectML", "coreml": "Core ML"}[kind]
        return Device(kind, index, f"{name}, {'as asked' if match else 'the first one found'}")
    if match:
        raise DeviceError(f"--device {spec}: {trouble}; use --device cpu to run without a GPU")
    return Device("cpu", 0, f"the CPU: {trouble}")


def driver_gpus() -> int:
    """How many GPUs the NVIDIA driver shows; 0 where there is no driver. Imports nothing."""
    driver = _driver()
    count = ctypes.c_int(0)
    if driver is None or driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def in_use(index: int) -> bool:
    """Whether this process works on GPU ``index``: otherwise making it current would take some hundred MB of
    it, or fail where it is full. True where the driver does not say.
    """
    driver, card = _driver(), ctypes.c_int(0)
    flags, active = ctypes.c_uint(0), ctypes.c_int(1)
    if driver is not None and driver.cuDeviceGet(ctypes.byref(card), index) == 0:
        driver.cuDevicePrimaryCtxGetState(card, ctypes.byref(flags), ctypes.byref(active))
    return bool(active.value)


def _driver() -> Any:
    """NVIDIA's; None where there is none."""
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def cuda_trouble(index: int, runtime: str = "torch") -> str | None:
    """Why GPU ``index`` cannot be used, in one clause; None where it can.

    Args:
        runtime: by what, as for :func:`choose_device`.
    """
    found = driver_gpus()
    if found == 0:
        return "no NVIDIA GPU or driver was found"
    if index >= found:
        return f"there is no GPU {index}, only {found} (0 to {found - 1})"
    if runtime in ("onnxruntime", "tensorrt"):
        return provider_trouble("cuda" if runtime == "onnxruntime" else runtime)
    trouble = torch_trouble()
    if trouble is not None and runtime == "auto" and provider_trouble("cuda") is None:
        return None
    return trouble


def torch_trouble() -> str | None:
    """Why torch cannot use the NVIDIA GPU that is there, in one clause; None where it can."""
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        return "an NVIDIA GPU is there but torch is not installed (pip install torch)"
    if torch_version.endswith("+cpu"):
        return f"an NVIDIA GPU is there but torch {torch_version} is a CPU-only build (install a CUDA one)"
    import torch

    if torch.version.cuda is None:  # the one for Windows that PyPI has does not say so in its version
        return f"an NVIDIA GPU is there but torch {torch_version} is a CPU-only build (install a CUDA one)"
    if not torch.cuda.is_available():
        return f"an NVIDIA GPU is there but torch {torch_version} cannot use it (is the driver too old?)"
    return None


def provider_trouble(kind: str) -> str | None:
    """Why ONNX Runtime has no part for ``kind``, in one clause; None where it has.

    Args:
        kind: a key of :data:`PROVIDERS`.
    """
    try:
        onnxruntime = import_quietly("onnxruntime")
    except ImportError:
        return f"ONNX Runtime is not installed ({_BRINGS[kind]})"
    there = onnxruntime.get_available_providers()
    if PROVIDERS[kind] in there:
        return None
    has = ", ".join(there)
    return (
        f"ONNX Runtime {onnxruntime.__version__} here has no {PROVIDERS[kind]}, only {has} ({_BRINGS[kind]})"
    )


def is_numpy(array: Array) -> bool:
    """Whether ``array`` is NumPy's, so on the CPU."""
    return type(array).__module__ == "numpy"


def namespace(array: Array) -> Any:
    """The module whose functions take ``array``: numpy, cupy or torch."""
    return import_module(type(array).__module__.partition(".")[0])


def to_torch(array: Array, device: Device) -> Array:
    """A NumPy or CuPy ``array`` as a torch tensor on ``device``, shared where that is possible."""
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
    """NumPy's ``array`` where ``like`` lives: itself, a torch tensor on the same device or a CuPy array."""
    if is_numpy(like):
        return array
    if hasattr(like, "detach"):
        return namespace(like).from_numpy(array).to(like.device)
    return namespace(like).asarray(array)
