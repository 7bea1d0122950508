"""OpenVINO on the CPU: compiled for each input size; compiled models are cached on disk."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from livematte.cache import cache_folder, discard, read_cached, write_cached
from livematte.errors import ModelError, WeightsError, check_extra
from livematte.frame import Array
from livematte.inference.lru_cache import LRUCache, Shapes
from livematte.inference.network import Program
from livematte.inference.shape_checks import check_input_names, check_inputs, check_outputs
from livematte.quiet import import_quietly

openvino = import_quietly("openvino")

_MAX_SIZES = 4
"""Number of compiled sizes kept in memory; each takes about 50 MB."""


class _OpenVinoPending:
    """A running inference request and the list of idle requests to which it returns."""

    def __init__(
        self, request: Any, arrays: tuple[Array, ...], idle: list[Any], outputs: tuple[str, ...]
    ) -> None:
        self._request, self._arrays, self._idle, self._outputs = request, arrays, idle, outputs

    def result(self) -> tuple[Array, ...]:
        self._request.wait()
        out = tuple(self._request.get_tensor(name).data.copy() for name in self._outputs)
        self._idle.append(self._request)
        return out


class OpenVinoNetwork:
    """A program's ONNX file, or its converted torch module, compiled by OpenVINO."""

    runtime = "openvino"

    def __init__(self, program: Program, precision: str, threads: int, streams: int, why: str) -> None:
        self.precision, self.why = precision, why
        self.in_flight = streams + 1 if streams > 1 else 1  # one more is queued, so that no stream is idle
        self._program, self._streams = program, streams
        self._core = openvino.Core()
        self._options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",  # CPUs that default to bf16 would give another alpha
        }
        if streams == 1:
            self._options["PERFORMANCE_HINT"] = "LATENCY"
        else:
            self._options["NUM_STREAMS"] = streams
            threads = threads or os.cpu_count() or streams
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads
        self._folder = cache_folder("openvino")
        self._compiled: LRUCache[tuple[Any, list[Any]]] = LRUCache(_MAX_SIZES)
        self._model = None if self._is_validated() else self._read()

    def _is_validated(self) -> bool:
        """Return True if the weights were loaded before. If not, they are read now to report errors early."""
        if self._program.module is None:
            return False
        converted = _converted_path(self._program, self._folder)
        return self.precision == self._program.onnx_precision or (
            converted is not None and converted.is_file()
        )

    def _read(self) -> Any:
        """Return the model with dynamic sizes."""
        program = self._program
        if program.onnx is not None and program.onnx_precision == self.precision:
            try:
                model = self._core.read_model(str(program.onnx))
                outputs = [name for port in model.outputs for name in port.get_names()]
                inputs = [port.get_any_name() for port in model.inputs]
            except (RuntimeError, UnicodeDecodeError) as error:
                raise WeightsError(f"{program.name}: OpenVINO cannot read {program.onnx}: {error}") from error
            check_outputs(program, outputs)
            check_input_names(program, inputs)
            return model
        return load_converted(self._core, program, self._folder)

    def _compile(self, shapes: Shapes) -> Any:
        """Return the model compiled for input shapes, from the cache if it was compiled before.

        OpenVINO's own CACHE_DIR must read the whole model to find its cache entry, which takes twice as long.
        """
        file = self._blob_path(shapes)
        cached = None if file is None else read_cached(file)
        if cached is not None:
            with suppress(RuntimeError):  # incompatible: compiled again below
                return self._core.import_model(cached, "CPU", self._options)
        model = self._read() if self._model is None else self._model.clone()
        by_name = zip(self._program.inputs, shapes, strict=True)
        try:
            model.reshape({wanted.name: list(shape) for wanted, shape in by_name})
            compiled = self._core.compile_model(model, "CPU", self._options)
        except RuntimeError as error:
            what = f"{self._program.name}: OpenVINO cannot compile it for inputs of the size {shapes}"
            raise ModelError(f"{what}: {' '.join(str(error).split())}") from error
        if file is not None:
            blob = io.BytesIO()
            compiled.export_model(blob)
            write_cached(file, blob.getvalue())
        return compiled

    def _blob_path(self, shapes: Shapes) -> Path | None:
        """Return the cache path of a compiled model; it depends on weights, OpenVINO, CPU and shapes."""
        if self._folder is None:
            return None
        cpu = self._core.get_property("CPU", "FULL_DEVICE_NAME")
        facts = f"{self._program.key} {self.precision} {version('openvino')} {cpu} {shapes} {self._streams}"
        return self._folder / f"{self._program.name}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.blob"

    def _take_request(self, shapes: Shapes) -> tuple[Any, list[Any]]:
        """Return an idle request for input shapes, and the list to return it to."""
        compiled, idle = self._compiled.get(shapes, lambda new: (self._compile(new), []))
        return (idle.pop() if idle else compiled.create_infer_request()), idle

    def submit(self, *arrays: Array) -> _OpenVinoPending:
        """Start a run. Up to :attr:`in_flight` runs are concurrent, each with a share of the threads."""
        check_inputs(self._program, arrays)
        request, idle = self._take_request(tuple(tuple(a.shape) for a in arrays))
        for wanted, array in zip(self._program.inputs, arrays, strict=True):
            shared = array.flags.c_contiguous and array.flags.writeable  # OpenVINO must copy other arrays
            request.set_tensor(wanted.name, openvino.Tensor(array, shared_memory=shared))
        request.start_async()
        return _OpenVinoPending(request, arrays, idle, self._program.outputs)

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once."""
        return self.submit(*arrays).result()


def load_converted(core: Any, program: Program, folder: Path | None) -> Any:
    """Return the torch module of ``program`` as an OpenVINO model, cached if possible."""
    file = _converted_path(program, folder)
    cached = None if file is None else read_cached(file)
    if file is not None and cached is not None:
        try:
            return core.read_model(*_unpack(cached))
        except (RuntimeError, ValueError):
            discard(file)
    model = convert(program)
    if file is not None:
        with suppress(OSError, RuntimeError):  # a full disk disables the cache, not the run
            write_cached(file, _pack(model))
    return model


def _converted_path(program: Program, folder: Path | None) -> Path | None:
    return folder / f"{program.name}-{program.key[:16]}-{version('openvino')}.model" if folder else None


def _pack(model: Any) -> bytes:
    """Return a model as the length of its XML in 8 bytes, the XML and the weights."""
    with TemporaryDirectory(prefix="livematte-") as scratch:
        xml = Path(scratch) / "model.xml"
        openvino.save_model(model, str(xml), compress_to_fp16=False)
        graph, weights = xml.read_bytes(), xml.with_suffix(".bin").read_bytes()
    return len(graph).to_bytes(8, "little") + graph + weights


def _unpack(data: bytes) -> tuple[bytes, bytes]:
    """Return XML and weights of a packed model."""
    end = 8 + int.from_bytes(data[:8], "little")
    return data[8:end], data[end:]


def convert(program: Program) -> Any:
    """Convert the torch module of ``program`` to an OpenVINO model with dynamic sizes."""
    check_extra("torch", f"{program.name} from its safetensors weights", "torch")
    import torch

    ts_decoder = import_quietly("openvino.frontend.pytorch.ts_decoder")
    assert program.module is not None
    module = program.module().eval().requires_grad_(False)
    examples = tuple(torch.zeros(i.example, dtype=getattr(torch, i.dtype)) for i in program.inputs)
    front_end = openvino.frontend.FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the front end uses tracing, which is deprecated
        # must live until the conversion is done
        decoder = ts_decoder.TorchScriptPythonDecoder(module, example_input=examples)
        model = front_end.convert(front_end.load(decoder))
    for port, wanted in zip(model.inputs, program.inputs, strict=True):
        port.get_tensor().set_names({wanted.name})
        port.get_node().set_element_type(openvino.Type(wanted.dtype))
        free = openvino.PartialShape([-1 if n is None else n for n in wanted.shape])
        port.get_node().set_partial_shape(free)
    for out, name in zip(model.outputs, program.outputs, strict=True):
        out.get_tensor().set_names({name})
    model.validate_nodes_and_infer_types()
    return model
