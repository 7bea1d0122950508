"""Compiled loops of :mod:`livematte.kernels.upsample`.

They skip cells and tiles that are all 0 or all 1, nine in ten: that is their gain over OpenCV, which would
filter everything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels._shared.compiled import compiled
from livematte.kernels._shared.loops import find_runs, lerp_rows
from livematte.kernels.kinds.loops import classify_tile


@compiled
def guided_slopes(alpha: Any, luma: Any, epsilon: Any, kinds: Any, slope: Any) -> None:
    """The slope of alpha over luma in 3 x 3 windows of soft cells, 0 elsewhere."""
    h, w = alpha.shape
    ninth, zero = np.float32(1 / 9), np.float32(0)
    for y in range(h):
        for x in range(w):
            slope[y, x] = 0
            if kinds[y, x] != 2:
                continue
            sum_y = sum_a = sum_ya = sum_yy = zero
            for j in range(-1, 2):
                row = min(max(y + j, 0), h - 1)
                for i in range(-1, 2):
                    column = min(max(x + i, 0), w - 1)
                    a, v = alpha[row, column], luma[row, column]
                    sum_y += v
                    sum_a += a
                    sum_ya += v * a
                    sum_yy += v * v
            mean_y = sum_y * ninth
            variance = max(sum_yy * ninth - mean_y * mean_y, zero)
            slope[y, x] = (sum_ya * ninth - mean_y * sum_a * ninth) / (variance + epsilon)


@compiled
def mean_slopes(slope: Any, kinds: Any, out: Any) -> None:
    """Means over 3 x 3 windows of soft cells, 0 elsewhere."""
    h, w = slope.shape
    for y in range(h):
        for x in range(w):
            out[y, x] = 0
            if kinds[y, x] == 2:
                total = np.float32(0)
                for j in range(-1, 2):
                    for i in range(-1, 2):
                        total += slope[min(max(y + j, 0), h - 1), min(max(x + i, 0), w - 1)]
                out[y, x] = total * np.float32(1 / 9)


@compiled
def fine_coefficients(
    alpha: Any, luma: Any, slope: Any, kinds: Any, snap: Any, cubic: Any, slope2: Any, offset2: Any
) -> None:
    """Slope (linear) and offset (cubic) at twice the size, stretched by ``snap``; 0 and 0 or 1 where flat.

    ``cubic``: (5,) float32, the weights of cells -2..2 for the left or upper of a cell's two halves.
    """
    h, w = alpha.shape
    near, far = np.float32(0.75), np.float32(0.25)
    stretch = np.float32(1) / (np.float32(1) - np.float32(2) * snap)
    across = np.empty((2, 2, 5), np.float32)
    slope2[:] = 0
    for y in range(h):
        line = kinds[y]
        for j in range(2):
            target = offset2[2 * y + j]
            for x in range(w):
                target[2 * x] = line[x]
                target[2 * x + 1] = line[x]
        for x in range(w):
            if line[x] != 2:
                continue
            across[:] = 0
            for j in range(5):
                row = min(max(y + j - 2, 0), h - 1)
                for i in range(5):
                    column = min(max(x + i - 2, 0), w - 1)
                    a, v = alpha[row, column], luma[row, column]
                    across[0, 0, j] += cubic[i] * a
                    across[0, 1, j] += cubic[4 - i] * a
                    across[1, 0, j] += cubic[i] * v
                    across[1, 1, j] += cubic[4 - i] * v
            for j in range(2):
                row = max(y - 1, 0) if j == 0 else min(y + 1, h - 1)
                for i in range(2):
                    column = max(x - 1, 0) if i == 0 else min(x + 1, w - 1)
                    s = near * (near * slope[y, x] + far * slope[y, column])
                    s += far * (near * slope[row, x] + far * slope[row, column])
                    a = v = np.float32(0)
                    for k in range(5):
                        weight = cubic[k] if j == 0 else cubic[4 - k]
                        a += weight * across[0, i, k]
                        v += weight * across[1, i, k]
                    slope2[2 * y + j, 2 * x + i] = s * stretch
                    offset2[2 * y + j, 2 * x + i] = (a - s * v - snap) * stretch


@compiled
def coarse_kinds(slope: Any, offset: Any, rows: Any, columns: Any, whole: Any, size: Any, kinds: Any) -> None:
    """Fill ``kinds`` with CLEAR or SOLID for tiles of which all coefficients are so, else with SOFT."""
    height, width = size
    zero = np.float32(0)
    found = np.empty(slope.shape[1], np.uint8)
    for ty in range(kinds.shape[0]):
        found[:] = 0
        for y in range(rows[0][ty * 16], rows[1][min(ty * 16 + 16, height) - 1] + 1):
            slopes, offsets = slope[y], offset[y]
            for x in range(found.size):
                flat = slopes[x] == zero
                clear, solid = flat & (offsets[x] == zero), flat & (offsets[x] == whole)
                found[x] |= np.uint8(clear) + 2 * np.uint8(solid) + 4 * np.uint8(not (clear or solid))
        for tx in range(kinds.shape[1]):
            bits = np.uint8(0)
            for x in range(columns[0][tx * 16], columns[1][min(tx * 16 + 16, width) - 1] + 1):
                bits |= found[x]
            kinds[ty, tx] = 0 if bits == 1 else (1 if bits == 2 else 2)


@compiled
def upsample_alpha(
    luma: Any,
    stride: int,
    size: tuple[int, int],
    slope: Any,
    offset: Any,
    rows: Any,
    columns: Any,
    maximum: int,
    alpha: Any,
    kinds: Any,
) -> None:
    """Fill ``alpha`` (flat) and ``kinds``; coefficients come scaled to codes: slope · luma + offset."""
    height, width = size
    left0, left1, left_t = columns
    row_slope = np.empty(slope.shape[1], np.float32)
    row_offset = np.empty(slope.shape[1], np.float32)
    ends = np.empty(kinds.shape[1], np.int32)
    half, limit, zero = np.float32(0.5), np.float32(maximum), np.float32(0)
    coarse_kinds(slope, offset, rows, columns, limit, size, kinds)
    for ty in range(kinds.shape[0]):
        runs = find_runs(kinds, ty, ends)
        for y in range(ty * 16, min(ty * 16 + 16, height)):
            y0, y1, t = rows[0][y], rows[1][y], rows[2][y]
            left = 0
            for run in range(runs):
                kind, right = kinds[ty, ends[run] - 1], min(ends[run] * 16, width)
                target = alpha[y * width + left : y * width + right]
                if kind != 2:
                    target[:] = 0 if kind == 0 else maximum
                else:
                    first, last = left0[left], left1[right - 1] + 1
                    lerp_rows(slope, y0, y1, t, first, last, row_slope)
                    lerp_rows(offset, y0, y1, t, first, last, row_offset)
                    line = luma[y * stride + left : y * stride + right]
                    i0, i1, share = left0[left:right], left1[left:right], left_t[left:right]
                    for x in range(target.size):
                        x0, x1, s = i0[x], i1[x], share[x]
                        a = row_slope[x0] + s * (row_slope[x1] - row_slope[x0])
                        b = row_offset[x0] + s * (row_offset[x1] - row_offset[x0])
                        value = a * np.float32(line[x]) + b
                        target[x] = np.int32(min(max(value, zero), limit) + half)
                left = right
        for tx in range(kinds.shape[1]):
            if kinds[ty, tx] == 2:
                bottom, right = min(ty * 16 + 16, height), min(tx * 16 + 16, width)
                kinds[ty, tx] = classify_tile(alpha, width, ty * 16, bottom, tx * 16, right, maximum)
