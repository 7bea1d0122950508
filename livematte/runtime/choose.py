"""The choice of runtime and precision, never silent: :attr:`Network.why` tells it."""

from __future__ import annotations

from importlib.util import find_spec

from livematte.device import Device
from livematte.errors import DeviceError, ModelError, UsageError
from livematte.runtime.network import Network, Program

RUNTIMES = ("openvino", "onnxruntime", "torch")
"""By measured speed on the CPU, fastest first."""

PRECISIONS = ("auto", "int8", "fp32")


def available_runtimes() -> list[str]:
    """Those of :data:`RUNTIMES` that are installed. Imports none of them."""
    return [name for name in RUNTIMES if find_spec(name) is not None]


def open_network(
    program: Program,
    device: Device,
    runtime: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    streams: int = 1,
) -> Network:
    """Make ``program`` ready to run on ``device``.

    Args:
        runtime: 'auto' or one of :data:`RUNTIMES`. Auto is torch on a GPU and the first installed on the CPU.
        precision: 'auto', 'int8' or 'fp32'. Auto is int8 on the CPU where the model comes with it.
        threads: how many CPU threads the network may use; 0 for all cores.
        streams: into how many runs side by side they are split, where the runtime can (OpenVINO). More than
            one costs less work a frame, and each frame comes later: for files, not for a camera.

    Raises:
        UsageError: an unknown name, or a combination that cannot be meant.
        DeviceError: the runtime asked for is not installed or does not run on ``device``.
        ModelError: the model has no weights in that precision.
    """
    if runtime not in ("auto", *RUNTIMES):
        raise UsageError(f"unknown runtime {runtime!r}: allowed are auto, {', '.join(RUNTIMES)}")
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}: allowed are {', '.join(PRECISIONS)}")
    if threads < 0:
        raise UsageError(f"threads={threads} cannot be meant: give 0 for all cores, or 1 and more")
    if streams < 1:
        raise UsageError(f"streams={streams} cannot be meant: give 1 and more")
    chosen, reason = _runtime(program, device, runtime)
    exact, finer = _precision(program, chosen, precision)
    why = f"{chosen} {exact} on {device} ({reason}; {finer})"
    if chosen == "openvino":
        from livematte.runtime.openvino_network import OpenVinoNetwork

        return OpenVinoNetwork(program, exact, threads, streams, why)
    if chosen == "onnxruntime":
        from livematte.runtime.onnx_network import OnnxNetwork

        return OnnxNetwork(program, exact, threads, why)
    from livematte.runtime.torch_network import TorchNetwork

    return TorchNetwork(program, device, threads, why)


def _runtime(program: Program, device: Device, wanted: str) -> tuple[str, str]:
    """The runtime to take and why."""
    installed = available_runtimes()
    if wanted != "auto":
        if wanted not in installed:
            raise DeviceError(f"runtime {wanted} is not installed: pip install {wanted}, or --runtime auto")
        if device.kind == "cuda" and wanted != "torch":
            raise DeviceError(f"runtime {wanted} runs on the CPU only: use --runtime torch or --device cpu")
        return wanted, "as asked"
    if device.kind == "cuda":
        if "torch" not in installed:
            raise DeviceError("a GPU needs the torch runtime, which is not installed: pip install torch")
        return "torch", "the runtime for GPUs"
    usable = [name for name in installed if name != "torch" or program.module is not None]
    if not usable:
        raise DeviceError(f"no runtime is installed: pip install {RUNTIMES[0]}")
    if usable[0] == RUNTIMES[0]:
        return usable[0], "the fastest on a CPU"
    return usable[0], f"{RUNTIMES[0]}, the fastest on a CPU, is not installed"


def _precision(program: Program, runtime: str, wanted: str) -> tuple[str, str]:
    """The precision to take and why."""
    has_int8 = program.onnx is not None and program.onnx_precision == "int8"
    has_fp32 = program.module is not None or (program.onnx is not None and not has_int8)
    if runtime == "torch":
        if wanted == "int8":
            raise UsageError("runtime torch runs fp32 only: use --precision fp32 or another runtime")
        if program.module is None:
            raise UsageError(f"runtime torch cannot run an ONNX file of {program.name}: pass safetensors")
        return "fp32", "the only precision of this runtime"
    if wanted == "int8" and not has_int8:
        raise ModelError(f"{program.name} has no int8 weights here: use --precision fp32 or auto")
    if wanted == "fp32" and not has_fp32:
        raise ModelError(f"{program.name} has no fp32 weights here: use --precision int8 or auto")
    if wanted != "auto":
        return wanted, "as asked"
    return ("int8", "the model comes with it") if has_int8 else ("fp32", "no int8 weights")
