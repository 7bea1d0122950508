"""AdaMatting (Cai et al., "Disentangled Image Matting", ICCV 2019), torch only.

One encoder of picture and trimap; a trimap decoder that classifies, an alpha decoder that regresses, and a
propagation unit that refines alpha in three recurrent steps (sec. 3.2, figure 2). Both sizes are built by
the same code: :func:`adamatting` as printed, :func:`adamatting_live` with a light encoder and fewer channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from livematte.inference.encoders import EfficientNetLite0
from livematte.inference.encoders.resnet import ResNet50

STRIDE = 32
"""Height and width of the input must be multiples of this."""

BACKGROUND, UNKNOWN, FOREGROUND = 0, 1, 2
"""Channels of the trimap decoder's logits (eq. 2)."""


class AdaMattingOutput(NamedTuple):
    """Outputs of the network."""

    trimap: Tensor
    """Logits of the adapted trimap (N, 3, H, W): background, unknown, foreground."""
    alphas: list[Tensor]
    """Alpha (N, 1, H, W): the alpha decoder's, in [0, 1]; then the one after each propagation step, which may
    be slightly outside [0, 1]. The last is the alpha estimation of eq. 4."""

    @property
    def alpha(self) -> Tensor:
        """Alpha (N, 1, H, W) in [0, 1]: the estimation constrained by the adapted trimap.

        The expectation over the three classes, P(foreground) + P(unknown) * estimation: 0 or 1 where the
        classifier is certain, and continuous where it is not.
        """
        p = torch.softmax(self.trimap, 1)
        estimation = self.alphas[-1].clamp(0, 1)
        return p[:, FOREGROUND : FOREGROUND + 1] + p[:, UNKNOWN : UNKNOWN + 1] * estimation


class ResNetEncoder(ResNet50):
    """The printed encoder: ResNet-50 of "the 4-channel input", picture and trimap (sec. 3.2, 4.1)."""

    def __init__(self) -> None:
        super().__init__(inputs=4)

    def encode(self, rgb: Tensor, trimap: Tensor) -> list[Tensor]:
        """(N, 3, H, W) and (N, 1, H, W) in [0, 1] to five maps, strides 2 to 32."""
        return self.forward(torch.cat((rgb, trimap), 1))


class LiteEncoder(EfficientNetLite0):
    """The live encoder: EfficientNet-Lite0 whose stem also sees the trimap, as three planes.

    The stem's additional channels are a separate convolution, initialised with zeros. All other tensors have
    the names and shapes of an :class:`EfficientNetLite0` without a trimap and can be loaded from one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trimap_stem = nn.Conv2d(3, self._conv_stem.out_channels, 3, 2, padding=1, bias=False)
        nn.init.zeros_(self.trimap_stem.weight)

    def encode(self, rgb: Tensor, trimap: Tensor) -> list[Tensor]:
        """(N, 3, H, W) and (N, 1, H, W) in [0, 1] to five maps, strides 2 to 32."""
        signed = 2 * trimap - 1
        planes = torch.cat((functional.relu(-signed), 1 - signed.abs(), functional.relu(signed)), 1)
        x = self._conv_stem((rgb * 255.0 - 127.0) / 128.0) + self.trimap_stem(planes)
        return self.blocks(self._act(self._bn0(x)))

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """As :meth:`EfficientNetLite0.load_imagenet`; the trimap's convolution keeps its weights."""
        super().load_imagenet({**weights, "trimap_stem.weight": self.trimap_stem.weight.detach()})

    def blocks(self, x: Tensor) -> list[Tensor]:
        """The stem's features to five maps, finest first."""
        features = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self._taps:
                features.append(x)
        return features


