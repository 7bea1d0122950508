"""From a trained checkpoint to the files that are shipped: fp16 safetensors, int8 ONNX, the card.

python -m livematte.models.late_fusion.export runs/late-fusion-live/average.safetensors
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from livematte.models.late_fusion.model import LIVE
from livematte.models.late_fusion.network import DecoderBlock, LateFusion, late_fusion, late_fusion_live
from livematte.training.shipping import install, install_arguments
from livematte.weights import load_into

_BUILD = {"late-fusion-live": late_fusion_live, "late-fusion": late_fusion}


class Deployed(nn.Module):
    """The network as runtimes run it: (1, H, W, 3) uint8 RGB in, four (1, H, W) float32 maps in [0, 1] out.

    Batch normalisation after a deconvolution is folded into it, which exporters do for convolutions only.
    """

    def __init__(self, network: LateFusion) -> None:
        super().__init__()
        self.network = network.eval()
        for decoder in (network.foreground, network.background):
            for block in decoder.blocks:
                assert isinstance(block, DecoderBlock)
                block.up = fuse_conv_bn_eval(block.up, block.norm, transpose=True)
                block.norm = nn.Identity()  # type: ignore[assignment]

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Alpha, F-bar, B-bar and beta of eq. 2."""
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255))
        alpha, foreground = out.alpha.squeeze(1), out.foreground.squeeze(1)
        return alpha, foreground, out.background.squeeze(1), out.blend.squeeze(1)


def deployed(name: str, weights: Path) -> Deployed:
    """The network called ``name`` with the tensors of a safetensors file.

    Raises:
        WeightsError: the file is not this network's.
    """
    network = _BUILD[name]()
    load_into(network, weights)
    return Deployed(network)


_FLOAT = re.compile(r"_conv_stem|encoder/_act/|_blocks\.[01]/")
_HEAD = re.compile(r"/(side|blend)/Conv$")
_EIGHT_BIT = re.compile(r"/(Conv|ConvTranspose|Relu|Clip|Concat)$|_blocks\.\d+/Add$")


def keeps_float(node: str) -> bool:
    """Whether an ONNX node stays in float: stem, first blocks and the arithmetic of eq. 2.

    Measured: the first layers in float take away a third of the error.
    """
    return bool(_FLOAT.search(node)) or not _EIGHT_BIT.search(node)


def is_head(node: str) -> bool:
    """Whether an ONNX node gives logits: in 8 bits, its sums unrounded, which costs no quality and spares a
    thirteenth of the network's time.
    """
    return bool(_HEAD.search(node))


if __name__ == "__main__":
    install(LIVE, keeps_float=keeps_float, unrounded=is_head, **install_arguments(__doc__))
