"""ResNet-50 (He et al. 2016, table 1), stride in the 3x3 convolution, and its dilated form.

Parameter names are those of the published PyTorch ImageNet weights (``conv1``, ``layer1.0.bn2``, ...); the
classifier is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

Conv = Callable[..., nn.Module]
"""Called as :class:`torch.nn.Conv2d` is."""

Norm = Callable[[int], nn.Module]
"""Makes a normalisation layer for so many channels."""


class _Bottleneck(nn.Module):
    """1x1, 3x3 (stride or dilation here), 1x1, and the shortcut (He et al. 2016, figure 5 right)."""

    def __init__(
        self, inputs: int, width: int, stride: int, dilation: int, project: bool, conv: Conv, norm: Norm
    ) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = conv(inputs, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = conv(width, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = norm(width)
        self.conv3 = conv(width, outputs, 1, bias=False)
        self.bn3 = norm(outputs)
        self.downsample = (
            nn.Sequential(conv(inputs, outputs, 1, stride=stride, bias=False), norm(outputs))
            if project
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    """Five feature maps of a picture, finest first: after the stem and after each of the four layers.

    Args:
        output_stride: 32 as published (strides 2, 4, 8, 16, 32); 16 or 8 put dilation in place of stride in
            layer 4, or in layers 3 and 4 (strides 2, 4, 8, 8, 8; dilations 2 and 4), weights unchanged
            (Chen et al. 2018, DeepLab).
        inputs: channels of the input; the first three are RGB in [0, 1], whose ImageNet mean and deviation
            are taken off inside; further ones (a trimap, say) are taken as they are.
        conv: makes the convolutions; :class:`torch.nn.Conv2d` or a subclass.
        norm: makes the normalisation layers from their channel count.

    Raises:
        ValueError: ``output_stride`` is none of 8, 16, 32.
    """

    channels: tuple[int, ...] = (64, 256, 512, 1024, 2048)

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        output_stride: int = 32,
        inputs: int = 3,
        conv: Conv = nn.Conv2d,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride {output_stride} is none of 8, 16, 32")
        mean = torch.tensor([0.485, 0.456, 0.406] + [0.0] * (inputs - 3))
        deviation = torch.tensor([0.229, 0.224, 0.225] + [1.0] * (inputs - 3))
        self.register_buffer("mean", mean.view(1, -1, 1, 1), False)
        self.register_buffer("deviation", deviation.view(1, -1, 1, 1), False)
        self.conv1 = conv(inputs, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(64)
        width, reached, dilation = 64, 4, 1
        layers = []
        for number, repeats in enumerate((3, 4, 6, 3)):
            before, stride = dilation, 1 if number == 0 else 2
            if reached * stride > output_stride:
                stride, dilation = 1, dilation * 2
            reached *= stride
            narrow = 64 * 2**number
            blocks = [_Bottleneck(width, narrow, stride, before, True, conv, norm)]
            width = 4 * narrow
            blocks += [_Bottleneck(width, narrow, 1, dilation, False, conv, norm) for _ in range(repeats - 1)]
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, inputs, H, W) to five feature maps, finest first; sizes are rounded up."""
        x = torch.relu(self.bn1(self.conv1((x - self.mean) / self.deviation)))
        features = [x]
        x = nn.functional.max_pool2d(x, 3, 2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Take published ImageNet weights; the classifier's tensors and unused statistics are ignored.

        Input channels beyond RGB start at weight zero.

        Raises:
            KeyError: a tensor of this encoder is not among ``weights``.
        """
        own = self.state_dict()
        missing = [name for name in own if name not in weights and "num_batches" not in name]
        if missing:
            raise KeyError(f"ImageNet weights lack {len(missing)} tensors, first {missing[0]!r}")
        found = {name: weights[name] for name in own if name in weights}
        first = torch.zeros_like(own["conv1.weight"])
        first[:, :3] = weights["conv1.weight"]
        self.load_state_dict(found | {"conv1.weight": first}, strict=False)
