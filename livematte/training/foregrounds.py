"""Straight foreground colours of a whole picture, also where there is no foreground.

Resizing and turning a cut-out mixes neighbours, so colours just beyond the alpha get into it: they have to
be the foreground's too (FBA sec. 3.5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.errors import MissingExtraError
from livematte.training.data import Picture

Estimator = Callable[[Picture, Picture], Picture]
"""From a photograph (H, W, 3) and its alpha (H, W), both uint8, to straight colours (H, W, 3) uint8."""


def extended(foreground: Picture, alpha: Picture, known: int = 1) -> Picture:
    """Colours carried on from where they are known over the rest of the picture, ever more smoothly.

    Averages of the known pixels, weighted by alpha, are handed down a pyramid (Gortler et al. 1996, "The
    Lumigraph", push-pull).

    Args:
        foreground: (H, W, 3) uint8, valid where ``alpha`` is at least ``known``; kept there as it is.
        alpha: (H, W) uint8.
    """
    weight = np.where(alpha >= known, alpha, 0).astype(np.float32)[..., None] / 255
    if not weight.any():
        return foreground
    out = _push_pull(foreground.astype(np.float32) * weight, weight)
    out = np.where((alpha >= known)[..., None], foreground, np.clip(out + 0.5, 0, 255))
    return np.asarray(out, np.uint8)


def _push_pull(sums: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """Weighted means (h, w, 3), where there is little weight those of the level above it."""
    mean = sums / np.maximum(weight, 1e-6)
    height, width = weight.shape[:2]
    if max(height, width) == 1:
        return np.asarray(mean)
    size = (width + 1) // 2, (height + 1) // 2
    smaller = cv2.resize(sums, size, interpolation=cv2.INTER_AREA)
    heavier = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)[..., None]
    # a level's weight grows until a whole pixel is known, so that thin colours do not carry far
    grown = np.minimum(heavier * 2, 1)
    above = _push_pull(smaller * (grown / np.maximum(heavier, 1e-6)), grown)
    beyond = cv2.resize(above, (width, height), interpolation=cv2.INTER_LINEAR)
    share = np.minimum(weight, 1)
    return np.asarray(share * mean + (1 - share) * beyond)


def push_pull(image: Picture, alpha: Picture) -> Picture:
    """Fast, with nothing to install: solid colours carried on, then made to explain the picture.

    With F and B as carried on from where alpha is nearly 1 and 0, the nearest pair that fulfils
    I = alpha F + (1 - alpha) B.
    """
    solid = 240
    foreground = extended(image, alpha, solid).astype(np.float32)
    background = extended(image, 255 - alpha, solid).astype(np.float32)
    a = alpha[..., None].astype(np.float32) / 255
    unexplained = image - a * foreground - (1 - a) * background
    foreground += a / (a * a + (1 - a) ** 2) * unexplained
    return extended(np.clip(foreground + 0.5, 0, 255).astype(np.uint8), alpha)


def blur_fusion(image: Picture, alpha: Picture) -> Picture:
    """Blurred colours of both sides, then made to explain the picture; twice, with radii 45 and 5.

    Forte 2021, "Approximate Fast Foreground Colour Estimation".
    """
    i = image.astype(np.float32)
    foreground, background = i, i
    a = (alpha.astype(np.float32) / 255)[..., None]
    for size in (45, 5):
        k = (2 * size + 1, 2 * size + 1)
        blurred_a = cv2.blur(a, k)[..., None]
        f_mean = cv2.blur(foreground * a, k) / (blurred_a + 1e-4)
        b_mean = cv2.blur(background * (1 - a), k) / (1 - blurred_a + 1e-4)
        known = np.clip(blurred_a * 8, 0, 1)
        f_mean = known * f_mean + (1 - known) * i
        foreground = np.clip(f_mean + a * (i - a * f_mean - (1 - a) * b_mean), 0, 255)
        background = np.clip(b_mean, 0, 255)
    return foreground.astype(np.uint8)


def multilevel(image: Picture, alpha: Picture) -> Picture:
    """Germer et al. 2020, "Fast Multi-Level Foreground Estimation", by pymatting.

    Raises:
        MissingExtraError: pymatting is not installed.
    """
    return _by_pymatting("estimate_foreground_ml", image, alpha)


def closed_form(image: Picture, alpha: Picture) -> Picture:
    """Levin et al. 2008, as FBA sec. 3.5 has it, by pymatting: the finest, and by far the slowest.

    Raises:
        MissingExtraError: pymatting is not installed.
    """
    return _by_pymatting("estimate_foreground_cf", image, alpha)


ESTIMATORS: dict[str, Estimator] = {
    "push-pull": push_pull,
    "multilevel": multilevel,
    "closed-form": closed_form,
}


def _by_pymatting(name: str, image: Picture, alpha: Picture) -> Picture:
    try:
        import pymatting
    except ImportError as error:
        raise MissingExtraError("estimating foreground colours this way", "train") from error
    estimate = getattr(pymatting, name)
    out = estimate(image.astype(np.float64) / 255, alpha.astype(np.float64) / 255)
    return extended(np.asarray(np.clip(out * 255 + 0.5, 0, 255), np.uint8), alpha)  # anything where it is 0
