""":mod:`livematte.kernels.upsample` on NVIDIA GPUs."""

from __future__ import annotations

import numpy as np

from livematte.device.cuda import contiguous, empty
from livematte.device.launch import launch_patches, launch_samples, plane_arguments
from livematte.frame import Array
from livematte.kernels._shared.sources import cuda_source
from livematte.kernels.boxes import Box, scale_box
from livematte.kernels.kinds.cuda import empty_tile_kinds

SOURCE = cuda_source("kinds/block.cu", "upsample/guide.cu", "upsample/upsample.cu")


def guided_coefficients(alpha: Array, luma: Array, epsilon: float, snap: float) -> tuple[Array, Array]:
    """Coefficients of ``alpha ≈ slope · luma + offset``, on a grid twice as fine as the small alpha."""
    h, w = alpha.shape
    small = contiguous(alpha, np.float32), contiguous(luma, np.float32)
    raw, kinds = empty((h, w), np.float32), empty((h, w), np.uint8)
    slope, offset = empty((2 * h, 2 * w), np.float32), empty((2 * h, 2 * w), np.float32)
    launch_samples(SOURCE, "guided_slopes", (h, w), *small, float(epsilon), float(snap), raw, kinds)
    launch_samples(SOURCE, "guided_fine", (h, w), *small, raw, kinds, float(snap), slope, offset)
    return slope, offset


def upsample_alpha(luma: Array, slope: Array, offset: Array, maximum: int) -> tuple[Array, Array]:
    """Full-size alpha: ``slope · luma + offset``, both interpolated linearly, clipped to [0, 1]."""
    height, width = slope.shape
    return upsample_crop(luma, slope, offset, maximum, (0, height, 0, width), (height, width))


def upsample_crop(
    luma: Array, slope: Array, offset: Array, maximum: int, box: Box, size: tuple[int, int]
) -> tuple[Array, Array]:
    """:func:`upsample_alpha` of the part of the picture that a ``box`` of the maps covers."""
    top, bottom, left, right = scale_box(box, size, luma.shape)
    crop, shape = luma[top:bottom, left:right], (bottom - top, right - left)
    alpha, kinds = empty(shape, luma.dtype), empty_tile_kinds(*shape)
    launch_patches(
        SOURCE, "upsample_alpha", shape, *plane_arguments(crop), contiguous(slope, np.float32),
        contiguous(offset, np.float32), *slope.shape, box[0], box[2], *size, *luma.shape, top, left, maximum,
        alpha, kinds, sample=luma.dtype.name,
    )  # fmt: skip
    return alpha, kinds
