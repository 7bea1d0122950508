"""The network of AdaMatting in the form that runtimes execute."""

from __future__ import annotations

from torch import Tensor, nn

from livematte.models.adamatting.network import BACKGROUND, FOREGROUND, UNKNOWN, AdaMatting


class DeployedAdaMatting(nn.Module):
    """Inputs: (1, H, W, 3) uint8 RGB and a trimap (1, H, W) uint8: 0, 128 or 255.

    Outputs, (1, H, W) float32: alpha in [0, 1], and the adapted trimap: 0, 0.5 or 1.
    """

    def __init__(self, network: AdaMatting) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, rgb: Tensor, trimap: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha constrained by the adapted trimap; exactly 0 or 1 where both trimaps agree on it."""
        given = 0.5 * (trimap > 63).float() + 0.5 * (trimap > 191).float()
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255), given.unsqueeze(1))
        background, unknown, foreground = (out.trimap[:, n] for n in (BACKGROUND, UNKNOWN, FOREGROUND))
        is_background = ((background > unknown) & (background >= foreground)).float()
        is_foreground = ((foreground > unknown) & (foreground > background)).float()
        sure_0, sure_1 = is_background * (given < 0.25).float(), is_foreground * (given > 0.75).float()
        alpha = out.alpha.squeeze(1) * (1 - sure_0) * (1 - sure_1) + sure_1
        return alpha, 0.5 * (1 - is_background) + 0.5 * is_foreground
