"""DenseNet-201 (Huang et al. 2017, table 1): growth 32, blocks of 6, 12, 48 and 32 layers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class _DenseLayer(nn.Module):
    """BN-ReLU-1x1-BN-ReLU-3x3 whose output is appended to its input (DenseNet-B, sec. 3)."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.norm1(x)))
        y = self.conv2(torch.relu(self.norm2(y)))
        return torch.cat((x, y), 1)


class _Transition(nn.Module):
    """Halve the channels (compression 0.5); the picture is halved by the caller."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(torch.relu(self.norm(x)))
        return out


class DenseNet201(nn.Module):
    """Features at strides 2, 4, 8, 16 and 32, each taken right before the next down-sampling.

    The input is RGB in [0, 1]; ImageNet mean and deviation are taken off inside.
    """

    channels: tuple[int, ...] = (64, 128, 256, 896, 1920)

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), False)
        self.conv0 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.norm0 = nn.BatchNorm2d(64)
        self.blocks = nn.ModuleList()
        self.transitions = nn.ModuleList()
        width = 64
        for index, layers in enumerate((6, 12, 48, 32)):
            self.blocks.append(nn.Sequential(*(_DenseLayer(width + 32 * n, 32) for n in range(layers))))
            width += 32 * layers
            if index < 3:
                self.transitions.append(_Transition(width, width // 2))
                width //= 2
        self.norm5 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> list[Tensor]:
        """RGB (N, 3, H, W) in [0, 1] to five feature maps, finest first."""
        x = torch.relu(self.norm0(self.conv0((x - self.mean) / self.deviation)))
        features = [x]
        x = nn.functional.max_pool2d(x, 3, 2, padding=1)
        for block, transition in zip(self.blocks, self.transitions, strict=False):
            x = transition(block(x))
            features.append(x)
            x = nn.functional.avg_pool2d(x, 2)
        features.append(torch.relu(self.norm5(self.blocks[-1](x))))
        return features

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Take published ImageNet weights under the names of torchvision's DenseNet-201, old or new.

        The classifier's tensors are ignored.

        Raises:
            KeyError: a tensor of this encoder is not among ``weights``.
        """
        found = {_own_name(name): tensor for name, tensor in weights.items()}
        own = self.state_dict()
        missing = [name for name in own if name not in found and "num_batches" not in name]
        if missing:
            raise KeyError(f"ImageNet weights lack {len(missing)} tensors, first {missing[0]!r}")
        self.load_state_dict({name: found[name] for name in own if name in found}, strict=False)


def _own_name(published: str) -> str:
    """``features.denseblock1.denselayer2.norm.1.weight`` is ``blocks.0.1.norm1.weight`` here."""
    name = published.removeprefix("features.")
    name = re.sub(r"(norm|conv)\.([12])\.", r"\1\2.", name)
    name = re.sub(
        r"denseblock(\d+)\.denselayer(\d+)", lambda m: f"blocks.{int(m[1]) - 1}.{int(m[2]) - 1}", name
    )
    return re.sub(r"transition(\d+)", lambda m: f"transitions.{int(m[1]) - 1}", name)
