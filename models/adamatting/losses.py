"""The losses of AdaMatting, sec. 3.3: equations 2 to 4. Maps are (N, C, H, W); sums over pixels are means."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from livematte.models.adamatting.network import BACKGROUND, FOREGROUND, UNKNOWN, AdaMattingOutput
from livematte.training.losses import laplacian

LOW, HIGH = 0.02, 0.98
"""Alpha up to LOW counts as 0 and from HIGH as 1: 8-bit mattes rarely reach exactly 0 or 1."""


def optimal_trimap(alpha: Tensor) -> Tensor:
    """T_opt, eq. 2: (N, 1, H, W) alpha to (N, H, W) class numbers."""
    alpha = alpha.squeeze(1)
    classes = torch.full_like(alpha, UNKNOWN, dtype=torch.long)
    return classes.masked_fill(alpha <= LOW, BACKGROUND).masked_fill(alpha >= HIGH, FOREGROUND)


def adaptation(logits: Tensor, alpha: Tensor) -> Tensor:
    """L_T: cross-entropy of the adapted trimap with T_opt."""
    return functional.cross_entropy(logits, optimal_trimap(alpha))


def unknown(logits: Tensor) -> Tensor:
    """T~_u, (N, 1, H, W) bool: true where the adapted trimap is unknown. No gradient flows through it."""
    return logits.argmax(1, keepdim=True) == UNKNOWN


def estimation(estimate: Tensor, alpha: Tensor, region: Tensor) -> Tensor:
    """L_alpha, eq. 4: mean L1 over the pixels of a region; 0 if the region is empty."""
    error = (estimate - alpha).abs() * region
    return error.sum() / region.sum().clamp(min=1)


def estimations(output: AdaMattingOutput, alpha: Tensor, region: Tensor) -> Tensor:
    """Eq. 4: half of the last alpha's loss and half of the mean loss of all earlier alphas.

    The paper shows each propagation step's alpha (figure 3) but does not say which ones the loss uses.
    """
    *earlier, last = (estimation(a, alpha, region) for a in output.alphas)
    return 0.5 * last + 0.5 * torch.stack(earlier).mean()


def weighted(trimap: Tensor, estimate: Tensor, log_sigma: Tensor) -> dict[str, Tensor]:
    """Eq. 3, term by term: L_T / (2 s1^2), L_alpha / s2 and log(2 s1 s2), whose sum is minimised.

    Args:
        log_sigma: logarithms of s1 and s2 (2,), trained together with the network.
    """
    s1, s2 = log_sigma[0], log_sigma[1]
    return {
        "trimap": trimap * 0.5 * torch.exp(-2 * s1),
        "alpha": estimate * torch.exp(-s2),
        "sigma": torch.log(torch.tensor(2.0)) + s1 + s2,
    }


def multitask(output: AdaMattingOutput, alpha: Tensor, log_sigma: Tensor) -> dict[str, Tensor]:
    """Eq. 3 as printed: alpha has a loss only where the adapted trimap is unknown."""
    estimate = estimations(output, alpha, unknown(output.trimap))
    return weighted(adaptation(output.trimap, alpha), estimate, log_sigma)


def multitask_live(output: AdaMattingOutput, alpha: Tensor, log_sigma: Tensor) -> dict[str, Tensor]:
    """Not in the paper: eq. 3 for a short training, see "Where it differs" in the README.

    The estimation has a loss where the adapted *or* the optimal trimap is unknown: in the first iterations
    the adapted trimaps are wrong, and the estimation would learn nothing. The final alpha, constrained by the
    adapted trimap, has a loss everywhere: L1 and Laplacian pyramid.
    """
    region = unknown(output.trimap) | (optimal_trimap(alpha) == UNKNOWN).unsqueeze(1)
    shown = output.alpha
    estimate = estimations(output, alpha, region)
    estimate = estimate + (shown - alpha).abs().mean() + laplacian(shown, alpha)
    return weighted(adaptation(output.trimap, alpha), estimate, log_sigma)
