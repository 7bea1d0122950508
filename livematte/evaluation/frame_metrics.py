"""Metrics of single frames and of pairs of consecutive frames, and pictures of their errors."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.evaluation.truth import Truth
from livematte.matting import metrics

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]


@dataclass(frozen=True)
class FrameResult:
    """Ground truth and predicted alpha of one frame.

    Attributes:
        alpha: (H, W) float32 in [0, 1].
        mask: (H, W), True for pixels to evaluate; None for all.
    """

    truth: Truth
    alpha: Alpha
    mask: NDArray[np.bool_] | None

    def person(self) -> Picture:
        """Return the true person on black, (H, W) uint8 grey, from which the true motion is estimated."""
        grey = cv2.cvtColor(self.truth.rgb, cv2.COLOR_RGB2GRAY)
        return np.asarray(grey * self.truth.alpha + 0.5, np.uint8)


def still_metrics(alpha: Alpha, truth: Alpha, mask: NDArray[np.bool_] | None) -> dict[str, float]:
    """Return the unscaled metrics of one picture; ``mask`` selects the pixels to evaluate, None all."""
    return {
        "SAD": metrics.sad(alpha, truth, mask),
        "MAD": metrics.mad(alpha, truth, mask),
        "MSE": metrics.mse(alpha, truth, mask),
        "Grad": metrics.grad(alpha, truth, mask),
        "Conn": metrics.conn(alpha, truth, mask),
    }


def temporal_metrics(before: FrameResult, now: FrameResult) -> dict[str, float]:
    """Return the metrics of two consecutive frames; none if their sizes differ (a new shot)."""
    if before.alpha.shape != now.alpha.shape:
        return {}
    four = (now.alpha, before.alpha, now.truth.alpha, before.truth.alpha)
    flow = metrics.motion(before.person(), now.person())
    return {
        "dtSSD": metrics.dtssd(*four, now.mask),
        "MESSDdt": metrics.messddt(*four, flow, before.mask),
    }


def unknown_pixels(truth: Truth) -> NDArray[np.bool_]:
    """Return (H, W), True for unknown pixels of the trimap; without one, those of the unknown band."""
    if truth.trimap is not None:
        return (truth.trimap > 0) & (truth.trimap < 255)
    return metrics.unknown_band(truth.alpha)


def draw_errors(result: FrameResult) -> Picture:
    """Return (H, 4 W, 3) uint8 RGB as described for :class:`livematte.evaluation.scoring.ErrorPicture`."""
    error = result.alpha - result.truth.alpha
    if result.mask is not None:
        error = error * result.mask
    much, little = np.clip(error, 0, 1), np.clip(-error, 0, 1)
    errors = np.stack((1 - little, 1 - much - little, 1 - much), -1)
    greys = [np.repeat(alpha[..., None], 3, 2) for alpha in (result.truth.alpha, result.alpha)]
    panels = [np.rint(np.clip(panel, 0, 1) * 255).astype(np.uint8) for panel in (*greys, errors)]
    return np.hstack((result.truth.rgb, *panels))
