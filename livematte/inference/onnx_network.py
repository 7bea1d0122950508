"""ONNX Runtime on the CPU."""

from __future__ import annotations

from importlib.metadata import version

from livematte.cache import cache_folder, read_cached, write_cached
from livematte.errors import ModelError, WeightsError, check_extra
from livematte.frame import Array
from livematte.inference.network import Program
from livematte.inference.shape_checks import check_input_names, check_inputs, check_outputs
from livematte.quiet import import_quietly

onnxruntime = import_quietly("onnxruntime")


class CompletedRun:
    """The result of a run that is already complete."""

    def __init__(self, arrays: tuple[Array, ...]) -> None:
        self._arrays = arrays

    def result(self) -> tuple[Array, ...]:
        """Return the arrays; see :class:`livematte.inference.Pending`."""
        return self._arrays


class OnnxNetwork:
    """Runs a program's ONNX file, or its torch module exported to ONNX, in an ONNX Runtime session."""

    runtime = "onnxruntime"
    in_flight = 1

    def __init__(self, program: Program, precision: str, threads: int, why: str) -> None:
        self.precision, self.why = precision, why
        self._program = program
        model = load_onnx(program, precision)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            outputs = [each.name for each in self._session.get_outputs()]  # fails where one is not UTF-8
            inputs = [each.name for each in self._session.get_inputs()]
        except Exception as error:  # ONNX Runtime raises classes that it does not export
            what = program.onnx or "the model exported by torch"
            raise WeightsError(f"{program.name}: ONNX Runtime cannot read {what}: {error}") from error
        check_outputs(program, outputs)
        check_input_names(program, inputs)

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once."""
        check_inputs(self._program, arrays)
        names = (i.name for i in self._program.inputs)
        feeds = dict(zip(names, arrays, strict=True))
        try:
            return tuple(self._session.run(list(self._program.outputs), feeds))
        except Exception as error:  # as above
            reason = " ".join(str(error).split())
            raise ModelError(f"{self._program.name}: ONNX Runtime cannot run it: {reason}") from error

    def submit(self, *arrays: Array) -> CompletedRun:
        """Run immediately: concurrent runs are not faster, because one run uses all threads."""
        return CompletedRun(self(*arrays))


def load_onnx(program: Program, precision: str) -> bytes:
    """Return the ONNX model of ``program`` in ``precision``, 'int8' or 'fp32'."""
    if program.onnx is not None and program.onnx_precision == precision:
        return program.onnx.read_bytes()
    return cached_onnx(program)


def cached_onnx(program: Program) -> bytes:
    """Return the torch module of ``program`` as fp32 ONNX, from the cache if it was exported before."""
    check_extra("torch", f"{program.name} from its safetensors weights", "torch")
    folder = cache_folder("onnx")
    file = folder / f"{program.name}-{program.key[:16]}-torch{version('torch')}.onnx" if folder else None
    if file is not None and (cached := read_cached(file)) is not None:
        return cached
    data = export_onnx(program)
    if file is not None:
        write_cached(file, data)
    return data


def export_onnx(program: Program) -> bytes:
    """Export the torch module of ``program`` to fp32 ONNX (opset 17) with its dynamic dimensions."""
    import io
    import warnings

    import torch

    assert program.module is not None
    module = program.module().eval().requires_grad_(False)
    examples = tuple(torch.zeros(i.example, dtype=getattr(torch, i.dtype)) for i in program.inputs)
    free = {i.name: {d: f"{i.name}_{d}" for d, n in enumerate(i.shape) if n is None} for i in program.inputs}
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that works without onnxscript is deprecated
        torch.onnx.export(
            module,
            examples,
            out,  # type: ignore[arg-type]  # accepts a buffer, although it is typed as a path
            dynamo=False,
            opset_version=17,
            input_names=[i.name for i in program.inputs],
            output_names=list(program.outputs),
            dynamic_axes=free,
        )
    return out.getvalue()
