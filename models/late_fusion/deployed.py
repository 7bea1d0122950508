"""The network of Late Fusion in the form that runtimes execute."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from livematte.models.late_fusion.network import DecoderBlock, LateFusion


class DeployedLateFusion(nn.Module):
    """Input: (1, H, W, 3) uint8 RGB. Outputs: four maps (1, H, W), float32 in [0, 1].

    Batch normalisation after a deconvolution is folded into it; exporters do this for convolutions only.
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
        """Alpha, F-bar, B-bar and beta (eq. 2)."""
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255))
        alpha, foreground = out.alpha.squeeze(1), out.foreground.squeeze(1)
        return alpha, foreground, out.background.squeeze(1), out.blend.squeeze(1)
