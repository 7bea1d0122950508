""":mod:`livematte.kernels.accumulate` on NVIDIA GPUs."""

from __future__ import annotations

import numpy as np

from livematte.device.cuda import contiguous
from livematte.device.launch import launch_samples, plane_arguments
from livematte.frame import Array
from livematte.kernels._shared.sources import cuda_source

SOURCE = cuda_source("accumulate/accumulate.cu")


def add_weighted(weight: Array, given: Array, sums: Array, weights: Array) -> None:
    """In place: ``sums += weight · given``, (c, h, w) float32, and ``weights += weight``, (h, w)."""
    values, size = contiguous(given, np.float32), sums.itemsize
    strides = sums.strides[0] // size, sums.strides[1] // size
    launch_samples(
        SOURCE, "add_weighted", weight.shape, *plane_arguments(weight), values, sums, *strides, weights,
        weights.strides[0] // size, values.shape[0],
    )  # fmt: skip
