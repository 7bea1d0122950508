""":mod:`livematte.kernels.foreground` on NVIDIA GPUs."""

from __future__ import annotations

import numpy as np

from livematte.device.cuda import contiguous, empty
from livematte.device.launch import launch_samples
from livematte.frame import Array
from livematte.kernels._shared.sources import cuda_source

SOURCE = cuda_source("foreground/foreground.cu")


def estimate_colors(
    planes: Array, alpha: Array, radii: tuple[int, int], foreground: Array | None = None
) -> tuple[Array, Array]:
    """Smooth foreground and background colours by blur-fusion (Forte 2021, eq. 4-7), two passes."""
    planes, alpha = contiguous(planes, np.float32), contiguous(alpha, np.float32)
    F, B = planes, planes
    for number, radius in enumerate(radii):
        first = number == 0
        before, F, B = (F, B), empty(planes.shape, np.float32), empty(planes.shape, np.float32)
        given = (planes, *before, alpha, radius, 2 + radii[1] if first else 2, first, F, B)
        launch_samples(SOURCE, "blur_fusion", alpha.shape, *given)
    return (F if foreground is None else contiguous(foreground, np.float32)), B


def solve_background(codes: Array, foreground: Array, alpha: Array, maximum: int) -> Array:
    """The background that makes the compositing equation true, (3, h, w) float32, clipped to codes."""
    out = empty(codes.shape, np.float32)
    given = (contiguous(x, np.float32) for x in (codes, foreground, alpha))
    launch_samples(SOURCE, "solve_background", (alpha.size,), *given, maximum, out)
    return out
