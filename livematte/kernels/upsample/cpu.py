"""Fast :mod:`livematte.kernels.upsample` on the CPU."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np

from livematte.frame import Array
from livematte.kernels._shared import grid
from livematte.kernels._shared.memory import as_float32, flatten_plane
from livematte.kernels.boxes import Box, scale_box
from livematte.kernels.kinds.cpu import empty_tile_kinds, soft_cells


@lru_cache(maxsize=1)
def _loops() -> ModuleType:
    from livematte.kernels.upsample import loops  # Numba takes half a second

    return loops


def guided_coefficients(alpha: Array, luma: Array, epsilon: float, snap: float) -> tuple[Array, Array]:
    """Coefficients of ``alpha ≈ slope · luma + offset``, on a grid twice as fine as the small alpha."""
    h, w = alpha.shape
    alpha, luma = as_float32(alpha), as_float32(luma)
    loops = _loops()
    kinds = soft_cells(alpha, snap, 1)
    raw, slope = np.empty_like(alpha), np.empty_like(alpha)
    loops.guided_slopes(alpha, luma, np.float32(epsilon), kinds, raw)
    loops.mean_slopes(raw, kinds, slope)
    slope2, offset2 = np.empty((2 * h, 2 * w), np.float32), np.empty((2 * h, 2 * w), np.float32)
    cubic = grid.cubic_weights(8, 16)[8, 2:7].astype(np.float32)  # the left half of cell 4, from cells 2..6
    loops.fine_coefficients(alpha, luma, slope, kinds, np.float32(snap), cubic, slope2, offset2)
    return slope2, offset2


def upsample_alpha(luma: Array, slope: Array, offset: Array, maximum: int) -> tuple[Array, Array]:
    """Full-size alpha: ``slope · luma + offset``, both interpolated linearly, clipped to [0, 1]."""
    height, width = slope.shape
    return upsample_crop(luma, slope, offset, maximum, (0, height, 0, width), (height, width))


def upsample_crop(
    luma: Array, slope: Array, offset: Array, maximum: int, box: Box, size: tuple[int, int]
) -> tuple[Array, Array]:
    """:func:`upsample_alpha` of the part of the picture that a ``box`` of the maps covers."""
    top, bottom, left, right = scale_box(box, size, luma.shape)
    rows, columns = (grid.linear_table(n, m) for n, m in zip(size, luma.shape, strict=True))
    rows = grid.crop_table(rows, top, bottom, box[0], slope.shape[0])
    columns = grid.crop_table(columns, left, right, box[2], slope.shape[1])
    shape = bottom - top, right - left
    flat, stride = flatten_plane(luma[top:bottom, left:right])
    alpha, kinds = np.empty(shape, luma.dtype), empty_tile_kinds(*shape)
    codes = np.multiply(offset, np.float32(maximum), dtype=np.float32)
    _loops().upsample_alpha(
        flat, stride, shape, np.ascontiguousarray(slope), codes, rows, columns, maximum, alpha.reshape(-1),
        kinds,
    )  # fmt: skip
    return alpha, kinds
