"""JMNet (Wu et al., "JMNet: A joint matting network for automatic human matting", CVM 2020), torch only.

A shared encoder and ASPP feed three subnetworks, each guided by those before it: pose, trimap, matting
(sec. 3.2, figure 2, table 1). Both sizes are built by the same code: :func:`jmnet` as printed,
:func:`jmnet_live` with a light encoder and fewer channels. Layers are named as the rows of table 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from livematte.inference.encoders import EfficientNetLite0, ResNet50

STRIDE = 32
"""Height and width of the input must be multiples of this."""

KEYPOINTS = 25
"""Joints of BODY_25, one heatmap each."""

BACKGROUND, UNKNOWN, FOREGROUND = 0, 1, 2
"""Channels of a trimap."""

SMALL = 8
"""Features and heatmaps are this many times smaller than the picture (sec. 3.2.3)."""


class Guides(NamedTuple):
    """Ground truth that replaces a subnetwork's own output as the input of later ones (sec. 3.4)."""

    heatmaps: Tensor
    """(N, 25, H/8, W/8) in [0, 1]."""
    posed: Tensor
    """(N, 1, 1, 1): 1 if a picture's heatmaps are known, 0 to use the network's own."""
    trimap: Tensor
    """(N, 3, H, W): 1 in one of background, unknown, foreground."""


class JMNetOutput(NamedTuple):
    """Outputs of the network: every subnetwork's own output, also if guides replaced it as an input."""

    alpha: Tensor
    """(N, 1, H, W) in [0, 1], eq. 2."""
    matting: Tensor
    """Alpha of the matting network alone, alpha_m in eq. 2, (N, 1, H, W) in [0, 1]."""
    trimap: Tensor
    """Logits of background, unknown and foreground, (N, 3, H, W)."""
    heatmaps: Tensor
    """(N, 25, H/8, W/8), about 0 to 1, not clamped."""


@dataclass(frozen=True)
class Widths:
    """The values of the "Channels" column of table 1 that the network's topology does not determine."""

    aspp: int
    rates: tuple[int, ...]
    """Dilations of the ASPP branches."""
    pose: tuple[int, int, int]
    trimap: tuple[int, int, int, int]
    refine: tuple[int, int, int]
    skip1: int
    conv1: tuple[int, int, int]
    skip2: int
    conv2: tuple[int, int, int]
    conv3: tuple[int, int]


PRINTED = Widths(
    aspp=256,
    rates=(6, 12, 18, 24),
    pose=(256, 256, 256),
    trimap=(256, 256, 256, 29),
    refine=(32, 32, 32),
    skip1=256,
    conv1=(256, 128, 64),
    skip2=64,
    conv2=(64, 64, 32),
    conv3=(32, 32),
)
"""Table 1."""

LIVE = Widths(
    aspp=64,
    rates=(2, 4, 6, 8),
    pose=(64, 48, 48),
    trimap=(64, 64, 48, 9),
    refine=(8, 8, 8),
    skip1=32,
    conv1=(48, 32, 24),
    skip2=16,
    conv2=(24, 16, 8),
    conv3=(8, 8),
)


def _conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """A convolution "followed by a BatchNorm layer and a ReLU layer" (table 1)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _convs(inputs: int, *outputs: int) -> nn.Sequential:
    return nn.Sequential(*(_conv(i, o) for i, o in zip((inputs, *outputs), outputs, strict=False)))


def enlarged(x: Tensor, factor: int) -> Tensor:
    """Bilinear upsampling."""
    return nn.functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def probabilities(logits: Tensor) -> Tensor:
    """Softmax over the channels (N, C, H, W), computed along the last axis to keep channels_last."""
    return torch.softmax(logits.permute(0, 2, 3, 1), -1).permute(0, 3, 1, 2)


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling of DeepLab-v2: dilated 3x3 convolutions, summed (sec. 3.2.1)."""

    def __init__(self, inputs: int, outputs: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False) for rate in rates
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h, w)."""
        total = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total + branch(x)
        return torch.relu(self.norm(total))


class DeepestFeatures(nn.Module):
    """Input of ASPP for an encoder that keeps stride 8 by dilation: the last feature map."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.outputs = channels[-1]

    def forward(self, features: list[Tensor]) -> Tensor:
        """(N, C, H/8, W/8)."""
        return features[-1]


class JoinedFeatures(nn.Module):
    """Input of ASPP for an encoder with stride 32: the sum of its maps of strides 8, 16 and 32.

    1x1 convolutions give all maps the same number of channels; the coarse ones are enlarged to stride 8.
    Dilating a light encoder instead would make it four times slower.
    """

    def __init__(self, channels: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.laterals = nn.ModuleList(nn.Conv2d(c, outputs, 1, bias=False) for c in channels[2:])
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, features: list[Tensor]) -> Tensor:
        """(N, C, H/8, W/8)."""
        eighth, sixteenth, deepest = (f(x) for f, x in zip(self.laterals, features[2:], strict=True))
        total = eighth + enlarged(sixteenth + enlarged(deepest, 2), 2)
        return torch.relu(self.norm(total))


