"""Late Fusion CNN (Zhang et al., "A Late Fusion CNN for Digital Matting", CVPR 2019), torch only.

One encoder, a foreground and a background decoder of five blocks each, and a fusion network without
down-sampling (sec. 3, figure 2). Both sizes are built by the same code: :func:`late_fusion` as printed,
:func:`late_fusion_live` with a light encoder and fewer decoder channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from livematte.inference.encoders import DenseNet201, EfficientNetLite0

STRIDE = 32
"""Height and width of the input must be multiples of this."""


class LateFusionOutput(NamedTuple):
    """Outputs of the network; every map is (N, 1, H, W) in [0, 1] unless stated otherwise."""

    alpha: Tensor
    foreground: Tensor
    """Foreground probability, F-bar in the paper: an upper bound of alpha (sec. 3.2)."""
    background: Tensor
    """Background probability, B-bar: ``1 - background`` is a lower bound of alpha."""
    blend: Tensor
    """Blending weight, beta in eq. 2."""
    foreground_sides: list[Tensor]
    """Side logits of the foreground decoder's blocks, coarse to fine (N, 1, h, w); not in [0, 1]."""
    background_sides: list[Tensor]


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    """The figure's "3x3 Conv+BN+ReLU"."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class DecoderBlock(nn.Module):
    """Up-sample by deconvolution, concatenate the encoder's feature of that size, convolve (sec. 3.2)."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 2, 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.conv = _conv(outputs + skip, outputs)
        self.side = nn.Conv2d(outputs, 1, 1)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """(N, inputs, h, w) and the encoder's feature of 2h x 2w to (N, outputs, 2h, 2w)."""
        x = torch.relu(self.norm(self.up(x)))
        if skip is not None:
            x = torch.cat((x, skip), 1)
        out: Tensor = self.conv(x)
        return out


class LateFusionDecoder(nn.Module):
    """Five decoder blocks, coarse to fine; the last one concatenates no encoder feature."""

    def __init__(self, encoder: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        skips = (*reversed(encoder[:-1]), 0)
        inputs = (encoder[-1], *widths[:-1])
        self.blocks = nn.ModuleList(
            DecoderBlock(i, s, o) for i, s, o in zip(inputs, skips, widths, strict=True)
        )

    def forward(self, features: list[Tensor], sides: bool) -> tuple[Tensor, list[Tensor]]:
        """Full-size features, and the side logits: of every block if ``sides`` is true, else of the last."""
        x = features[-1]
        skips: list[Tensor | None] = [*reversed(features[:-1]), None]
        logits = []
        for index, (block, skip) in enumerate(zip(self.blocks, skips, strict=True)):
            assert isinstance(block, DecoderBlock)
            x = block(x, skip)
            if sides or index == len(self.blocks) - 1:
                logits.append(block.side(x))
        return x, logits


class Fusion(nn.Module):
    """Five 3x3 convolutions and a sigmoid layer that predict the blending weight (sec. 3.3)."""

    def __init__(self, decoder: int, image: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.image = _conv(3, image)
        inputs = (2 * decoder + image, *widths[:-1])
        self.convs = nn.Sequential(*(_conv(i, o) for i, o in zip(inputs, widths, strict=True)))
        self.blend = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, rgb: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
        """The blending weight (N, 1, H, W) from the picture and both decoders' last features."""
        x = torch.cat((self.image(rgb), foreground, background), 1)
        return torch.sigmoid(self.blend(self.convs(x)))


class LateFusion(nn.Module):
    """The whole network. ``forward`` takes RGB in [0, 1], (N, 3, H, W), H and W multiples of 32."""

    def __init__(
        self,
        encoder: EfficientNetLite0 | DenseNet201,
        decoder: tuple[int, ...],
        image: int,
        fusion: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.foreground = LateFusionDecoder(encoder.channels, decoder)
        self.background = LateFusionDecoder(encoder.channels, decoder)
        self.fusion = Fusion(decoder[-1], image, fusion)

    def segment(self, rgb: Tensor) -> LateFusionOutput:
        """The segmentation network alone, with side logits; alpha is the mean of its two bounds."""
        features = self.encoder(rgb)
        _, f_sides = self.foreground(features, True)
        _, b_sides = self.background(features, True)
        foreground, background = torch.sigmoid(f_sides[-1]), torch.sigmoid(b_sides[-1])
        half = torch.full_like(foreground, 0.5)
        alpha = 0.5 * (foreground + 1 - background)
        return LateFusionOutput(alpha, foreground, background, half, f_sides, b_sides)

    def forward(self, rgb: Tensor, sides: bool = False) -> LateFusionOutput:
        """Both networks; ``sides`` returns the side logits of every block, not only of the last."""
        features = self.encoder(rgb)
        f, f_sides = self.foreground(features, sides)
        b, b_sides = self.background(features, sides)
        foreground, background = torch.sigmoid(f_sides[-1]), torch.sigmoid(b_sides[-1])
        blend = self.fusion(rgb, f, b)
        alpha = blend * foreground + (1 - blend) * (1 - background)  # eq. 2
        return LateFusionOutput(alpha, foreground, background, blend, f_sides, b_sides)


def late_fusion() -> LateFusion:
    """The printed size: DenseNet-201 encoder, fusion widths of figure 2."""
    return LateFusion(DenseNet201(), (512, 256, 128, 64, 64), image=64, fusion=(256, 256, 128, 128, 64))


def late_fusion_live() -> LateFusion:
    """The live size: EfficientNet-Lite0 encoder; the same decoders and fusion with fewer channels."""
    return LateFusion(EfficientNetLite0(), (128, 80, 48, 24, 16), image=8, fusion=(16, 16, 8, 8, 8))
