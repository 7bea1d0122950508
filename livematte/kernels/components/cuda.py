""":mod:`livematte.kernels.components` on NVIDIA GPUs; nothing waits for the GPU's result."""

from __future__ import annotations

import numpy as np

from livematte.device.cuda import contiguous, empty
from livematte.device.launch import launch_samples
from livematte.frame import Array
from livematte.kernels._shared.sources import cuda_source

SOURCE = cuda_source("components/components.cu")

_PART = 16
"""Pixels of a row that one thread counts; as in ``components.cu``."""


def remove_small_components(
    alpha: Array, faint: float, core: float, least: int, share: int, reach: int
) -> Array:
    """Set alpha to 0 outside of large connected components."""
    alpha = contiguous(alpha, np.float32)
    h, w = alpha.shape
    labels, cores, largest = empty((h, w), np.int32), empty((h, w), np.int32), empty((1,), np.int32)
    launch_samples(SOURCE, "init_labels", (h * w,), alpha, float(faint), labels, cores, largest)
    launch_samples(SOURCE, "merge_labels", (h, w), labels)
    launch_samples(SOURCE, "count_cores", (h, -(-w // _PART)), alpha, float(core), labels, cores, largest, w)
    out = empty((h, w), np.float32)
    given = (alpha, labels, cores, largest, least, share, reach, out)
    launch_samples(SOURCE, "remove_small_components", (h, w), *given)
    return out