class PoseBranch(nn.Module):
    """From features to one heatmap for each joint (sec. 3.2.2; table 1, "Pose network")."""

    def __init__(self, features: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv = _convs(features, *widths)
        self.conv4 = nn.Conv2d(widths[-1], KEYPOINTS, 1)
        for parameter in self.conv4.parameters():
            nn.init.normal_(parameter, std=0.001)  # heatmaps are zero almost everywhere

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) to (N, 25, h, w)."""
        heatmaps: Tensor = self.conv4(self.conv(features))
        return heatmaps


class TrimapBranch(nn.Module):
    """From features and heatmaps to three classes, with the refinement module (sec. 3.2.3; table 1)."""

    def __init__(
        self, features: int, widths: tuple[int, int, int, int], refine: tuple[int, int, int]
    ) -> None:
        super().__init__()
        self.conv = _convs(features + KEYPOINTS, *widths[:3])
        self.conv4 = _conv(widths[2], widths[3], kernel=1)
        self.refine = _convs(widths[3] + 3, *refine)
        self.refine4 = nn.Conv2d(refine[-1], 3, 3, padding=1)

    def forward(self, features: Tensor, heatmaps: Tensor, rgb: Tensor) -> Tensor:
        """(N, C, H/8, W/8), (N, 25, H/8, W/8) and (N, 3, H, W) to logits (N, 3, H, W)."""
        coarse = self.conv4(self.conv(torch.cat((features, heatmaps), 1)))
        logits: Tensor = self.refine4(self.refine(torch.cat((enlarged(coarse, SMALL), rgb), 1)))
        return logits


class MattingBranch(nn.Module):
    """From features, heatmaps, trimap and the encoder's shallow layers to alpha_m (sec. 3.2.4; table 1)."""

    def __init__(self, features: int, res1: int, res2: int, w: Widths) -> None:
        super().__init__()
        guides = KEYPOINTS + 3
        self.skip1 = _conv(res2 + guides, w.skip1)
        self.conv1 = _convs(features + w.skip1, *w.conv1)
        self.skip2 = _conv(res1 + guides, w.skip2)
        self.conv2 = _convs(w.conv1[-1] + w.skip2, *w.conv2)
        self.conv3 = _convs(w.conv2[-1] + guides + 3, *w.conv3)
        self.conv3_3 = nn.Conv2d(w.conv3[-1], 1, 3, padding=1)

    def forward(
        self, features: Tensor, shallow: list[Tensor], heatmaps: Tensor, trimap: Tensor, rgb: Tensor
    ) -> Tensor:
        """Logits (N, 1, H, W).

        Args:
            features: (N, C, H/8, W/8) of ASPP.
            shallow: the encoder's features of strides 2 and 4, "Res-1" and "Res-2".
            heatmaps: (N, 25, H/8, W/8).
            trimap: probabilities (N, 3, H, W).
        """
        res1, res2 = shallow
        pool = nn.functional.avg_pool2d
        x = self.skip1(torch.cat((res2, pool(trimap, 4), enlarged(heatmaps, 2)), 1))
        x = self.conv1(torch.cat((enlarged(features, 2), x), 1))
        skip = self.skip2(torch.cat((res1, pool(trimap, 2), enlarged(heatmaps, 4)), 1))
        x = self.conv2(torch.cat((enlarged(x, 2), skip), 1))
        x = self.conv3(torch.cat((enlarged(x, 2), trimap, enlarged(heatmaps, SMALL), rgb), 1))
        logits: Tensor = self.conv3_3(x)
        return logits


class JMNet(nn.Module):
    """The whole network. ``forward`` takes RGB in [0, 1], (N, 3, H, W), H and W multiples of 32."""

    def __init__(
        self, encoder: EfficientNetLite0 | ResNet50, deep: DeepestFeatures | JoinedFeatures, widths: Widths
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.deep = deep
        self.aspp = Aspp(deep.outputs, widths.aspp, widths.rates)
        self.pose = PoseBranch(widths.aspp, widths.pose)
        self.trimap = TrimapBranch(widths.aspp, widths.trimap, widths.refine)
        self.matting = MattingBranch(widths.aspp, encoder.channels[0], encoder.channels[1], widths)

    def forward(self, rgb: Tensor, guides: Guides | None = None) -> JMNetOutput:
        """All three subnetworks. With ``guides``, later subnetworks get these instead of earlier outputs.

        Alpha (eq. 2) then uses the given trimap.
        """
        shallow = self.encoder(rgb)
        features = self.aspp(self.deep(shallow))
        own = self.pose(features)
        heatmaps = own
        if guides is not None:
            heatmaps = guides.posed * guides.heatmaps + (1 - guides.posed) * own.detach()
        logits = self.trimap(features, heatmaps, rgb)
        trimap = probabilities(logits) if guides is None else guides.trimap
        matting = torch.sigmoid(self.matting(features, shallow[:2], heatmaps, trimap, rgb))
        foreground, unknown = trimap[:, FOREGROUND, None], trimap[:, UNKNOWN, None]
        alpha = foreground + unknown * matting  # eq. 2
        return JMNetOutput(alpha, matting, logits, own)


def jmnet() -> JMNet:
    """The printed size: ResNet-50 dilated to stride 8, table 1."""
    encoder = ResNet50(output_stride=SMALL)
    return JMNet(encoder, DeepestFeatures(encoder.channels), PRINTED)


def jmnet_live() -> JMNet:
    """The live size: EfficientNet-Lite0 encoder, the same subnetworks with fewer channels."""
    encoder = EfficientNetLite0()
    return JMNet(encoder, JoinedFeatures(encoder.channels, LIVE.aspp), LIVE)
