""":mod:`livematte.kernels.fusion` on NVIDIA GPUs."""

from __future__ import annotations

import numpy as np

from livematte.device.cuda import contiguous, empty
from livematte.device.launch import launch_samples
from livematte.frame import Array
from livematte.kernels._shared.sources import cuda_source
from livematte.kernels.fusion.reference import ALPHA_RATIO, COLOR_RATIO

SOURCE = cuda_source("fusion/fusion.cu")


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
    """Update F, B and alpha together so that they explain the picture; new arrays."""
    colors = [empty(rgb.shape, np.float32) for _ in range(2)]
    fused = empty(alpha.shape, np.float32)
    given = (contiguous(rgb, np.uint8), *(contiguous(x, np.float32) for x in (foreground, background, alpha)))
    ratios = (float(foreground_ratio), float(background_ratio), float(alpha_ratio))
    launch_samples(SOURCE, "fuse_layers", (alpha.size,), *given, *ratios, iterations, *colors, fused)
    return colors[0], colors[1], fused
