"""From a trained checkpoint to the files that are shipped: fp16 safetensors, int8 ONNX, the card.

python -m livematte.models.pomagan.export runs/pomagan-live/average.safetensors
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor, nn

from livematte.models.pomagan.model import LIVE
from livematte.models.pomagan.network import POMAGAN, folded, pomagan, pomagan_live
from livematte.training.shipping import install, install_arguments
from livematte.weights import load_into

_BUILD = {"pomagan-live": pomagan_live, "pomagan": pomagan}

PART = "deployable."
"""Of a training's tensors those that are shipped; the rest are discriminators and features."""


class Deployed(nn.Module):
    """The network as runtimes run it: (1, H, W, 3) uint8 RGB in, two (1, H, W) float32 maps in [0, 1] out."""

    def __init__(self, network: POMAGAN) -> None:
        super().__init__()
        self.network = folded(network.eval())

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and the segmentation it was made of."""
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255))
        return out.alpha.squeeze(1), out.segmentation.squeeze(1)


def deployed(name: str, weights: Path) -> Deployed:
    """The network called ``name`` with the tensors of a safetensors file, shipped or as a training leaves it.

    Raises:
        WeightsError: the file is not this network's.
    """
    network = _BUILD[name]()
    load_into(network, weights, PART)
    return Deployed(network)


_FLOAT = re.compile(r"/out/|_conv_stem|encoder/_act/|_blocks\.[01]/|encoding/layers\.0/")
_EIGHT_BIT = re.compile(r"/(Conv|ConvTranspose|Relu|Clip|Concat)(_\d+)?$|(_blocks|residual)\.\d+/Add$")


def keeps_float(node: str) -> bool:
    """Whether an ONNX node stays in float: each encoder's first layers, the outputs, and what is no layer."""
    return bool(_FLOAT.search(node)) or not _EIGHT_BIT.search(node)


if __name__ == "__main__":
    install(LIVE, part=PART, keeps_float=keeps_float, **install_arguments(__doc__))
