"""OpenVINO on the CPU: compiled for each size of input, compiled models kept in the cache folder."""

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

from livematte.errors import WeightsError
from livematte.frame import Array
from livematte.quiet import import_quietly
from livematte.runtime.kept import Kept, Shapes
from livematte.runtime.network import Program
from livematte.runtime.shapes import check_inputs, check_outputs
from livematte.weights import cache_folder, write_cached

openvino = import_quietly("openvino")

_SIZES_KEPT = 4
"""Compiled sizes held in memory; a compiled model takes about 50 MB."""


class _OpenVinoPending:
    """An inference request that runs, and the compiled model it goes back to."""

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
    """A program's ONNX file, or its torch module converted, compiled by OpenVINO."""

    runtime = "openvino"

    def __init__(self, program: Program, precision: str, threads: int, streams: int, why: str) -> None:
        self.precision, self.why = precision, why
        self.in_flight = streams + 1 if streams > 1 else 1  # one waits, so that no stream rests between two
        self._program, self._streams = program, streams
        self._core = openvino.Core()
        self._options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",  # some CPUs would take bf16, and alpha would differ by machine
        }
        if streams == 1:
            self._options["PERFORMANCE_HINT"] = "LATENCY"
        else:
            self._options["NUM_STREAMS"] = streams
            threads = threads or os.cpu_count() or streams
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = threads
        self._folder = cache_folder("openvino")
        self._compiled: Kept[tuple[Any, list[Any]]] = Kept(_SIZES_KEPT)
        self._model = None if self._known() else self._read()

    def _known(self) -> bool:
        """Whether the weights were good before; others are read at once, so that what is wrong shows now."""
        if self._program.module is None:
            return False
        return self.precision == self._program.onnx_precision or bool(_cached(self._program, self._folder))

    def _read(self) -> Any:
        """The network with free sizes."""
        program = self._program
        if program.onnx is not None and program.onnx_precision == self.precision:
            try:
                model = self._core.read_model(str(program.onnx))
            except RuntimeError as error:
                raise WeightsError(f"{program.name}: OpenVINO cannot read {program.onnx}: {error}") from error
            check_outputs(program, (name for out in model.outputs for name in out.get_names()))
            return model
        return converted(self._core, program, self._folder)

    def _compile(self, shapes: Shapes) -> Any:
        """The network for inputs of these shapes, from the cache where it was made before.

        OpenVINO's own CACHE_DIR would need the whole network read to know that it is there: twice the time.
        """
        file = self._blob(shapes)
        if file is not None and file.is_file():
            with suppress(RuntimeError):  # cut short, or refused by this build: made anew below
                return self._core.import_model(file.read_bytes(), "CPU", self._options)
        model = self._read() if self._model is None else self._model.clone()
        ports = zip(model.inputs, shapes, strict=True)
        model.reshape({port.get_any_name(): list(shape) for port, shape in ports})
        compiled = self._core.compile_model(model, "CPU", self._options)
        if file is not None:
            blob = io.BytesIO()
            compiled.export_model(blob)
            write_cached(file, blob.getvalue())
        return compiled

    def _blob(self, shapes: Shapes) -> Path | None:
        """Where the compiled network is cached: it depends on weights, OpenVINO, CPU and shapes."""
        if self._folder is None:
            return None
        cpu = self._core.get_property("CPU", "FULL_DEVICE_NAME")
        facts = f"{self._program.key} {self.precision} {version('openvino')} {cpu} {shapes} {self._streams}"
        return self._folder / f"{self._program.name}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.blob"

    def _request(self, shapes: Shapes) -> tuple[Any, list[Any]]:
        """An idle request for inputs of these shapes, and where it goes back to."""
        compiled, idle = self._compiled.get(shapes, lambda new: (self._compile(new), []))
        return (idle.pop() if idle else compiled.create_infer_request()), idle

    def submit(self, *arrays: Array) -> _OpenVinoPending:
        """Begin a run; up to :attr:`in_flight` run side by side, each on its share of the threads."""
        check_inputs(self._program, arrays)
        request, idle = self._request(tuple(tuple(a.shape) for a in arrays))
        for wanted, array in zip(self._program.inputs, arrays, strict=True):
            shared = array.flags.c_contiguous and array.flags.writeable  # others OpenVINO must copy
            request.set_tensor(wanted.name, openvino.Tensor(array, shared_memory=shared))
        request.start_async()
        return _OpenVinoPending(request, arrays, idle, self._program.outputs)

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once."""
        return self.submit(*arrays).result()


def converted(core: Any, program: Program, folder: Path | None) -> Any:
    """The torch module of ``program`` in OpenVINO's form, from the cache where it was made before."""
    cached = _cached(program, folder)
    if cached is not None:
        return core.read_model(str(cached))
    model = convert(program)
    file = _converted_file(program, folder)
    if file is not None:
        try:
            with TemporaryDirectory(dir=file.parent, prefix=".part-") as scratch:
                part = Path(scratch) / file.name
                openvino.save_model(model, str(part), compress_to_fp16=False)
                os.replace(part.with_suffix(".bin"), file.with_suffix(".bin"))
                os.replace(part, file)  # last: the pair counts only when this is there
        except (OSError, RuntimeError):
            return model  # a full disk costs the cache, not the run
    return model


def _converted_file(program: Program, folder: Path | None) -> Path | None:
    return folder / f"{program.name}-{program.key[:16]}-{version('openvino')}.xml" if folder else None


def _cached(program: Program, folder: Path | None) -> Path | None:
    """The converted network of an earlier run, None where there is none."""
    file = _converted_file(program, folder)
    return file if file and file.is_file() and file.with_suffix(".bin").is_file() else None


def convert(program: Program) -> Any:
    """The torch module of ``program`` as an OpenVINO model with free sizes."""
    import torch

    ts_decoder = import_quietly("openvino.frontend.pytorch.ts_decoder")
    assert program.module is not None
    module = program.module().eval().requires_grad_(False)
    examples = tuple(torch.zeros(i.example, dtype=getattr(torch, i.dtype)) for i in program.inputs)
    front_end = openvino.frontend.FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing, which the front end is built on, calls itself deprecated
        # must outlive the conversion
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
