"""The losses of the Late Fusion paper, equations 4 to 10. Maps are (N, 1, H, W); sums over p are means."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from livematte.models.late_fusion.network import LateFusionOutput
from livematte.training.losses import gradient, laplacian

LOW, HIGH = 0.02, 0.98
"""Alpha below LOW counts as 0 and above HIGH as 1: 8-bit mattes rarely reach exactly 0 or 1."""


def _transition(alpha: Tensor) -> Tensor:
    """The transition region, 0 < alpha < 1, as a mask (N, 1, H, W)."""
    return (alpha > LOW) & (alpha < HIGH)


def difference(probability: Tensor, alpha: Tensor) -> Tensor:
    """L_d, eq. 4: L1 inside transition regions, L2 elsewhere."""
    error = (probability - alpha).abs()
    return torch.where(_transition(alpha), error, error.square())


def cross_entropy(logits: Tensor, alpha: Tensor) -> Tensor:
    """CE, eq. 6: the transition region counts as foreground, with weight 0.5."""
    target = (alpha > LOW).to(logits.dtype)
    weight = torch.where(_transition(alpha), 0.5, 1.0)
    return weight * functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


def branch(logits: Tensor, alpha: Tensor) -> Tensor:
    """L_F, eq. 7, whose L_g (eq. 5) is :func:`gradient`; L_B is the same with ``1 - alpha``."""
    probability = torch.sigmoid(logits)
    solid = (cross_entropy(logits, alpha) + difference(probability, alpha)).mean()
    return solid + gradient(probability, alpha)


def segmentation(output: LateFusionOutput, alpha: Tensor) -> Tensor:
    """L_F + L_B, imposed on every decoder block (sec. 3.2, "side loss")."""
    total = alpha.new_zeros(())
    for f, b in zip(output.foreground_sides, output.background_sides, strict=True):
        small = (
            alpha
            if f.shape == alpha.shape
            else functional.adaptive_avg_pool2d(alpha, (f.shape[-2], f.shape[-1]))
        )
        total = total + branch(f, small) + branch(b, 1 - small)
    return total


def fusion(output: LateFusionOutput, alpha: Tensor) -> Tensor:
    """L_u, eq. 8: weight 1 in the transition region and 0.1 elsewhere."""
    weight = torch.where(_transition(alpha), 1.0, 0.1)
    return (weight * (output.alpha - alpha).abs()).mean()


def softness(alpha: Tensor, gamma: float = 0.9) -> Tensor:
    """L_s, eq. 10, which penalises soft pixels. Alpha is clamped: the slope is infinite at 0 and 1."""
    a = alpha.clamp(1e-4, 1 - 1e-4)
    return (a.pow(gamma) + (1 - a).pow(gamma)).mean()


def joint(output: LateFusionOutput, alpha: Tensor, w1: float = 0.5, w2: float = 0.01) -> Tensor:
    """L_J, eq. 9."""
    return fusion(output, alpha) + w1 * segmentation(output, alpha) + w2 * softness(output.alpha)


def crisp(output: LateFusionOutput, alpha: Tensor) -> Tensor:
    """Not in the paper: the last step of the live size, see "Where it differs" in the README.

    L1 with weight 1 everywhere in place of eq. 8, a Laplacian pyramid term, and 0.25 of eq. 7. With the
    printed losses (squared error; weight 0.1 outside the transition region) a network this small predicts an
    alpha slightly above 0 in the background, and soft outlines.
    """
    solid = (output.alpha - alpha).abs().mean()
    return solid + laplacian(output.alpha, alpha) + 0.25 * segmentation(output, alpha)