Encoder = ResNetEncoder | LiteEncoder


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    """A decoder's 3x3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class GlobalConv(nn.Module):
    """Global convolution (Peng et al. 2017, figure 3 B): k x 1 then 1 x k, plus 1 x k then k x 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        tall, wide = (kernel, 1), (1, kernel)
        high, broad = (kernel // 2, 0), (0, kernel // 2)
        self.left = nn.Sequential(
            nn.Conv2d(inputs, outputs, tall, padding=high), nn.Conv2d(outputs, outputs, wide, padding=broad)
        )
        self.right = nn.Sequential(
            nn.Conv2d(inputs, outputs, wide, padding=broad), nn.Conv2d(outputs, outputs, tall, padding=high)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h, w)."""
        out: Tensor = self.left(x) + self.right(x)
        return out


class SubPixel(nn.Module):
    """Twice the size by sub-pixel convolution: four channels become 2x2 pixels (Shi et al. 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, 2h, 2w)."""
        return functional.pixel_shuffle(self.conv(x), 2)


class AdaMattingDecoder(nn.Module):
    """Decoder from stride 32 to the picture's size, with global convolutions on some shortcuts.

    Args:
        encoder: channels of the encoder's maps, finest first.
        widths: channels at strides 16, 8, 4 and 2.
        shortcuts: for each stride with a shortcut, the number of channels it adds.
        kernel: size of the global convolutions.
        outputs: number of output channels.
    """

    def __init__(
        self,
        encoder: Sequence[int],
        widths: Sequence[int],
        shortcuts: dict[int, int],
        kernel: int,
        outputs: int,
    ) -> None:
        super().__init__()
        self.shortcuts = nn.ModuleDict()
        self.ups, self.convs = nn.ModuleList(), nn.ModuleList()
        before = encoder[-1]
        for level, width in zip((3, 2, 1, 0), widths, strict=True):
            stride = 2 ** (level + 1)
            brought = shortcuts.get(stride, 0)
            if brought:
                self.shortcuts[str(stride)] = GlobalConv(encoder[level], brought, kernel)
            self.ups.append(SubPixel(before, width))
            self.convs.append(_conv(width + brought, width))
            before = width
        self.last = nn.Conv2d(before, 4 * outputs, 3, padding=1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Five maps, finest first, to (N, outputs, H, W)."""
        x = features[-1]
        for level, up, conv in zip((3, 2, 1, 0), self.ups, self.convs, strict=True):
            x = up(x)
            stride = str(2 ** (level + 1))
            if stride in self.shortcuts:
                x = torch.cat((x, self.shortcuts[stride](features[level])), 1)
            x = conv(x)
        return functional.pixel_shuffle(self.last(x), 2)


class ResBlock(nn.Module):
    """Two 3x3 convolutions and the identity (He et al. 2016); no normalisation, as it runs recurrently."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) to the same shape."""
        return torch.relu(x + self.conv2(torch.relu(self.conv1(x))))


class ConvLSTM(nn.Module):
    """A convolutional LSTM cell (Shi et al. 2015, eq. 3, without peepholes)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(inputs + width, 4 * width, 3, padding=1)
        nn.init.ones_(self.gates.bias[width : 2 * width])  # type: ignore[index]  # the forget gate starts open

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Next hidden state and cell, (N, width, h, w)."""
        i, f, o, g = self.gates(torch.cat((x, hidden), 1)).chunk(4, 1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell


class Propagation(nn.Module):
    """The propagation unit: two ResBlocks and a ConvLSTM over picture, adapted trimap and alpha (sec. 3.2).

    Args:
        width: channels of the blocks and of the memory.
        fold: 1 works at the picture's size; 2 moves 2x2 pixels into channels and back (pixel unshuffle).
        steps: number of recurrent steps.
    """

    def __init__(self, width: int, fold: int = 1, steps: int = 3) -> None:
        super().__init__()
        self.fold, self.steps = fold, steps
        # One convolution of 7 planes in two parts: only alpha changes from step to step.
        self.enter = nn.Conv2d(6 * fold**2, width, 3, padding=1)
        self.enter_alpha = nn.Conv2d(fold**2, width, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(ResBlock(width), ResBlock(width))
        self.memory = ConvLSTM(width, width)
        self.leave = nn.Conv2d(width, fold**2, 3, padding=1)
        with torch.no_grad():
            self.leave.weight.mul_(0.1)  # initially close to the alpha decoder's result

    def forward(self, rgb: Tensor, trimap: Tensor, alpha: Tensor) -> list[Tensor]:
        """Alpha (N, 1, H, W) after every step.

        Args:
            rgb: (N, 3, H, W) in [0, 1].
            trimap: probabilities (N, 3, H, W).
            alpha: (N, 1, H, W) of the alpha decoder.
        """
        fixed = self.enter(functional.pixel_unshuffle(torch.cat((rgb, trimap), 1), self.fold))
        hidden = cell = torch.zeros_like(fixed)
        alphas: list[Tensor] = []
        for _ in range(self.steps):
            changing = self.enter_alpha(functional.pixel_unshuffle(alpha, self.fold))
            x = self.blocks(torch.relu(fixed + changing))
            hidden, cell = self.memory(x, hidden, cell)
            alpha = alpha + functional.pixel_shuffle(self.leave(hidden), self.fold)
            alphas.append(alpha)
        return alphas


class AdaMatting(nn.Module):
    """The whole network.

    Args:
        encoder: encoder of picture and trimap.
        widths: channels of both decoders at strides 16, 8, 4 and 2.
        shortcuts: channels that shortcuts add at those strides. The trimap decoder has the deep (16) and
            middle (8, 4) ones, the alpha decoder the middle and shallow (2) ones.
        kernel: size of the global convolutions on the shortcuts.
        propagation: the propagation unit.
    """

    def __init__(
        self,
        encoder: Encoder,
        widths: Sequence[int],
        shortcuts: Sequence[int],
        kernel: int,
        propagation: Propagation,
    ) -> None:
        super().__init__()
        deep, middle, fine, shallow = shortcuts
        self.encoder = encoder
        self.trimap_decoder = AdaMattingDecoder(
            encoder.channels, widths, {16: deep, 8: middle, 4: fine}, kernel, outputs=3
        )
        self.alpha_decoder = AdaMattingDecoder(
            encoder.channels, widths, {8: middle, 4: fine, 2: shallow}, kernel, outputs=1
        )
        self.propagation = propagation
        self.log_sigma = nn.Parameter(torch.full((2,), 4.0).log())
        """Logarithms of the task weights of eq. 3, initially 4. Only training uses them; they are part of the
        network so that checkpoints contain them."""

    def forward(self, rgb: Tensor, trimap: Tensor) -> AdaMattingOutput:
        """Matte a picture.

        Args:
            rgb: (N, 3, H, W) in [0, 1]; H and W multiples of 32.
            trimap: (N, 1, H, W): 0 background, 0.5 unknown, 1 foreground.
        """
        features = self.encoder.encode(rgb, trimap)
        logits = self.trimap_decoder(features)
        alpha = torch.sigmoid(self.alpha_decoder(features))
        steps = self.propagation(rgb, torch.softmax(logits, 1), alpha)
        return AdaMattingOutput(logits, [alpha, *steps])


def adamatting() -> AdaMatting:
    """The printed size: ResNet-50 encoder; widths are not in the paper, see README.md."""
    return AdaMatting(ResNetEncoder(), (512, 256, 128, 64), (256, 128, 64, 32), 11, Propagation(32))


def adamatting_live() -> AdaMatting:
    """The live size: EfficientNet-Lite0 encoder, the same other parts with fewer channels."""
    return AdaMatting(LiteEncoder(), (64, 32, 16, 8), (24, 16, 12, 8), 7, Propagation(8, fold=2))
