"""An fp32 ONNX network as int8: static quantisation in QDQ form, calibrated on real pictures.

Weights are signed 8 bit for each output channel, activations unsigned 8 bit.
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


class _Pictures:
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
        pictures: calibration inputs, all of one shape. All activations of all of them are held in memory at
            once: about 100 MB for a picture of 192x192 through a network of a hundred layers.
        keep_float: says of a node's name whether that node stays in float.
        percentile: share of activations inside the range that 8 bits cover.
        overflow_safe: 7-bit weights, so that CPUs without VNNI cannot overflow 16-bit sums.
        unrounded: says of an 8-bit node's name whether its result is left as the sum came out, in float: for
            heads, whose sigmoid would show the steps.

    Raises:
        UsageError: no pictures.
    """
    if not pictures:
        raise UsageError("calibration needs pictures")
    with TemporaryDirectory() as scratch:
        whole, ready = Path(scratch) / "fp32.onnx", Path(scratch) / "ready.onnx"
        whole.write_bytes(model)
        ort.shape_inference.quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(str(ready)).graph
        ort.quantize_static(
            str(ready),
            str(out),
            _Pictures(graph.input[0].name, pictures),
            quant_format=ort.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=overflow_safe,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            nodes_to_exclude=[node.name for node in graph.node if keep_float(node.name)],
            calibrate_method=ort.CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": percentile},
        )
    _without_rounding(out, unrounded)


def _without_rounding(file: Path, names: Callable[[str], bool]) -> None:
    """Take out the pair of QuantizeLinear and DequantizeLinear after each node that ``names`` says."""
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
