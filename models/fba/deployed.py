"""The network of F, B, Alpha Matting in the form that runtimes execute."""

from __future__ import annotations

from torch import Tensor, nn

from livematte.models.fba.network import FBA


class DeployedFBA(nn.Module):
    """Inputs are channels last; every output is float32 in [0, 1]."""

    def __init__(self, network: FBA) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, rgb: Tensor, encoding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """RGB (1, H, W, 3) uint8 and encoding (1, H, W, 6) float32, to alpha (1, H, W), straight foreground
        (1, H, W, 3) and background (1, 3, H, W).
        """
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255), encoding.permute(0, 3, 1, 2))
        return out.alpha.squeeze(1), out.foreground.permute(0, 2, 3, 1), out.background
