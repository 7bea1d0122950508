"""The choice of a device by name, and the reason if one cannot be used.

An NVIDIA GPU is looked for through its driver, so that the CPU path never imports torch; the other devices
that can be used are those that ONNX Runtime lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from livematte.device.driver import driver_gpus
from livematte.errors import DeviceError, UsageError
from livematte.quiet import import_quietly

_SPEC = re.compile(r"(cuda|directml)(?::(\d{1,3}))?|(coreml)")

_ALLOWED = "auto, cpu, cuda and cuda:N, such as cuda:0, directml, directml:N and coreml"

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""ONNX Runtime's execution provider for each kind of device, and for TensorRT."""

_BRINGS = {
    "cuda": "pip uninstall onnxruntime, then pip install onnx onnxruntime-gpu",
    "tensorrt": "pip uninstall onnxruntime, then pip install onnx onnxruntime-gpu tensorrt",
    "directml": "on Windows pip uninstall onnxruntime, then pip install onnx onnxruntime-directml",
    "coreml": "on a Mac pip install onnx onnxruntime",
}


@dataclass(frozen=True)
class Device:
    """A device that was checked and can be used."""

    kind: str
    """'cpu', 'cuda', 'directml' or 'coreml'."""
    index: int
    """Index of the GPU; 0 for the CPU and Core ML."""
    why: str
    """One line: the choice and its reason."""

    def __str__(self) -> str:
        """As ``--device`` takes it: 'cpu', 'coreml' or 'cuda:0'."""
        return self.kind if self.kind in ("cpu", "coreml") else f"{self.kind}:{self.index}"


def choose_device(spec: str = "auto", runtime: str = "torch") -> Device:
    """Choose a device.

    Args:
        spec: 'auto', 'cpu', 'cuda', 'cuda:N', 'directml', 'directml:N' or 'coreml'. 'auto' is the first
            usable NVIDIA GPU, or the CPU if there is none; it is never one of the others, because their speed
            was not measured. The result's ``why`` gives the reason.
        runtime: the runtime that will use the device: 'torch', 'onnxruntime', 'tensorrt', 'openvino', or
            'auto' for any that supports it.

    Raises:
        UsageError: ``spec`` is invalid, or ``runtime`` does not support it.
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


def cuda_trouble(index: int, runtime: str = "torch") -> str | None:
    """The reason that GPU ``index`` cannot be used, in one clause; None if it can.

    Args:
        runtime: as for :func:`choose_device`.
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
    """The reason that torch cannot use the NVIDIA GPU that is there, in one clause; None if it can."""
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        return "an NVIDIA GPU is there but torch is not installed: use the extra cuda (pip install '.[cuda]')"
    if torch_version.endswith("+cpu"):
        return f"an NVIDIA GPU is there but torch {torch_version} is a CPU-only build (install a CUDA one)"
    import torch

    if torch.version.cuda is None:  # the one for Windows that PyPI has does not say so in its version
        return f"an NVIDIA GPU is there but torch {torch_version} is a CPU-only build (install a CUDA one)"
    if not torch.cuda.is_available():
        return f"an NVIDIA GPU is there but torch {torch_version} cannot use it (is the driver too old?)"
    return None


def provider_trouble(kind: str) -> str | None:
    """The reason that ONNX Runtime has no provider for ``kind``, in one clause; None if it has one.

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
