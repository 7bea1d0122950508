"""Choice of runtime and precision. The reason is always reported in :attr:`Network.why`."""

from __future__ import annotations

from importlib.util import find_spec

from livematte.device import Device, provider_trouble, torch_trouble
from livematte.errors import DeviceError, MissingExtraError, ModelError, UsageError, check_extra
from livematte.inference.network import Network, Program

RUNTIMES = ("openvino", "onnxruntime", "torch")
"""Runtimes for the CPU, fastest first (measured)."""

TENSORRT = "tensorrt"
"""ONNX Runtime with NVIDIA TensorRT, for NVIDIA GPUs only."""

PRECISIONS = ("auto", "int8", "fp32", "fp16", "bf16")

_DEVICE_RUNTIMES = {
    "cpu": RUNTIMES,
    "cuda": ("torch", "onnxruntime", TENSORRT),
    "directml": ("onnxruntime",),
    "coreml": ("onnxruntime",),
}
"""Runtimes by kind of device. For accelerators, the first one is the default."""

_RUNTIME_DEVICES = {"openvino": "the CPU", "torch": "the CPU and NVIDIA GPUs", TENSORRT: "NVIDIA GPUs"}

_GPU_PRECISIONS = {"torch": ("fp16", "fp32", "bf16"), TENSORRT: ("fp16", "fp32"), "onnxruntime": ("fp32",)}
"""Precisions by runtime on accelerators. The first one is the default."""


def available_runtimes() -> list[str]:
    """Return the installed ones of :data:`RUNTIMES`, without importing them."""
    return [name for name in RUNTIMES if find_spec(name) is not None]


def open_network(
    program: Program,
    device: Device,
    runtime: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    streams: int = 1,
    batch: int = 0,
) -> Network:
    """Prepare ``program`` to run on ``device``.

    Args:
        runtime: 'auto', one of :data:`RUNTIMES` or :data:`TENSORRT`. Auto is the first installed one on the
            CPU; on an NVIDIA GPU torch, or ONNX Runtime if torch cannot use the GPU.
        precision: 'auto', 'int8', 'fp32', 'fp16' or 'bf16'. Auto is int8 on the CPU if the model has int8
            weights, and fp16 on a GPU if the runtime supports it.
        threads: maximum number of CPU threads; 0 for all cores.
        streams: number of concurrent runs among which the threads are divided, if the runtime supports it.
            More than one increases throughput and latency: use it for files, not for a camera.
        batch: maximum pictures per run, for torch. 0 is one on the CPU or with one stream, and otherwise what
            the GPU's memory allows. Callers still submit pictures one by one.

    Raises:
        UsageError: a name or a combination is invalid.
        DeviceError: the requested runtime is not installed or does not support ``device``.
        ModelError: the model has no weights in that precision.
    """
    if runtime not in ("auto", *RUNTIMES, TENSORRT):
        raise UsageError(
            f"unknown runtime {runtime!r}: allowed are auto, {', '.join(RUNTIMES)}, and {TENSORRT} on GPUs"
        )
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}: allowed are {', '.join(PRECISIONS)}")
    if threads < 0:
        raise UsageError(f"threads={threads} is invalid: use 0 for all cores, or 1 or more")
    if streams < 1:
        raise UsageError(f"streams={streams} is invalid: use 1 or more")
    if batch < 0:
        raise UsageError(f"batch={batch} is invalid: use 0 for automatic, or 1 or more")
    chosen, reason = _choose_runtime(program, device, runtime)
    chosen_precision, precision_reason = _choose_precision(program, device, chosen, precision)
    if batch > 1 and not (chosen == "torch" and program.batches):
        one = program.name if chosen == "torch" else f"runtime {chosen}"
        raise UsageError(f"batch={batch} is invalid: {one} supports one picture per run, use 0 or 1")
    reasons = "; ".join(filter(None, (device.why, reason, precision_reason)))
    why = f"{chosen} {chosen_precision} on {device} ({reasons})"
    if chosen == "openvino":
        from livematte.inference.openvino_network import OpenVinoNetwork

        return OpenVinoNetwork(program, chosen_precision, threads, streams, why)
    if chosen != "torch" and device.kind != "cpu":
        if find_spec("onnx") is None:
            raise DeviceError(f"--device {device} with {chosen} needs the package onnx: pip install onnx")
        from livematte.inference.onnx_device import ProviderNetwork

        return ProviderNetwork(program, device, chosen, chosen_precision, why)
    if chosen == "onnxruntime":
        from livematte.inference.onnx_network import OnnxNetwork

        return OnnxNetwork(program, chosen_precision, threads, why)
    return _open_torch(program, device, chosen_precision, threads, streams, batch, why)


