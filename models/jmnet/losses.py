"""The losses of the JMNet paper, equations 3 to 6. Sums over pixels are means, except in eq. 3."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from livematte.models.jmnet.network import JMNetOutput
from livematte.training.losses import gradient


def pose(heatmaps: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """L_p, eq. 3: squared distance of a picture's heatmaps (N, 25, h, w), mean over pictures.

    A sum over the map, as printed: a joint covers the same few pixels in pictures of all sizes, and the
    weight 0.001 of eq. 6 is made for a sum.

    Args:
        known: (N, 1, 1, 1); pictures with 0 have no loss.
    """
    squares = (known * (heatmaps - truth).square()).sum((1, 2, 3))
    return squares.sum() / known.sum().clamp(min=1)


def trimap(logits: Tensor, truth: Tensor) -> Tensor:
    """L_t, eq. 4: binary cross-entropy of each class's probability, mean over classes and pixels.

    Args:
        logits: (N, 3, H, W), before the softmax.
        truth: (N, 3, H, W), 1 in one of the classes and 0 in the others.
    """
    log = torch.log_softmax(logits, 1)
    log_others = torch.logaddexp(log.roll(1, 1), log.roll(2, 1))  # log(1 - t): the other two classes
    return -(truth * log + (1 - truth) * log_others).mean()


def alpha(predicted: Tensor, truth: Tensor) -> Tensor:
    """The first term of eq. 5: L1 distance of alphas (N, 1, H, W)."""
    return (predicted - truth).abs().mean()


def composition(
    predicted: Tensor, truth: Tensor, foreground: Tensor, background: Tensor, known: Tensor
) -> Tensor:
    """The second term of eq. 5: L1 distance of the two composites (eq. 1), one with each alpha.

    Args:
        foreground, background: straight RGB (N, 3, H, W) in [0, 1].
        known: (N, 1, 1, 1); pictures with 0, whose layers are unknown, have no loss.
    """
    composed = predicted * foreground + (1 - predicted) * background
    picture = truth * foreground + (1 - truth) * background
    distances = (known * (composed - picture).abs()).mean((1, 2, 3))
    return distances.sum() / known.sum().clamp(min=1)


def terms(output: JMNetOutput, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The terms of eq. 3 to 5 before their weights, named as in :data:`WEIGHTS` (``gradient``: eq. 5).

    Args:
        batch: ``alpha``, ``heatmaps`` and ``posed``, ``trimap``, ``foreground``, ``background`` and
            ``layered``, as the functions above take them.
    """
    layers = batch["foreground"], batch["background"], batch["layered"]
    return {
        "pose": pose(output.heatmaps, batch["heatmaps"], batch["posed"]),
        "trimap": trimap(output.trimap, batch["trimap"]),
        "alpha": alpha(output.alpha, batch["alpha"]),
        "composition": composition(output.alpha, batch["alpha"], *layers),
        "gradient": gradient(output.alpha, batch["alpha"]),
    }


WEIGHTS = {"pose": 0.001, "trimap": 0.01, "alpha": 0.4, "composition": 0.3, "gradient": 0.3}
"""lambda_p, lambda_t (eq. 6) and lambda_alpha, lambda_I, lambda_G (eq. 5) times lambda_m = 1."""


def total(
    output: JMNetOutput, batch: dict[str, Tensor], weights: Mapping[str, float] = WEIGHTS
) -> dict[str, Tensor]:
    """The weighted terms whose sum is L, eq. 6."""
    return {name: weights[name] * value for name, value in terms(output, batch).items()}
