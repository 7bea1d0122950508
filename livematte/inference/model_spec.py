"""Description of one size of a paper's network: its files, inputs and outputs, and how to build it.

Importing this imports neither torch nor a runtime.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from livematte.errors import ModelError
from livematte.inference import Input, Program
from livematte.inference.weights import (
    ModelCard,
    check_onnx,
    check_user_weights,
    load_into,
    sha256,
    verified_path,
)

if TYPE_CHECKING:
    from torch import nn

RGB = Input("rgb", "uint8", (1, None, None, 3), (1, 160, 288, 3))
"""The only input of a network that takes no trimap."""

FOREGROUND = "foreground_rgb"
"""An output of this name, (1, H, W, 3) straight RGB in [0, 1], becomes :attr:`Matte.foreground`."""


@dataclass(frozen=True)
class Int8Nodes:
    """The nodes of an exported ONNX graph that are quantised, as regular expressions searched in node names.

    Attributes:
        eight_bit: nodes that run in 8 bits; all others stay in float.
        keep_float: exceptions from ``eight_bit``, which stay in float.
        head: 8-bit nodes whose sums are not rounded to 8 bits again: outputs that a sigmoid follows, which
            would make the rounding visible. The empty string selects none.
    """

    eight_bit: str
    keep_float: str
    head: str = ""

    def keeps_float(self, node: str) -> bool:
        """True if the node of this name stays in float."""
        return bool(re.search(self.keep_float, node)) or not re.search(self.eight_bit, node)

    def is_head(self, node: str) -> bool:
        """True if the sums of the 8-bit node of this name stay unrounded."""
        return bool(self.head) and bool(re.search(self.head, node))


@dataclass(frozen=True)
class ModelSpec:
    """One size of a paper's network. The import paths are written as in an entry point, ``module:attribute``.

    Attributes:
        card: path of the model card; the weights are in the folder ``weights`` beside it.
        network: import path of a function without arguments that builds the untrained network.
        deployed: import path of the class that wraps the network, its weights loaded, for inference. The
            wrapper is in eval mode, takes ``inputs`` and returns ``outputs``: alpha (1, H, W) of the input's
            size first; the other maps are (1, h, w) or (1, C, h, w), of that size or smaller.
        outputs: names of the wrapper's outputs.
        extras: names of the outputs after alpha and foreground in :attr:`Matte.extras`.
        stride: heights and widths are padded to multiples of this.
        instead: name of a model with weights, for the error message if this one has none.
        batches: True if the wrapper takes several pictures at once: the first dimension of every input and
            output is then the number of pictures. False if it takes one.
        training_prefix: prefix of the network's tensors in a checkpoint that also holds other modules.
        int8: the nodes that are quantised; None if the model has no int8 file.
    """

    name: str
    card: Path
    network: str
    deployed: str
    outputs: tuple[str, ...] = ("alpha",)
    extras: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = (RGB,)
    stride: int = 32
    instead: str = ""
    batches: bool = True
    training_prefix: str = ""
    int8: Int8Nodes | None = None

    def load(self, weights: Path) -> nn.Module:
        """The wrapped network with the tensors of a safetensors file, released or from a training run.

        Raises:
            WeightsError: the file was not made for this network.
        """
        network: nn.Module = resolve_name(self.network)()
        load_into(network, weights, self.training_prefix)
        module: nn.Module = resolve_name(self.deployed)(network)
        return module


def load_program(spec: ModelSpec, card: ModelCard, weights: str | Path | None, precision: str) -> Program:
    """The network with its weights, in the forms that a runtime can execute.

    Raises:
        WeightsError: a weight file is missing, damaged, a pickle or of another architecture.
        ModelError: no weights are shipped and none were given.
    """
    name, inputs, outputs = spec.name, spec.inputs, spec.outputs
    if weights is not None:
        path = check_user_weights(weights)
        if path.suffix.lower() == ".onnx":
            check_onnx(path)
            kind = "int8" if ".int8" in path.name else "fp32"
            return Program(name, sha256(path), inputs, outputs, None, path, kind)
        return Program(name, sha256(path), inputs, outputs, partial(spec.load, path), batches=spec.batches)
    float_file, int8_file = card.file("fp16"), card.file("int8")
    if float_file is None:
        instead = f", or use --model {spec.instead}" if spec.instead else ""
        raise ModelError(
            f"no weights are shipped for {name}: train it with the recipe in its README and pass the file "
            f"with --weights{instead}"
        )
    onnx = verified_path(int8_file) if int8_file and precision != "fp32" else None
    key = int8_file.sha256 if onnx and int8_file else float_file.sha256

    def build() -> nn.Module:
        return spec.load(verified_path(float_file))

    return Program(name, key, inputs, outputs, build, onnx, batches=spec.batches)
