"""Estimate straight foreground colours of all pixels, including those with alpha 0.

Resizing and rotation of a cut-out mix neighbouring pixels. Colours just outside the alpha must therefore be
foreground colours too (FBA sec. 3.5).
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
"""Takes a photograph (H, W, 3) and its alpha (H, W); returns straight colours (H, W, 3). All are uint8."""


def extend_colors(foreground: Picture, alpha: Picture, known: int = 1) -> Picture:
    """Fill unknown pixels with a smooth extension of the known foreground colours.

    Alpha-weighted averages are interpolated with an image pyramid (Gortler et al. 1996, "The Lumigraph",
    push-pull).

    Args:
        foreground: (H, W, 3) uint8, valid where ``alpha`` >= ``known``; these pixels are not changed.
        alpha: (H, W) uint8.
    """
    weight = np.where(alpha >= known, alpha, 0).astype(np.float32)[..., None] / 255
    if not weight.any():
        return foreground
    out = _push_pull(foreground.astype(np.float32) * weight, weight)
    out = np.where((alpha >= known)[..., None], foreground, np.clip(out + 0.5, 0, 255))
    return np.asarray(out, np.uint8)


def _push_pull(sums: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """Return weighted means (h, w, 3); pixels with a low weight are blended with the next coarser level."""
    mean = sums / np.maximum(weight, 1e-6)
    height, width = weight.shape[:2]
    if max(height, width) == 1:
        return np.asarray(mean)
    size = (width + 1) // 2, (height + 1) // 2
    smaller = cv2.resize(sums, size, interpolation=cv2.INTER_AREA)
    heavier = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)[..., None]
    # double the weight at each level, so that colours of thin structures do not spread far
    grown = np.minimum(heavier * 2, 1)
    above = _push_pull(smaller * (grown / np.maximum(heavier, 1e-6)), grown)
    beyond = cv2.resize(above, (width, height), interpolation=cv2.INTER_LINEAR)
    share = np.minimum(weight, 1)
    return np.asarray(share * mean + (1 - share) * beyond)


def push_pull(image: Picture, alpha: Picture) -> Picture:
    """Estimate the foreground from extended solid colours; fast and without dependencies.

    F and B are extended from pixels with alpha near 1 and near 0. The result is the F of the nearest pair
    with I = alpha F + (1 - alpha) B.
    """
    solid = 240
    foreground = extend_colors(image, alpha, solid).astype(np.float32)
    background = extend_colors(image, 255 - alpha, solid).astype(np.float32)
    a = alpha[..., None].astype(np.float32) / 255
    residual = image - a * foreground - (1 - a) * background
    foreground += a / (a * a + (1 - a) ** 2) * residual
    return extend_colors(np.clip(foreground + 0.5, 0, 255).astype(np.uint8), alpha)


def blur_fusion(image: Picture, alpha: Picture) -> Picture:
    """Estimate the foreground with blur fusion, in two passes with radii of 45 and 5 pixels.

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
    """Estimate the foreground with pymatting (Germer et al. 2020, "Fast Multi-Level Foreground Estimation").

    Raises:
        MissingExtraError: pymatting is not installed.
    """
    return _by_pymatting("estimate_foreground_ml", image, alpha)


def closed_form(image: Picture, alpha: Picture) -> Picture:
    """Estimate the foreground with pymatting's closed-form method (Levin et al. 2008), as in FBA sec. 3.5.

    It is the most accurate and by far the slowest estimator.

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
    return extend_colors(np.asarray(np.clip(out * 255 + 0.5, 0, 255), np.uint8), alpha)
