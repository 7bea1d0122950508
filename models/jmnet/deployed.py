"""The network of JMNet in the form that runtimes execute."""

from __future__ import annotations

from torch import Tensor, nn

from livematte.models.jmnet.network import JMNet, probabilities


class DeployedJMNet(nn.Module):
    """Input: (1, H, W, 3) uint8 RGB. Outputs, float32 in [0, 1]: alpha (1, H, W), heatmaps
    (1, 25, H/8, W/8) and the trimap's probabilities (1, 3, H, W).

    The heatmaps keep an eighth of the size: enlarging them would take a fifth of the whole network's time.
    """

    def __init__(self, network: JMNet) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Alpha (eq. 2) and the outputs of the pose and the trimap network."""
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255))
        return out.alpha.squeeze(1), out.heatmaps.clamp(0, 1), probabilities(out.trimap)
