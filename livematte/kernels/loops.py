"""The loops over full-size pixels, compiled by Numba; :mod:`livematte.kernels.cpu` wraps them.

Planes come flat with their row stride, as 1-D contiguous arrays, and inner loops run over slices of them:
that is what makes LLVM use vector instructions. Importing this module costs half a second, so only the first
picture does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels.compiled import compiled


@compiled
def shrink(
    plane: Any, stride: int, rows: Any, row_weights: Any, columns: Any, column_weights: Any, out: Any
) -> None:
    """Area means of a plane into ``out`` (h, w) float32.

    ``rows``, ``columns``: first sample of each mean (n_out,); weights: (n_out, taps) and (taps, n_out).
    """
    height, width = out.shape
    reach = columns[width - 1] + column_weights.shape[0]
    total = np.empty(reach, np.float32)
    for y in range(height):
        total[:] = 0
        for k in range(row_weights.shape[1]):
            weight = row_weights[y, k]
            if weight != 0:
                start = (rows[y] + k) * stride
                line = plane[start : start + reach]
                for x in range(line.size):
                    total[x] += weight * np.float32(line[x])
        target = out[y]
        target[:] = 0
        for k in range(column_weights.shape[0]):
            weights, shifted = column_weights[k], total[k:]
            for x in range(width):
                target[x] += weights[x] * shifted[columns[x]]


@compiled
def kind_of(alpha: Any, width: int, top: int, bottom: int, left: int, right: int, maximum: int) -> int:
    """CLEAR, SOLID or SOFT for one tile of a C-contiguous flat alpha."""
    first = alpha[top * width + left]
    if first != 0 and first != maximum:
        return 2
    for y in range(top, bottom):
        for x in range(y * width + left, y * width + right):
            if alpha[x] != first:
                return 2
    return 0 if first == 0 else 1


@compiled
def tile_kinds(alpha: Any, height: int, width: int, maximum: int, kinds: Any) -> None:
    """Fill ``kinds`` from a flat C-contiguous alpha."""
    for ty in range(kinds.shape[0]):
        for tx in range(kinds.shape[1]):
            bottom, right = min(ty * 16 + 16, height), min(tx * 16 + 16, width)
            kinds[ty, tx] = kind_of(alpha, width, ty * 16, bottom, tx * 16, right, maximum)


@compiled
def runs_of(kinds: Any, ty: int, ends: Any) -> int:
    """Fill ``ends`` with where runs of one kind end in a row of tiles; gives how many there are."""
    count = 0
    for tx in range(kinds.shape[1]):
        if tx + 1 == kinds.shape[1] or kinds[ty, tx + 1] != kinds[ty, tx]:
            ends[count] = tx + 1
            count += 1
    return count


@compiled
def copy(source: Any, target: Any) -> None:
    """``target[:] = source`` for 1-D slices of one length, without Numba's checks for overlap."""
    for x in range(target.size):
        target[x] = source[x]


@compiled
def lerp_rows(grid: Any, y0: int, y1: int, t: Any, left: int, right: int, row: Any) -> None:
    """``row[left:right]``: the line between lines ``y0`` and ``y1`` of ``grid``, there only."""
    a, b, target = grid[y0, left:right], grid[y1, left:right], row[left:right]
    for x in range(target.size):
        target[x] = a[x] + t * (b[x] - a[x])


