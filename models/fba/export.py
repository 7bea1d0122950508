"""From a trained checkpoint to the files that are shipped: fp16 safetensors and the card.

python -m livematte.models.fba.export runs/fba-live/average.safetensors
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from livematte.models.fba.network import FBA, fba, fba_live
from livematte.weights import load_into

_BUILD = {"fba-live": fba_live, "fba": fba}


class Deployed(nn.Module):
    """The network as runtimes run it, channels last; every map is in [0, 1]."""

    def __init__(self, network: FBA) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, rgb: Tensor, encoding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(1, H, W, 3) uint8 RGB and (1, H, W, 6) float32, to alpha (1, H, W), straight foreground
        (1, H, W, 3) and background (1, 3, H, W).
        """
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255), encoding.permute(0, 3, 1, 2))
        return out.alpha.squeeze(1), out.foreground.permute(0, 2, 3, 1), out.background


def deployed(name: str, weights: Path) -> Deployed:
    """The network called ``name`` with the tensors of a safetensors file.

    Raises:
        WeightsError: the file is not this network's.
    """
    network = _BUILD[name]()
    load_into(network, weights)
    return Deployed(network)
