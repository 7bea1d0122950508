"""F, B, Alpha Matting (Forte & Pitié, arXiv 2003.07711, 2020), torch only.

One encoder, a pyramid pooling layer and one decoder with seven outputs (sec. 3.1): alpha clamped to [0, 1],
foreground and background through a sigmoid. Both sizes are built by the same code: :func:`fba` as printed,
:func:`fba_live` with a light encoder and fewer channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from livematte.inference.encoders import EfficientNetLite0, ResNet50

Norm = Callable[[int], nn.Module]

ENCODING = 6
"""Channels of the trimap's encoding: two masks, three Gaussians each (sec. 3.1)."""

POOLS = (1, 2, 3, 6)
"""Bins a side of the pyramid pooling (Zhao et al. 2017, "Pyramid Scene Parsing Network")."""


class FBAOutput(NamedTuple):
    """Outputs of the network before the fusion of sec. 3.4; all in [0, 1]."""

    alpha: Tensor
    """(N, 1, H, W)."""
    foreground: Tensor
    """(N, 3, H, W) straight RGB."""
    background: Tensor
    """(N, 3, H, W) RGB."""


class StandardisedConv2d(nn.Conv2d):
    """A convolution whose filters have mean 0 and variance 1 (Qiao et al. 2019, "Weight Standardization")."""

    def forward(self, x: Tensor) -> Tensor:
        """As any convolution."""
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
        standard = (self.weight - mean) * torch.rsqrt(variance + 1e-10)
        return functional.conv2d(
            x, standard, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


def group_norm(channels: int) -> nn.GroupNorm:
    """Groups of 32 channels (sec. 3.2)."""
    return nn.GroupNorm(max(1, channels // 32), channels)


class LiveEncoder(EfficientNetLite0):
    """EfficientNet-Lite0 with a stem of 9 channels: the published one of RGB plus one of the encoding.

    A convolution of 9 channels is the sum of one of 3 and one of 6, so the tensors of the plain encoder keep
    their names and shapes. The encoding's convolution is initialised with zeros: initially the result is that
    of the plain encoder.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trimap_stem = nn.Conv2d(ENCODING, 32, 3, 2, padding=1, bias=False)
        nn.init.zeros_(self._trimap_stem.weight)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 9, H, W), RGB in [0, 1] and the encoding, to five feature maps, finest first."""
        rgb, encoding = x[:, :3], x[:, 3:]
        rgb = (rgb * 255.0 - 127.0) / 128.0
        x = self._act(self._bn0(self._conv_stem(rgb) + self._trimap_stem(encoding)))
        features = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self._taps:
                features.append(x)
        return features

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """As :meth:`EfficientNetLite0.load_imagenet`; the encoding's convolution keeps its weights."""
        super().load_imagenet(weights | {"_trimap_stem.weight": self._trimap_stem.weight.detach()})


def _conv(inputs: int, outputs: int, kernel: int, conv: type[nn.Conv2d], norm: Norm | None) -> nn.Sequential:
    """Convolution, normalisation unless it is None, ReLU."""
    layers = [conv(inputs, outputs, kernel, padding=kernel // 2, bias=norm is None)]
    return nn.Sequential(*layers, *([norm(outputs)] if norm else []), nn.ReLU(inplace=True))


def _up(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def bins(x: Tensor, count: int) -> Tensor:
    """Means over ``count`` x ``count`` bins that tile (N, C, h, w), equal to adaptive average pooling.

    Computed as two matrix products: exporters support adaptive pooling only with bins of equal size.
    """
    for _ in range(2):
        length = x.shape[-2]
        pixel = torch.arange(length, device=x.device)[:, None]
        number = torch.arange(count, device=x.device)[None]
        inside = (pixel * count < (number + 1) * length) & ((pixel + 1) * count > number * length)
        weights = inside.to(x.dtype)
        x = x.transpose(-2, -1) @ (weights / weights.sum(0, keepdim=True))  # rows, then columns
    return x


class PyramidPooling(nn.Module):
    """Means of the features over 1, 4, 9 and 36 bins, each convolved 1x1, beside the features (PSPNet)."""

    def __init__(self, inputs: int, width: int, conv: type[nn.Conv2d], norm: Norm | None) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv(inputs, width, 1, conv, norm) for _ in POOLS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, inputs + 4 width, h, w)."""
        pooled = [_up(conv(bins(x, n)), x) for n, conv in zip(POOLS, self.convs, strict=True)]
        return torch.cat((x, *pooled), 1)


class FBA(nn.Module):
    """The whole network.

    Args:
        encoder: encoder with 9 input channels.
        stride: height and width of a picture should be multiples of this.
        skips: indices of the encoder's features that the decoder concatenates, coarse to fine.
        pool: channels of each branch of the pyramid pooling.
        widths: channels of the decoder's two convolutions at the coarsest size, then of one for each skip.
        full: channels of the convolutions at full size; a 1x1 convolution to the 7 outputs follows.
        conv, norm: convolution and normalisation of pooling and decoder.
        pool_norm: normalisation of the pooling's branches; None for none. A branch may have one value a
            picture, which batch normalisation cannot normalise.
    """

    def __init__(
        self,
        encoder: LiveEncoder | ResNet50,
        stride: int,
        skips: tuple[int, ...],
        pool: int,
        widths: tuple[int, ...],
        full: tuple[int, ...],
        conv: type[nn.Conv2d],
        norm: Norm,
        pool_norm: Norm | None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.stride = stride
        """Height and width of a picture should be multiples of this."""
        self._skips = skips
        deep = encoder.channels[-1]
        self.pool = PyramidPooling(deep, pool, conv, pool_norm)
        self.bottom = nn.Sequential(
            _conv(deep + len(POOLS) * pool, widths[0], 3, conv, norm),
            _conv(widths[0], widths[0], 3, conv, norm),
        )
        self.ups = nn.ModuleList(
            _conv(inputs + encoder.channels[skip], outputs, 3, conv, norm)
            for inputs, skip, outputs in zip(widths, skips, widths[1:], strict=False)
        )
        inputs = (widths[-1] + 3 + ENCODING, *full[:-1])
        self.full = nn.Sequential(
            *(_conv(i, o, 3, nn.Conv2d, None) for i, o in zip(inputs, full, strict=True)),
        )
        self.out = nn.Conv2d(full[-1], 7, 1)
        with torch.no_grad():
            assert self.out.bias is not None
            self.out.bias.zero_()
            self.out.bias[0] = 0.5  # initially inside [0, 1], where clamping has a gradient

    def forward(self, rgb: Tensor, encoding: Tensor) -> FBAOutput:
        """RGB (N, 3, H, W) in [0, 1] and the trimap's encoding (N, 6, H, W), see ``encoding.py``."""
        picture = torch.cat((rgb, encoding), 1)
        features = self.encoder(picture)
        x = self.bottom(self.pool(features[-1]))
        for up, skip in zip(self.ups, self._skips, strict=True):
            x = up(torch.cat((_up(x, features[skip]), features[skip]), 1))
        x = self.out(self.full(torch.cat((_up(x, picture), picture), 1)))
        return FBAOutput(x[:, :1].clamp(0, 1), torch.sigmoid(x[:, 1:4]), torch.sigmoid(x[:, 4:]))


def fba() -> FBA:
    """The printed size: ResNet-50 at stride 8 (dilations 2 and 4), group norms, standardised weights."""
    encoder = ResNet50(8, 3 + ENCODING, StandardisedConv2d, group_norm)
    widths, full = (256, 256, 64), (32, 16)
    return FBA(encoder, 8, (1, 0), 256, widths, full, StandardisedConv2d, group_norm, group_norm)


def fba_live() -> FBA:
    """The live size: EfficientNet-Lite0 with its own strides and norms; fewer channels."""
    widths, full = (80, 64, 48, 32, 24), (12, 12)
    return FBA(LiveEncoder(), 32, (3, 2, 1, 0), 32, widths, full, nn.Conv2d, nn.BatchNorm2d, None)
