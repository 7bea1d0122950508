"""Definition of :mod:`livematte.kernels.foreground`, in NumPy."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array
from livematte.kernels._shared.means import window_mean
from livematte.kernels.kinds.reference import SOFT, soft_cells


def estimate_colors(
    planes: Array, alpha: Array, radii: tuple[int, int], foreground: Array | None = None
) -> tuple[Array, Array]:
    """Smooth foreground and background colours by blur-fusion (Forte 2021, eq. 4-7), two passes.

    Args:
        planes: (3, h, w) float32, the small picture in RGB or the frame's own codes.
        alpha: (h, w) float32 in [0, 1].
        radii: window radius of the first, wide pass and of the second, narrow one.
        foreground: (3, h, w) float32 of the same space, if a model brings its own; else estimated.

    Returns:
        F̂, B̂: (3, h, w) float32, to be fused with each full-size pixel. If alpha is all 0 or all 1
        within two cells (within the second radius more in the first pass) they are the picture itself.
    """
    a = alpha.astype(np.float64)
    image = planes.astype(np.float64)
    F, B = image, image
    F_hat, B_hat = image, image
    for radius, reach in zip(radii, (2 + radii[1], 2), strict=True):
        front = window_mean(a, radius)
        back = 1 - front
        soft = soft_cells(alpha, 0.0, reach) == SOFT
        # Far from either there is nothing to average: the picture itself is the best guess.
        F_hat = np.where(soft & (front > 1e-3), _plane_means(a * F, radius) / (front + 1e-4), image)
        B_hat = np.where(soft & (back > 1e-3), _plane_means((1 - a) * B, radius) / (back + 1e-4), image)
        rest = image - a * F_hat - (1 - a) * B_hat
        F, B = np.where(soft, F_hat + a * rest, image), np.where(soft, B_hat + (1 - a) * rest, image)
    if foreground is not None:
        F_hat = foreground
    return np.asarray(F_hat, np.float32), np.asarray(B_hat, np.float32)


def _plane_means(planes: Array, radius: int) -> Array:
    return np.stack([window_mean(plane, radius) for plane in planes])


def solve_background(codes: Array, foreground: Array, alpha: Array, maximum: int) -> Array:
    """The background that makes the compositing equation true, clipped to codes.

    1 - alpha is taken as 0.05 at least: where alpha is nearly 1 any background would do.

    Args:
        codes, foreground: (3, h, w) float32.
        alpha: (h, w) float32.

    Returns:
        (3, h, w) float32.
    """
    rest = np.maximum(1 - alpha, np.float32(0.05))
    return np.asarray(np.clip((codes - alpha * foreground) / rest, 0, maximum), np.float32)
