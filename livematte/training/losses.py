"""Losses that several papers use. Maps are (N, C, H, W); sums over pixels in the papers are means here."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def gradient(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the L1 distance between the horizontal and vertical finite differences of two maps."""
    error = (prediction - target).float()
    dx = error[..., :, 1:] - error[..., :, :-1]
    dy = error[..., 1:, :] - error[..., :-1, :]
    return dx.abs().mean() + dy.abs().mean()


def _smaller(x: Tensor) -> Tensor:
    """Return the next level of a Gaussian pyramid: a 5x5 binomial blur, then every other pixel."""
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=x.dtype, device=x.device) / 16
    n, c, h, w = x.shape
    flat = functional.pad(x.reshape(n * c, 1, h, w), (2, 2, 0, 0), "replicate")
    flat = functional.conv2d(flat, taps.view(1, 1, 1, 5), stride=(1, 2))  # computes only the pixels kept
    flat = functional.pad(flat, (0, 0, 2, 2), "replicate")
    flat = functional.conv2d(flat, taps.view(1, 1, 5, 1), stride=(2, 1))
    return flat.reshape(n, c, *flat.shape[-2:])


def laplacian(prediction: Tensor, target: Tensor, levels: int = 5, weight: Tensor | None = None) -> Tensor:
    """Return the Laplacian pyramid loss: sum over levels s of ``2**(s-1)`` times the L1 distance of level s.

    Hou & Liu 2019 and FBA (Forte & Pitie 2020), table 1. Level s has 4**(s-1) times fewer pixels than the
    picture. The sum of each level is divided by the number of pixels of the picture, not of the level.

    Args:
        weight: (N, 1, H, W) >= 0, weight of each pixel; ``None`` weights all pixels equally.
    """
    with torch.autocast(prediction.device.type, enabled=False):  # blurs need fp32
        return _laplacian((prediction.float() - target.float()).contiguous(), levels, weight)


def _laplacian(difference: Tensor, levels: int, weight: Tensor | None) -> Tensor:
    """Compute the loss from the difference of both maps, since the pyramid is linear.

    ``difference`` must be contiguous: channels last is slower.
    """
    total = difference.new_zeros(())
    pixels = difference.numel()
    for level in range(levels):
        if min(difference.shape[-2:]) < 4:
            break
        smaller = _smaller(difference)
        larger = functional.interpolate(
            smaller, size=difference.shape[-2:], mode="bilinear", align_corners=False
        )
        detail = (difference - larger).abs()
        if weight is not None:
            detail = detail * functional.adaptive_avg_pool2d(weight, (detail.shape[-2], detail.shape[-1]))
        total = total + 2**level * detail.sum() / pixels
        difference = smaller
    return total
