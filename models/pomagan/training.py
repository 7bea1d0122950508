"""Parts used only in training: discriminators at three scales, perceptual features, and their container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from livematte.errors import WeightsError
from livematte.inference.encoders import EfficientNetLite0
from livematte.models.pomagan.network import POMAGAN, folded, instance_norm


class Discriminator(nn.Module):
    """Classifies overlapping patches as real or generated (Wang et al. 2018, pix2pixHD, appendix B)."""

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for level, width in enumerate(widths):
            layers.append(nn.Conv2d(inputs, width, 4, 2, padding=1, bias=level == 0))
            if level:
                layers.append(instance_norm(width))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to logits (N, 1, h, w), above 0 for real."""
        logits: Tensor = self.layers(x)
        return logits


class MultiScaleDiscriminator(nn.Module):
    """Three identical discriminators, at full, half and quarter size (sec. 3.1)."""

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.scales = nn.ModuleList(Discriminator(inputs, widths) for _ in range(3))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, inputs, H, W), the picture among them, to three logit maps, finest first."""
        pyramid = (x, functional.avg_pool2d(x, 2), functional.avg_pool2d(x, 4))
        return [scale(level) for scale, level in zip(self.scales, pyramid, strict=True)]


_VGG19 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)
"""Widths of the 3x3 convolutions, 0 for pooling (Simonyan & Zisserman 2015, table 1, E) up to conv5_1."""


class VGG19Features(nn.Module):
    """relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 of VGG-19, for RGB in [0, 1].

    Args:
        weights: ImageNet weights under their usual names, ``features.0.weight`` and so on.

    Raises:
        WeightsError: a tensor is missing or of another shape.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", mean.view(1, 3, 1, 1), False)
        self.register_buffer("deviation", deviation.view(1, 3, 1, 1), False)
        layers: list[nn.Module] = []
        inputs = 3
        for width in _VGG19:
            if width:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self._taps = (1, 6, 11, 20, 29)
        for name, own in self.state_dict().items():
            if name not in weights or weights[name].shape != own.shape:
                raise WeightsError(
                    f"the VGG-19 weights have no tensor {name} {tuple(own.shape)}: save the state_dict of a "
                    "published VGG-19 (without batch normalisation) as safetensors"
                )
            own.copy_(weights[name])

    def forward(self, x: Tensor) -> list[Tensor]:
        """RGB (N, 3, H, W) in [0, 1] to five feature maps, finest first."""
        x = (x - self.mean) / self.deviation
        features = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                features.append(x)
        return features


class TrainedPOMAGAN(nn.Module):
    """The network, ``deployable``, with its discriminators and perceptual features.

    Args:
        widths: channels of each discriminator's layers.
        features: returns five feature maps of an RGB picture, for the perceptual loss (eq. 3).
    """

    alpha_begun: Tensor
    """True after training of the alpha generator has begun; before, the segmentation is the best alpha."""

    def __init__(
        self, deployable: POMAGAN, widths: Sequence[int], features: VGG19Features | EfficientNetLite0
    ) -> None:
        super().__init__()
        self.deployable = deployable
        self.segmentation_discriminator = MultiScaleDiscriminator(3 + 1, widths)
        self.alpha_discriminator = MultiScaleDiscriminator(3 + 1 + 3 + 3, widths)
        self.features = folded(features.eval()).requires_grad_(False)
        self.register_buffer("alpha_begun", torch.tensor(False))
        self.made: tuple[object, Tensor] | None = None
        """A batch and the generator's last output for it, detached; the discriminators reuse it."""
