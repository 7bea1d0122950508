"""Definition of :mod:`livematte.kernels.fusion`, in NumPy."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array

ALPHA_RATIO, COLOR_RATIO = 10.0, 1.0
"""The paper's variances, divided by that of the picture's colour: sigma²(alpha) = 10, the others 1."""


def fuse_layers(
    rgb: Array,
    foreground: Array,
    background: Array,
    alpha: Array,
    iterations: int = 1,
    foreground_ratio: float = COLOR_RATIO,
    background_ratio: float = COLOR_RATIO,
    alpha_ratio: float = ALPHA_RATIO,
) -> tuple[Array, Array, Array]:
    """One or more block updates of F and B (eq. 4, 5), then alpha (eq. 6).

    The result of an update is clipped to [0, 1] before it is used further; the paper does not say.

    Args:
        rgb: (h, w, 3) uint8, the picture.
        foreground, background: (h, w, 3) float32 in [0, 1], straight RGB as predicted.
        alpha: (h, w) float32 in [0, 1], as predicted.
        iterations: the paper found one to be enough; 0 gives back what came in.
        foreground_ratio, background_ratio, alpha_ratio: variance of each prediction's error, divided by
            that of the picture's colour. Larger means less trust in the prediction.

    Returns:
        Foreground, background and alpha, new arrays of the shapes and ranges that came in.
    """
    C = rgb.astype(np.float32) / np.float32(255)
    F, B, a = (np.array(x, np.float32) for x in (foreground, background, alpha[..., None]))
    for _ in range(iterations):
        error = C - a * F - (1 - a) * B
        F = np.clip(foreground + np.float32(foreground_ratio) * a * error, 0, 1)  # eq. 4
        B = np.clip(background + np.float32(background_ratio) * (1 - a) * error, 0, 1)  # eq. 5
        D, r = F - B, np.float32(alpha_ratio)
        along, length = ((X * D).sum(-1, keepdims=True) for X in (C - B, D))
        a = np.clip((a + r * along) / (1 + r * length), 0, 1)  # eq. 6
    return F, B, a[..., 0]
