"""EfficientNet-Lite0 (Tan & Le 2019, the "lite" variant): ReLU6, no squeeze-and-excite, 3.4 M parameters.

Parameter names follow the published PyTorch port of the weights, so that
``load_state_dict(..., strict=False)`` takes them; the classifier head is left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# kernel, stride, expansion, out channels, repeats (EfficientNet, table 1, width and depth 1.0)
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _InvertedResidual(nn.Module):
    """Expand 1x1, depth-wise, project 1x1; identity shortcut where the shape is kept."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self._expand_conv = nn.Conv2d(inputs, wide, 1, bias=False) if expansion > 1 else None
        self._bn0 = _norm(wide) if expansion > 1 else None
        self._depthwise_conv = nn.Conv2d(
            wide, wide, kernel, stride, padding=kernel // 2, groups=wide, bias=False
        )
        self._bn1 = _norm(wide)
        self._project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self._act = nn.ReLU6(inplace=True)
        self._shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x
        if self._expand_conv is not None and self._bn0 is not None:
            y = self._act(self._bn0(self._expand_conv(y)))
        y = self._act(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self._shortcut else y


class EfficientNetLite0(nn.Module):
    """Features at strides 2, 4, 8, 16 and 32 of an RGB picture in [0, 1].

    The ImageNet normalisation of the published weights, ``(255 x - 127) / 128``, happens inside.
    """

    channels: tuple[int, ...] = (16, 24, 40, 112, 320)

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, padding=1, bias=False)
        self._bn0 = _norm(32)
        self._act = nn.ReLU6(inplace=True)
        blocks: list[nn.Module] = []
        inputs = 32
        for kernel, stride, expansion, outputs, repeats in _STAGES:
            for repeat in range(repeats):
                blocks.append(
                    _InvertedResidual(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion)
                )
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._taps = (0, 2, 4, 10, 15)

    def forward(self, x: Tensor) -> list[Tensor]:
        """RGB (N, 3, H, W) in [0, 1] to five feature maps, finest first."""
        x = (x * 255.0 - 127.0) / 128.0
        x = self._act(self._bn0(self._conv_stem(x)))
        features = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self._taps:
                features.append(x)
        return features

    def early_layers(self, blocks: int = 3) -> Iterable[nn.Module]:
        """The stem and the first ``blocks`` blocks: what a short fine-tuning leaves frozen."""
        return [self._conv_stem, self._bn0, *list(self._blocks)[:blocks]]

    def load_imagenet(self, weights: dict[str, Tensor]) -> None:
        """Take the published ImageNet weights; the classifier's tensors are ignored.

        Raises:
            KeyError: a tensor of this encoder is not among ``weights``.
        """
        own = self.state_dict()
        missing = [name for name in own if name not in weights and "num_batches" not in name]
        if missing:
            raise KeyError(f"ImageNet weights lack {len(missing)} tensors, first {missing[0]!r}")
        with torch.no_grad():
            self.load_state_dict({name: weights[name] for name in own if name in weights}, strict=False)
