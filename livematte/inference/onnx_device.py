"""ONNX Runtime on accelerators: its providers for CUDA, TensorRT, DirectML and Core ML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from livematte.cache import cache_folder, discard_changed_files, seal_files
from livematte.device import PROVIDERS, Device, from_numpy, to_numpy
from livematte.errors import DeviceError, LivematteError, WeightsError
from livematte.frame import Array
from livematte.inference.lru_cache import LRUCache, Shapes
from livematte.inference.network import OutOfMemory, Program
from livematte.inference.onnx_network import CompletedRun, load_onnx
from livematte.inference.shape_checks import check_inputs, check_outputs
from livematte.quiet import import_quietly

onnxruntime = import_quietly("onnxruntime")

_MAX_SESSIONS = 4
"""Number of sessions kept in memory, one for each input size."""

_OUT_OF_MEMORY_MESSAGES = ("out of memory", "Failed to allocate memory", "E_OUTOFMEMORY", "ALLOC_FAILED")
"""Error texts of providers for exhausted memory; ONNX Runtime has no exception class for it."""

_REQUIREMENTS = {
    "cuda": "CUDA 12 or 13 and cuDNN 9 (pip install 'onnxruntime-gpu[cuda,cudnn]')",
    "tensorrt": "TensorRT 10 (pip install tensorrt), CUDA and cuDNN",
    "directml": "a graphics processor that runs DirectX 12",
    "coreml": "a Mac that runs Core ML",
}


class ProviderNetwork:
    """Runs a program's fp32 ONNX file, or its torch module exported to ONNX, on ``device``.

    Each session has fixed sizes: TensorRT, DirectML and Core ML need that for speed, or to work at all. ONNX
    Runtime runs unsupported operators on the CPU. Arrays pass through host memory.

    Raises:
        DeviceError: the provider cannot be started. The network never falls back to the CPU.
        WeightsError: the file lacks an output.
    """

    in_flight = 1

    def __init__(self, program: Program, device: Device, runtime: str, precision: str, why: str) -> None:
        self.runtime, self.precision, self.why = runtime, precision, why
        self._program, self._device = program, device
        self._kind = "tensorrt" if runtime == "tensorrt" else device.kind
        self._model = load_onnx(program, "fp32")
        try:
            graph = onnx.load_model_from_string(self._model).graph
        except Exception as error:  # protobuf's own, or of a text that is not UTF-8
            reason = " ".join(str(error).split())
            raise WeightsError(
                f"{program.name}: {program.onnx} is not a complete ONNX file: {reason}"
            ) from error
        check_outputs(program, (output.name for output in graph.output))
        self._dimensions = {
            value.name: [length.dim_param for length in value.type.tensor_type.shape.dim]
            for value in graph.input
        }
        self._sessions: LRUCache[Any] = LRUCache(_MAX_SESSIONS)
        self._start_session(_probe_model(), self._session_options())  # fail early if a library is missing

    def _session_options(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self._kind == "directml":  # required by this provider
            options.enable_mem_pattern = False
            options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        return options

    def _open(self, shapes: Shapes) -> Any:
        options = self._session_options()
        for wanted, shape in zip(self._program.inputs, shapes, strict=True):
            for name, length in zip(self._dimensions[wanted.name], shape, strict=True):
                if name:
                    options.add_free_dimension_override_by_name(name, length)
        return self._start_session(self._model, options)

    def _start_session(self, model: bytes, options: Any) -> Any:
        """Return a session on the device. Raise if the provider cannot be used."""
        if self._kind in ("cuda", "tensorrt"):
            onnxruntime.preload_dlls()  # libraries that pip installed with it or with torch
        engines = cache_folder("tensorrt") if self._kind == "tensorrt" else None
        if engines is not None:
            discard_changed_files(engines)
        try:
            session = onnxruntime.InferenceSession(
                model, options, providers=self._providers(engines), enable_fallback=0
            )
        except Exception as error:  # ONNX Runtime raises classes that it does not export
            raise self._to_error(error) from error
        if engines is not None:
            seal_files(engines)
        if (
            PROVIDERS[self._kind] not in session.get_providers()
        ):  # ONNX Runtime only warns and continues without it
            raise DeviceError(
                f"ONNX Runtime cannot start its {PROVIDERS[self._kind]} on {self._device}: it needs "
                f"{_REQUIREMENTS[self._kind]}"
            )
        return session

    def _providers(self, engines: Path | None) -> list[tuple[str, dict[str, Any]]]:
        """Return the provider with its options, and the fallbacks for unsupported operators."""
        index = self._device.index
        cuda = {"device_id": index, "use_tf32": 0, "cudnn_conv_algo_search": "EXHAUSTIVE"}
        own: dict[str, Any] = cuda if self._kind == "cuda" else {"device_id": index}
        if self._kind == "coreml":
            own = {"ModelFormat": "MLProgram", "RequireStaticInputShapes": "1"}
        if self._kind == "tensorrt":
            own = {"device_id": index, "trt_fp16_enable": self.precision == "fp16"}
            if engines is not None:  # an engine takes minutes to build
                own |= {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(engines)}
        rest = [(PROVIDERS["cuda"], cuda)] if self._kind == "tensorrt" else []
        return [(PROVIDERS[self._kind], own), *rest, ("CPUExecutionProvider", {})]

    def _to_error(self, error: Exception) -> LivematteError:
        """Convert an ONNX Runtime error to a one-line error."""
        reason = " ".join(str(error).split())
        name = self._program.name
        if any(sign in reason for sign in _OUT_OF_MEMORY_MESSAGES):
            return OutOfMemory(f"{name} has no room on {self._device}: use a smaller --size, or --device cpu")
        return DeviceError(
            f"{name}: ONNX Runtime's {PROVIDERS[self._kind]} on {self._device} failed: {reason}"
        )

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once."""
        check_inputs(self._program, arrays)
        session = self._sessions.get(tuple(tuple(a.shape) for a in arrays), self._open)
        feeds = {i.name: to_numpy(array) for i, array in zip(self._program.inputs, arrays, strict=True)}
        try:
            found = session.run(list(self._program.outputs), feeds)
        except Exception as error:  # as above
            raise self._to_error(error) from error
        return tuple(from_numpy(array, arrays[0]) for array in found)

    def submit(self, *arrays: Array) -> CompletedRun:
        """Run immediately."""
        return CompletedRun(self(*arrays))


def _probe_model() -> bytes:
    """Return a tiny model that every provider supports and that TensorRT builds quickly."""
    number = onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(name, number, [1, 4]) for name in ("x", "y")]
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "tiny", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
