"""POMAGAN (Yaman et al., "Alpha Matte Generation from Single Input for Portrait Matting", 2021), torch only.

Two generators, trained separately and run one after the other (sec. 3, figure 2): one segments the person,
the other predicts alpha from the picture and that segmentation. Both sizes are built by the same code:
:func:`pomagan` as printed, :func:`pomagan_live` with a light ImageNet encoder and fewer channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from livematte.inference.encoders import EfficientNetLite0

STRIDE = 32
"""Height and width of the input must be multiples of this."""

Norm = Callable[[int], nn.Module]
"""Makes a normalisation layer for the given number of channels."""


class POMAGANOutput(NamedTuple):
    """Outputs of the network, (N, 1, H, W) in [0, 1] each."""

    alpha: Tensor
    segmentation: Tensor
    """s in the paper: the probability that a pixel belongs to the person; coarse."""


def instance_norm(channels: int) -> nn.Module:
    """Normalisation of each picture separately, with learned scale and shift; suits batches of one."""
    return nn.InstanceNorm2d(channels, affine=True)


def _conv(inputs: int, outputs: int, norm: Norm, stride: int = 1) -> nn.Sequential:
    """A "convolutional layer" of figure 2."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        norm(outputs),
        nn.ReLU(inplace=True),
    )


class ConvEncoder(nn.Module):
    """Convolutional layers, the first at full size and each further one at half the size before."""

    def __init__(self, inputs: int, widths: Sequence[int], norm: Norm) -> None:
        super().__init__()
        self.channels = tuple(widths)
        before = (inputs, *widths[:-1])
        self.layers = nn.ModuleList(
            _conv(i, o, norm, 1 if level == 0 else 2)
            for level, (i, o) in enumerate(zip(before, widths, strict=True))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, inputs, H, W) to feature maps at strides 1, 2, 4, ..., finest first."""
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity shortcut (He et al. 2016, figure 5 left)."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = _conv(channels, channels, norm)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to the same shape."""
        return torch.relu(x + self.norm2(self.conv2(self.conv1(x))))


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 3x3 convolutions of several dilations in parallel, joined by a 1x1."""

    def __init__(self, channels: int, branch: int, rates: Sequence[int], norm: Norm) -> None:
        super().__init__()
        self.rates = tuple(rates)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, branch, 3, padding=rate, dilation=rate, bias=False),
                norm(branch),
                nn.ReLU(inplace=True),
            )
            for rate in rates
        )
        self.join = nn.Sequential(
            nn.Conv2d(branch * len(rates), channels, 1, bias=False), norm(channels), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to the same shape."""
        joined: Tensor = self.join(torch.cat([branch(x) for branch in self.branches], 1))
        return joined


class POMAGANDecoder(nn.Module):
    """Consecutive deconvolutions; each output is concatenated with the encoders' features of its size.

    Args:
        inputs: channels of the deepest map.
        skips: channels of the encoders' features at each size, coarse to fine; 0 for none.
        widths: output channels of the deconvolutions, one for each of ``skips``.
    """

    def __init__(self, inputs: int, skips: Sequence[int], widths: Sequence[int], norm: Norm) -> None:
        super().__init__()
        self.skips = tuple(skips)
        self.ups = nn.ModuleList()
        for skip, width in zip(skips, widths, strict=True):
            up = nn.ConvTranspose2d(inputs, width, 4, 2, padding=1, bias=False)
            self.ups.append(nn.Sequential(up, norm(width), nn.ReLU(inplace=True)))
            inputs = width + skip
        self.last = _conv(inputs, widths[-1], norm)
        self.out = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, x: Tensor, features: Sequence[Tensor]) -> Tensor:
        """From the deepest map and the encoders' features, coarse to fine, to one full-size map in [0, 1]."""
        remaining = iter(features)
        for up, skip in zip(self.ups, self.skips, strict=True):
            x = up(x)
            if skip:
                x = torch.cat((x, next(remaining)), 1)
        return torch.sigmoid(self.out(self.last(x)))


