"""The losses of the paper, equations 2 to 11. Maps are (N, 1, H, W), pictures (N, 3, H, W), all in [0, 1].

Norms are means over the picture instead of sums, so that no weight depends on its size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

VGG19_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""c_i of eq. 3, in (0, 1], finest layer first; the paper prints no values, these are pix2pixHD's."""

EFFICIENTNET_WEIGHTS = (1 / 50, 1 / 75, 1 / 75, 1 / 55, 1 / 17)
"""c_i of eq. 3 for EfficientNet-Lite0: 0.1 / mean magnitude of the layer's features on training pictures.

All layers then have the same weight, and with the printed lambda the perceptual loss initially does not
exceed the pixel losses. The features are ten times as large as VGG-19's: with VGG-19's c_i this term would
dominate all others (measured: 80 to 10).
"""


def binary(alpha: Tensor) -> Tensor:
    """s*, the true segmentation: 1 where the person covers more than half a pixel."""
    return (alpha > 0.5).to(alpha.dtype)


def combined(rgb: Tensor, alpha: Tensor, background: Tensor) -> Tensor:
    """I of eq. 8: the picture over an arbitrary background."""
    return rgb * alpha + background * (1 - alpha)


def _l1(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean()


def perceptual(
    features: Callable[[Tensor], Sequence[Tensor]],
    weights: Sequence[float],
    predicted: Sequence[Tensor],
    truth: Sequence[Tensor],
    scale: float = 1.0,
) -> Tensor:
    """L_per, eq. 3: weighted L1 distances of five feature maps, summed over pairs of pictures or maps.

    Args:
        features: returns five feature maps of an RGB picture.
        weights: c_i, one for each of them.
        scale: pictures are resized by this factor first.
    """
    fake = torch.cat([_as_rgb(p, scale) for p in predicted])
    with torch.no_grad():
        wanted = features(torch.cat([_as_rgb(t, scale) for t in truth]))
    total = fake.new_zeros(())
    for weight, f, w in zip(weights, features(fake), wanted, strict=True):
        total = total + weight * _l1(f, w)
    return total * len(predicted)  # a mean over the pairs became their sum


def _as_rgb(x: Tensor, scale: float) -> Tensor:
    if scale != 1:
        x = functional.interpolate(x, scale_factor=scale, mode="area")
    return x.expand(-1, 3, -1, -1)


def segmentation(rgb: Tensor, s: Tensor, truth: Tensor) -> Tensor:
    """L_seg, eq. 4: L1 of the segmentation and of the foreground it selects (eq. 2)."""
    return _l1(truth, s) + _l1(rgb * truth, rgb * s)


def alpha(rgb: Tensor, a: Tensor, truth: Tensor, background: Tensor) -> Tensor:
    """L_alpha, eq. 9: L1 of alpha, foreground and combined picture."""
    picture = _l1(combined(rgb, truth, background), combined(rgb, a, background))
    return _l1(truth, a) + _l1(rgb * truth, rgb * a) + picture


def dilated(mask: Tensor, radius: int) -> Tensor:
    """The highest value within ``radius`` pixels up, down, left and right, (N, 1, H, W)."""
    side = 2 * radius + 1
    rows = functional.max_pool2d(mask, (side, 1), 1, (radius, 0))
    return functional.max_pool2d(rows, (1, side), 1, (0, radius))


def eroded(mask: Tensor, radius: int) -> Tensor:
    """The lowest value within ``radius`` pixels; pixels outside the picture are ignored."""
    return -dilated(-mask, radius)


def border(mask: Tensor, share: float) -> Tensor:
    """The border map (figure 3): dilated minus eroded, 1 around the outline and 0 elsewhere.

    Args:
        mask: 0 or 1.
        share: the distance from the outline, as a part of the picture's shorter side.
    """
    radius = max(1, round(share * min(mask.shape[-2:])))
    return dilated(mask, radius) - eroded(mask, radius)


def segmentation_border(rgb: Tensor, s: Tensor, truth: Tensor, where: Tensor) -> Tensor:
    """L_border, eq. 5 and 6: L_seg inside the border map."""
    return segmentation(rgb, s * where, truth * where)


def alpha_border(rgb: Tensor, a: Tensor, truth: Tensor, background: Tensor, where: Tensor) -> Tensor:
    """L_border, eq. 10: L_alpha inside the border map."""
    return alpha(rgb, a * where, truth * where, background)


def fooling(logits: Sequence[Tensor]) -> Tensor:
    """The generator's part of the adversarial loss, summed over the three discriminators (eq. 7, 11)."""
    return _cross_entropy(logits, 1.0)


def telling_apart(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """The discriminators' part of the adversarial loss, the standard one (Goodfellow et al. 2014)."""
    return _cross_entropy(real, 1.0) + _cross_entropy(fake, 0.0)


def _cross_entropy(logits: Sequence[Tensor], label: float) -> Tensor:
    total = logits[0].new_zeros(())
    for level in logits:
        target = torch.full_like(level, label)
        total = total + functional.binary_cross_entropy_with_logits(level, target)
    return total
