"""The network of POMAGAN in the form that runtimes execute."""

from __future__ import annotations

from torch import Tensor, nn

from livematte.models.pomagan.network import POMAGAN, folded


class DeployedPOMAGAN(nn.Module):
    """Input: (1, H, W, 3) uint8 RGB. Outputs: two maps (1, H, W), float32 in [0, 1].

    Batch normalisation is folded into the convolutions.
    """

    def __init__(self, network: POMAGAN) -> None:
        super().__init__()
        self.network = folded(network.eval())

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha, and the segmentation from which it was computed."""
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255))
        return out.alpha.squeeze(1), out.segmentation.squeeze(1)
