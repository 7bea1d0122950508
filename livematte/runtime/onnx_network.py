"""ONNX Runtime on the CPU."""

from __future__ import annotations

from importlib.metadata import version

from livematte.errors import WeightsError
from livematte.frame import Array
from livematte.quiet import import_quietly
from livematte.runtime.network import Program
from livematte.runtime.shapes import check_inputs, check_outputs
from livematte.weights import cache_folder, write_cached

onnxruntime = import_quietly("onnxruntime")


class Done:
    """A result that was there when it was asked for."""

    def __init__(self, arrays: tuple[Array, ...]) -> None:
        self._arrays = arrays

    def result(self) -> tuple[Array, ...]:
        """What it is; see :class:`livematte.runtime.Pending`."""
        return self._arrays


class OnnxNetwork:
    """A program's ONNX file, or its torch module exported to one, in an ONNX Runtime session."""

    runtime = "onnxruntime"
    in_flight = 1

    def __init__(self, program: Program, precision: str, threads: int, why: str) -> None:
        self.precision, self.why = precision, why
        self._program = program
        model = onnx_of(program, precision)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises classes that it does not export
            what = program.onnx or "what torch exported"
            raise WeightsError(f"{program.name}: ONNX Runtime cannot read {what}: {error}") from error
        check_outputs(program, (output.name for output in self._session.get_outputs()))

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once."""
        check_inputs(self._program, arrays)
        names = (i.name for i in self._program.inputs)
        return tuple(self._session.run(list(self._program.outputs), dict(zip(names, arrays, strict=True))))

    def submit(self, *arrays: Array) -> Done:
        """Run at once: two runs side by side gain nothing here, since one fills all its threads."""
        return Done(self(*arrays))


def onnx_of(program: Program, precision: str) -> bytes:
    """The ONNX file of ``program`` in that precision, 'int8' or 'fp32'."""
    if program.onnx is not None and program.onnx_precision == precision:
        return program.onnx.read_bytes()
    return exported(program)


def exported(program: Program) -> bytes:
    """The torch module of ``program`` as fp32 ONNX, from the cache where it was made before."""
    folder = cache_folder("onnx")
    file = folder / f"{program.name}-{program.key[:16]}-torch{version('torch')}.onnx" if folder else None
    if file is not None and file.is_file():
        return file.read_bytes()
    data = export(program)
    if file is not None:
        write_cached(file, data)
    return data


def export(program: Program) -> bytes:
    """The torch module of ``program`` as fp32 ONNX (opset 17), the free lengths of its inputs left free."""
    import io
    import warnings

    import torch

    assert program.module is not None
    module = program.module().eval().requires_grad_(False)
    examples = tuple(torch.zeros(i.example, dtype=getattr(torch, i.dtype)) for i in program.inputs)
    free = {i.name: {d: f"{i.name}_{d}" for d, n in enumerate(i.shape) if n is None} for i in program.inputs}
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no onnxscript calls itself deprecated
        torch.onnx.export(
            module,
            examples,
            out,  # type: ignore[arg-type]  # takes a buffer, though its type says path
            dynamo=False,
            opset_version=17,
            input_names=[i.name for i in program.inputs],
            output_names=list(program.outputs),
            dynamic_axes=free,
        )
    return out.getvalue()