class SegmentationGenerator(nn.Module):
    """Encoder, residual blocks, ASPP, decoder, as a U-Net (sec. 3.1).

    Args:
        width: channels of residual blocks and ASPP; a 1x1 convolution is added if the encoder's deepest map
            has another number.
        decoder: channels of each deconvolution, coarse to fine: one for each of the encoder's finer features,
            and one more if the encoder's finest map is at half size.
    """

    def __init__(
        self,
        encoder: ConvEncoder | EfficientNetLite0,
        width: int,
        blocks: int,
        rates: Sequence[int],
        decoder: Sequence[int],
        norm: Norm,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        deepest = encoder.channels[-1]
        self.enter = (
            nn.Identity()
            if deepest == width
            else nn.Sequential(nn.Conv2d(deepest, width, 1, bias=False), norm(width), nn.ReLU(inplace=True))
        )
        self.residual = nn.Sequential(*(ResidualBlock(width, norm) for _ in range(blocks)))
        self.aspp = ASPP(width, width // len(rates), rates, norm)
        skips = encoder.channels[-2::-1]
        self.decoder = POMAGANDecoder(width, (*skips, *(0,) * (len(decoder) - len(skips))), decoder, norm)

    def forward(self, rgb: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W), to the segmentation s, (N, 1, H, W) in [0, 1]."""
        features = self.encoder(rgb)
        x = self.aspp(self.residual(self.enter(features[-1])))
        segmentation: Tensor = self.decoder(x, features[-2::-1])
        return segmentation


class AlphaGenerator(nn.Module):
    """Two encoders, one for the picture and one for the segmentation; residual blocks; decoder (sec. 3.2).

    The segmentation encoding block's features go, concatenated with the picture's, into the residual blocks
    and into every layer of the decoder.
    """

    def __init__(
        self,
        picture: Sequence[int],
        segmentation: Sequence[int],
        blocks: int,
        decoder: Sequence[int],
        norm: Norm,
    ) -> None:
        super().__init__()
        self.picture_encoding = ConvEncoder(3, picture, norm)
        self.segmentation_encoding = ConvEncoder(1, segmentation, norm)
        both = [p + s for p, s in zip(picture, segmentation, strict=True)]
        self.residual = nn.Sequential(*(ResidualBlock(both[-1], norm) for _ in range(blocks)))
        self.decoder = POMAGANDecoder(both[-1], both[-2::-1], decoder, norm)

    def forward(self, rgb: Tensor, segmentation: Tensor) -> Tensor:
        """RGB (N, 3, H, W) and s (N, 1, H, W), both in [0, 1], to alpha (N, 1, H, W) in [0, 1]."""
        pairs = zip(self.picture_encoding(rgb), self.segmentation_encoding(segmentation), strict=True)
        features = [torch.cat(pair, 1) for pair in pairs]
        alpha: Tensor = self.decoder(self.residual(features[-1]), features[-2::-1])
        return alpha


class POMAGAN(nn.Module):
    """Both generators, end to end. ``forward`` takes RGB in [0, 1], (N, 3, H, W), multiples of 32."""

    def __init__(self, segmentation: SegmentationGenerator, alpha: AlphaGenerator) -> None:
        super().__init__()
        self.segmentation = segmentation
        self.alpha = alpha

    def forward(self, rgb: Tensor) -> POMAGANOutput:
        """Segment the person, then predict alpha from picture and segmentation (sec. 3.3)."""
        segmentation = self.segmentation(rgb)
        return POMAGANOutput(self.alpha(rgb, segmentation), segmentation)


def folded(module: nn.Module) -> nn.Module:
    """Fold batch normalisations into the convolutions registered directly before them; returns ``module``.

    Changes ``module`` in place. The output is that of eval mode, with fewer operations.
    """
    for parent in list(module.modules()):
        for (name, conv), (after, norm) in pairwise(list(parent.named_children())):
            if isinstance(norm, nn.BatchNorm2d) and isinstance(conv, (nn.Conv2d, nn.ConvTranspose2d)):
                transposed = isinstance(conv, nn.ConvTranspose2d)
                setattr(parent, name, fuse_conv_bn_eval(conv.eval(), norm.eval(), transpose=transposed))
                setattr(parent, after, nn.Identity())
    return module


def pomagan() -> POMAGAN:
    """The printed size; the paper gives no widths; the README explains these."""
    widths = (64, 128, 256, 512, 512)
    segmentation = SegmentationGenerator(
        ConvEncoder(3, widths, instance_norm),
        width=512,
        blocks=6,
        rates=(6, 12, 18, 24),
        decoder=(512, 256, 128, 64),
        norm=instance_norm,
    )
    alpha = AlphaGenerator(
        widths, (16, 32, 64, 128, 128), blocks=6, decoder=(512, 256, 128, 64), norm=instance_norm
    )
    return POMAGAN(segmentation, alpha)


def pomagan_live() -> POMAGAN:
    """The live size: EfficientNet-Lite0 in the segmentation generator, fewer channels, batch normalisation.

    The dilations suit a map of 5x9; the picture's encoder of the alpha generator ends at stride 8.
    """
    segmentation = SegmentationGenerator(
        EfficientNetLite0(),
        width=80,
        blocks=2,
        rates=(1, 2, 3, 4),
        decoder=(64, 40, 32, 16, 8),
        norm=nn.BatchNorm2d,
    )
    alpha = AlphaGenerator(
        (8, 24, 40, 56), (4, 8, 12, 16), blocks=2, decoder=(40, 24, 8), norm=nn.BatchNorm2d
    )
    return POMAGAN(segmentation, alpha)
