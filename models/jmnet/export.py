"""From a trained checkpoint to the files that are shipped: fp16 safetensors, int8 ONNX, the card.

python -m livematte.models.jmnet.export runs/jmnet-live/average.safetensors
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor, nn

from livematte.models.jmnet.model import LIVE
from livematte.models.jmnet.network import JMNet, jmnet, jmnet_live, probabilities
from livematte.training.shipping import install, install_arguments
from livematte.weights import load_into

_BUILD = {"jmnet-live": jmnet_live, "jmnet": jmnet}


class Deployed(nn.Module):
    """The network as runtimes run it: (1, H, W, 3) uint8 RGB in; out, all float32 in [0, 1], alpha (1, H, W),
    heatmaps (1, 25, H/8, W/8) and the trimap's probabilities (1, 3, H, W).

    Heatmaps of the picture's size would cost a fifth of the whole network's time.
    """

    def __init__(self, network: JMNet) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Alpha of eq. 2 and the outputs of the first two subnetworks."""
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255))
        return out.alpha.squeeze(1), out.heatmaps.clamp(0, 1), probabilities(out.trimap)


def deployed(name: str, weights: Path) -> Deployed:
    """The network called ``name`` with the tensors of a safetensors file.

    Raises:
        WeightsError: the file is not this network's.
    """
    network = _BUILD[name]()
    load_into(network, weights)
    return Deployed(network)


_FLOAT = re.compile(r"_conv_stem|encoder/_act/|_blocks\.[01]/|/(conv4|refine4|conv3_3)/Conv$")
_EIGHT_BIT = re.compile(r"/(Conv|Relu|Clip)(_\d+)?$|_blocks\.\d+/Add$")


def keeps_float(node: str) -> bool:
    """Whether an ONNX node stays in float: the first layers, the last of each subnetwork, what is no layer.

    Table 1's concatenations too: what they bring together has ranges of its own, and one for all would be
    coarse. Measured: it costs no time.
    """
    return bool(_FLOAT.search(node)) or not _EIGHT_BIT.search(node)


if __name__ == "__main__":
    install(LIVE, keeps_float=keeps_float, **install_arguments(__doc__))
