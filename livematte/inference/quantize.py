"""Quantize an fp32 ONNX network to int8: static quantization in QDQ form, calibrated on real pictures.

Weights are signed 8 bit per output channel, activations unsigned 8 bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from livematte.errors import UsageError
from livematte.frame import Array
from livematte.quiet import import_quietly

ort = import_quietly("onnxruntime.quantization")


class _CalibrationReader:
    """Feeds calibration pictures to ONNX Runtime's calibrator, one at a time."""

    def __init__(self, name: str, pictures: Iterable[Array]) -> None:
        self._name, self._pictures = name, iter(pictures)

    def get_next(self) -> dict[str, Array] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {self._name: picture}

    def __len__(self) -> int:
        raise TypeError("unknown length")


def quantize(
    model: bytes,
    out: Path,
    pictures: Sequence[Array],
    keep_float: Callable[[str], bool],
    percentile: float = 99.99,
    overflow_safe: bool = False,
    unrounded: Callable[[str], bool] = lambda _: False,
) -> None:
    """Write the int8 version of an ONNX ``model`` with one input to ``out``.

    Args:
        pictures: calibration inputs, all of one shape. All activations of all pictures are held in memory:
            about 100 MB for a picture of 192x192 in a network with a hundred layers.
        keep_float: returns True for names of nodes that stay in float.
        percentile: percentage of activations inside the range that 8 bits cover.
        overflow_safe: use 7-bit weights, so that 16-bit sums cannot overflow on CPUs without VNNI.
        unrounded: returns True for names of int8 nodes whose output stays in float, e.g. heads whose sigmoid
            would show the quantization steps.

    Raises:
        UsageError: ``pictures`` is empty.
    """
    if not pictures:
        raise UsageError("calibration needs at least one picture")
    with TemporaryDirectory() as scratch:
        original, preprocessed = Path(scratch) / "fp32.onnx", Path(scratch) / "ready.onnx"
        original.write_bytes(model)
        ort.shape_inference.quant_pre_process(str(original), str(preprocessed), skip_symbolic_shape=True)
        graph = onnx.load(str(preprocessed)).graph
        ort.quantize_static(
            str(preprocessed),
            str(out),
            _CalibrationReader(graph.input[0].name, pictures),
            quant_format=ort.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=overflow_safe,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            nodes_to_exclude=[node.name for node in graph.node if keep_float(node.name)],
            calibrate_method=ort.CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": percentile},
        )
    _remove_output_quantization(out, unrounded)


def _remove_output_quantization(file: Path, names: Callable[[str], bool]) -> None:
    """Remove the QuantizeLinear and DequantizeLinear pair after each node selected by ``names``."""
    model = onnx.load(str(file))
    nodes = model.graph.node
    exact = {node.output[0] for node in nodes if names(node.name)}
    rounding = {n.output[0]: n for n in nodes if n.op_type == "QuantizeLinear" and n.input[0] in exact}
    back = {n.output[0]: n for n in nodes if n.op_type == "DequantizeLinear" and n.input[0] in rounding}
    for node in nodes:
        for place, name in enumerate(node.input):
            if name in back:
                node.input[place] = rounding[back[name].input[0]].input[0]
    for node in (*rounding.values(), *back.values()):
        nodes.remove(node)
    onnx.save(model, str(file))
