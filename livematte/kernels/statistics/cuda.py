""":mod:`livematte.kernels.statistics` on NVIDIA GPUs; nothing waits for the GPU's result."""

from __future__ import annotations

import numpy as np

from livematte.device.cuda import contiguous, empty
from livematte.device.launch import launch
from livematte.frame import Array
from livematte.kernels._shared.sources import cuda_source

SOURCE = cuda_source("statistics/statistics.cu")


def clip_with_limits(values: Array) -> tuple[Array, Array]:
    """``values`` clipped to [0, 1], and the lowest and the highest of them before: (2,) float32."""
    values = contiguous(values, np.float32)
    out, limits = empty(values.shape, np.float32), empty((2,), np.float32)
    launch(SOURCE, "clip_with_limits", (1, 1), (1024, 1), (values, out, limits, values.size))
    return out, limits


def count_opacity(alpha: Array, core: float, low: float, high: float) -> Array:
    """Number of opaque and of soft pixels: (2,) int32."""
    alpha, counts = contiguous(alpha, np.float32), empty((2,), np.int32)
    given = (alpha, float(core), float(low), float(high), counts, alpha.size)
    launch(SOURCE, "count_opacity", (1, 1), (1024, 1), given)
    return counts
