"""The losses of table 1 and their sum, eq. 2. Maps are (N, C, H, W).

Norms add up a pixel's channels, as printed; sums over pixels are means, so that no weight depends on the
picture's size. C, F, B and alpha are the picture and its truth; a hat marks what the network predicts.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from livematte.models.fba.network import FBAOutput
from livematte.training.losses import laplacian
from livematte.training.recipe import Batch

COLOR_WEIGHT = 0.25
"""Weight of the four losses on F and B in eq. 2."""


def norm(x: Tensor) -> Tensor:
    """Mean over pixels of the L1 norm over channels."""
    return x.abs().sum(1).mean()


def gradient(x: Tensor) -> Tensor:
    """Forward differences along x, then y: (N, 2C, H, W), 0 in the last column and the last row."""
    dx = functional.pad(x[..., :, 1:] - x[..., :, :-1], (0, 1))
    dy = functional.pad(x[..., 1:, :] - x[..., :-1, :], (0, 0, 0, 1))
    return torch.cat((dx, dy), 1)


def over(F: Tensor, B: Tensor, alpha: Tensor) -> Tensor:
    """The compositing equation, eq. 1."""
    return alpha * F + (1 - alpha) * B


def exclusion(F: Tensor, B: Tensor) -> Tensor:
    """L_excl: penalises pixels where both layers have an edge."""
    return (gradient(F).abs().sum(1) * gradient(B).abs().sum(1)).mean()


def alpha_losses(output: FBAOutput, batch: Batch) -> dict[str, Tensor]:
    """The left half of table 1."""
    C, F, B, alpha = (batch[k] for k in ("rgb", "foreground", "background", "alpha"))
    return {
        "alpha": norm(output.alpha - alpha),
        "alpha_composition": norm(C - over(F, B, output.alpha)),
        "alpha_laplacian": laplacian(output.alpha, alpha),
        "alpha_gradient": norm(gradient(output.alpha) - gradient(alpha)),
    }


def color_losses(output: FBAOutput, batch: Batch) -> dict[str, Tensor]:
    """The right half of table 1, over the whole picture (table 3, model 11)."""
    C, F, B, alpha = (batch[k] for k in ("rgb", "foreground", "background", "alpha"))
    F_hat, B_hat = output.foreground, output.background
    channels = F.shape[1]  # the pyramid's distances are means over channels
    return {
        "color": norm(F_hat - F) + norm(B_hat - B),
        "color_laplacian": channels * (laplacian(F_hat, F) + laplacian(B_hat, B)),
        "color_exclusion": exclusion(F_hat, B_hat),
        "color_composition": norm(C - over(F_hat, B_hat, alpha)),
    }


def terms(output: FBAOutput, batch: Batch) -> dict[str, Tensor]:
    """The eight terms whose sum is eq. 2.

    Args:
        batch: ``rgb``, ``alpha``, and the straight ``foreground`` and ``background`` (N, 3, H, W), in [0, 1].
    """
    colors = {name: COLOR_WEIGHT * value for name, value in color_losses(output, batch).items()}
    return alpha_losses(output, batch) | colors