@compiled
def coarse_kinds(slope: Any, offset: Any, rows: Any, columns: Any, whole: Any, size: Any, kinds: Any) -> None:
    """CLEAR or SOLID for the tiles all of whose coefficients say so, SOFT for the rest."""
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
def alpha_plane(
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
        runs = runs_of(kinds, ty, ends)
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
                kinds[ty, tx] = kind_of(alpha, width, ty * 16, bottom, tx * 16, right, maximum)


@compiled
def block_sums(
    alpha: Any, size: tuple[int, int], y: int, left: int, right: int, v: int, h: int, sums: Any
) -> None:
    """``sums[i]``: alpha summed over the pixels chroma sample left + i covers, an odd edge's pixel twice."""
    height, width = size
    first = alpha[(y << v) * width :]
    second = alpha[min((y << v) + (1 << v) - 1, height - 1) * width :]
    if h == 0:
        upper, lower = first[left:right], second[left:right]
        if v == 0:
            for x in range(upper.size):
                sums[x] = upper[x]
        else:
            for x in range(upper.size):
                sums[x] = np.int32(upper[x]) + np.int32(lower[x])
        return
    whole = min(right, width // 2)
    upper, lower = first[2 * left : 2 * whole], second[2 * left : 2 * whole]
    if v == 0:
        for x in range(whole - left):
            sums[x] = np.int32(upper[2 * x]) + np.int32(upper[2 * x + 1])
    else:
        for x in range(whole - left):
            above = np.int32(upper[2 * x]) + np.int32(upper[2 * x + 1])
            sums[x] = above + np.int32(lower[2 * x]) + np.int32(lower[2 * x + 1])
    if whole < right:
        edge = np.int32(first[width - 1]) * 2
        sums[whole - left] = edge if v == 0 else edge + np.int32(second[width - 1]) * 2


@compiled
def mix_plane(
    plane: Any,
    stride: int,
    behind: Any,
    behind_stride: int,
    alpha: Any,
    alpha_size: tuple[int, int],
    kinds: Any,
    chroma: tuple[int, int],
    maximum: int,
    out: Any,
    size: tuple[int, int],
) -> None:
    """αI + (1-α)·behind."""
    height, width = size
    v, h = chroma
    scale, one, half = np.float32(maximum << (v + h)), np.float32(1), np.float32(0.5)
    sums = np.empty(width, np.int32)
    ends = np.empty(kinds.shape[1], np.int32)
    step_y, step_x = 16 >> v, 16 >> h
    for ty in range(kinds.shape[0]):
        runs = runs_of(kinds, ty, ends)
        for y in range(ty * step_y, min(ty * step_y + step_y, height)):
            left = 0
            for run in range(runs):
                kind, right = kinds[ty, ends[run] - 1], min(ends[run] * step_x, width)
                target = out[y * width + left : y * width + right]
                front = plane[y * stride + left : y * stride + right]
                back = behind[y * behind_stride + left : y * behind_stride + right]
                if kind == 0:
                    copy(back, target)
                elif kind == 1:
                    copy(front, target)
                else:
                    block_sums(alpha, alpha_size, y, left, right, v, h, sums)
                    for x in range(target.size):
                        a = np.float32(sums[x]) / scale
                        mixed = a * np.float32(front[x]) + (one - a) * np.float32(back[x])
                        target[x] = np.int32(mixed + half)
                left = right


@compiled
def fuse_plane(
    plane: Any,
    stride: int,
    behind: Any,
    behind_stride: int,
    alpha: Any,
    alpha_size: tuple[int, int],
    kinds: Any,
    F_hat: Any,
    B_hat: Any,
    rows: Any,
    columns: Any,
    chroma: tuple[int, int],
    maximum: int,
    straight: bool,
    out: Any,
    size: tuple[int, int],
) -> None:
    """αF + (1-α)·behind; with ``straight`` F itself where α > 0, and behind elsewhere.

    Where α is 1 the equation gives back the picture, where it is 0 what is behind: to the code, without
    branches.
    """
    height, width = size
    v, h = chroma
    row_f = np.empty(F_hat.shape[1], np.float32)
    row_b = np.empty(F_hat.shape[1], np.float32)
    wide_f = np.empty(width, np.float32)
    wide_b = np.empty(width, np.float32)
    sums = np.empty(width, np.int32)
    ends = np.empty(kinds.shape[1], np.int32)
    scale, one, half = np.float32(maximum << (v + h)), np.float32(1), np.float32(0.5)
    zero, limit = np.float32(0), np.float32(maximum)
    step_y, step_x = 16 >> v, 16 >> h
    for ty in range(kinds.shape[0]):
        runs = runs_of(kinds, ty, ends)
        for y in range(ty * step_y, min(ty * step_y + step_y, height)):
            left = 0
            for run in range(runs):
                kind, right = kinds[ty, ends[run] - 1], min(ends[run] * step_x, width)
                start, left = left, right
                if start >= right:  # chroma of an odd, narrow last tile
                    continue
                target = out[y * width + start : y * width + right]
                front = plane[y * stride + start : y * stride + right]
                back = behind[y * behind_stride + start : y * behind_stride + right]
                if kind == 0:
                    copy(back, target)
                    continue
                if kind == 1:
                    copy(front, target)
                    continue
                i0, i1, share = columns[0][start:right], columns[1][start:right], columns[2][start:right]
                first, last = i0[0], i1[i1.size - 1] + 1
                lerp_rows(F_hat, rows[0][y], rows[1][y], rows[2][y], first, last, row_f)
                lerp_rows(B_hat, rows[0][y], rows[1][y], rows[2][y], first, last, row_b)
                for x in range(target.size):
                    x0, x1, s = i0[x], i1[x], share[x]
                    wide_f[x] = row_f[x0] + s * (row_f[x1] - row_f[x0])
                    wide_b[x] = row_b[x0] + s * (row_b[x1] - row_b[x0])
                block_sums(alpha, alpha_size, y, start, right, v, h, sums)
                if straight:
                    for x in range(target.size):
                        a = np.float32(sums[x]) / scale
                        f = wide_f[x] + a * (np.float32(front[x]) - a * wide_f[x] - (one - a) * wide_b[x])
                        f = min(max(f, zero), limit) + half
                        target[x] = np.int32(f) if sums[x] != 0 else np.int32(back[x])
                else:
                    for x in range(target.size):
                        a = np.float32(sums[x]) / scale
                        f = wide_f[x] + a * (np.float32(front[x]) - a * wide_f[x] - (one - a) * wide_b[x])
                        f = min(max(f, zero), limit)
                        target[x] = np.int32(a * f + (one - a) * np.float32(back[x]) + half)