def _open_torch(
    program: Program, device: Device, precision: str, threads: int, streams: int, batch: int, why: str
) -> Network:
    from livematte.inference.batching import BatchedNetwork
    from livematte.inference.network import Batching

    network: Batching
    if device.kind == "cpu":
        from livematte.inference.torch_network import TorchNetwork

        network = TorchNetwork(program, device, threads, why, batch or 1)
    else:
        from livematte.inference.torch_cuda import DTYPES, GraphNetwork
        from livematte.inference.torch_device import open_torch_device

        card = open_torch_device(device, DTYPES[precision])
        network = GraphNetwork(program, card, precision, streams, batch, why)
    return BatchedNetwork(program, network) if network.batch > 1 else network


def _choose_runtime(program: Program, device: Device, wanted: str) -> tuple[str, str]:
    """Return the runtime to use and the reason."""
    installed = available_runtimes()
    supported = _DEVICE_RUNTIMES[device.kind]
    if wanted != "auto":
        if wanted == "torch":
            check_extra("torch", "the runtime torch", "torch")
        package = "onnxruntime" if wanted == TENSORRT else wanted
        if package == "onnxruntime":
            check_extra(package, f"the runtime {wanted}", "onnx")
        if package not in installed:
            raise DeviceError(f"runtime {wanted} is not installed: pip install {package}, or --runtime auto")
        if wanted not in supported:
            raise DeviceError(
                f"runtime {wanted} runs on {_RUNTIME_DEVICES[wanted]} only, not on {device}: "
                f"use --runtime {supported[0]} or another --device"
            )
        if device.kind != "cpu" and wanted != "torch":
            trouble = provider_trouble(TENSORRT if wanted == TENSORRT else device.kind)
            if trouble is not None:
                raise DeviceError(f"--runtime {wanted} on {device}: {trouble}")
        return wanted, "as asked"
    if device.kind == "cuda":
        return _choose_gpu_runtime(program, installed)
    if device.kind != "cpu":
        return "onnxruntime", f"the runtime for {device}"
    usable = [name for name in installed if name != "torch" or program.module is not None]
    if not usable:
        raise DeviceError(f"no runtime is installed: pip install {RUNTIMES[0]}")
    if usable[0] == RUNTIMES[0]:
        return usable[0], "the fastest on a CPU"
    return usable[0], f"{RUNTIMES[0]}, the fastest on a CPU, is not installed"


def _choose_gpu_runtime(program: Program, installed: list[str]) -> tuple[str, str]:
    """Return torch, or ONNX Runtime if torch cannot be used."""
    if "torch" not in installed:
        trouble: str | None = "torch is not installed"
    elif program.module is None:
        trouble = "torch cannot run an ONNX file"
    else:
        trouble = torch_trouble()
    if trouble is not None and provider_trouble("cuda") is None:
        return "onnxruntime", trouble
    if "torch" not in installed:
        raise MissingExtraError("an NVIDIA GPU", "cuda")
    return "torch", "the runtime for NVIDIA GPUs"


def _choose_precision(program: Program, device: Device, runtime: str, wanted: str) -> tuple[str, str]:
    """Return the precision to use and the reason."""
    has_int8 = program.onnx is not None and program.onnx_precision == "int8"
    has_fp32 = program.module is not None or (program.onnx is not None and not has_int8)
    if runtime == "torch" and program.module is None:
        raise UsageError(f"runtime torch cannot run an ONNX file of {program.name}: pass safetensors")
    if device.kind != "cpu":
        allowed = _GPU_PRECISIONS[runtime]
        if wanted not in ("auto", *allowed):
            can = " or ".join(allowed)
            raise UsageError(f"runtime {runtime} does not run {wanted} on {device}: use --precision {can}")
        if not has_fp32:
            raise ModelError(f"{program.name} has int8 weights only, which run on the CPU: use --device cpu")
        if wanted != "auto":
            return wanted, "as asked"
        return allowed[0], "the fastest on a GPU" if allowed[0] == "fp16" else "its only precision there"
    if runtime == "torch":
        if wanted not in ("auto", "fp32"):
            raise UsageError("runtime torch runs fp32 only: use --precision fp32 or another runtime")
        return "fp32", "the only precision of this runtime"
    if wanted in ("fp16", "bf16"):
        raise UsageError(f"precision {wanted} is for GPUs: use --precision int8 or fp32 on the CPU")
    if wanted == "int8" and not has_int8:
        raise ModelError(f"{program.name} has no int8 weights here: use --precision fp32 or auto")
    if wanted == "fp32" and not has_fp32:
        raise ModelError(f"{program.name} has no fp32 weights here: use --precision int8 or auto")
    if wanted != "auto":
        return wanted, "as asked"
    return ("int8", "the model comes with it") if has_int8 else ("fp32", "no int8 weights")
