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
    """Area means: ``out`` (h, w, 3 or 1) float32 channel view; ``rows`` first indices, weights (n_out,
    taps).
    """
    height, width = out.shape
    reach = columns[width - 1] + column_weights.shape[1]
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
        for x in range(width):
            value = np.float32(0)
            first = columns[x]
            for k in range(column_weights.shape[1]):
                value += column_weights[x, k] * total[first + k]
            out[y, x] = value


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
def run_end(kinds: Any, ty: int, tx: int) -> int:
    """The tile after the last one of the same kind, from ``tx`` on."""
    kind = kinds[ty, tx]
    while tx < kinds.shape[1] and kinds[ty, tx] == kind:
        tx += 1
    return tx


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
    half, limit, zero = np.float32(0.5), np.float32(maximum), np.float32(0)
    coarse_kinds(slope, offset, rows, columns, limit, size, kinds)
    for ty in range(kinds.shape[0]):
        for y in range(ty * 16, min(ty * 16 + 16, height)):
            y0, y1, t = rows[0][y], rows[1][y], rows[2][y]
            tx = 0
            while tx < kinds.shape[1]:
                kind = kinds[ty, tx]
                end = run_end(kinds, ty, tx)
                left, right = tx * 16, min(end * 16, width)
                tx = end
                target = alpha[y * width + left : y * width + right]
                if kind != 2:
                    code = 0 if kind == 0 else maximum
                    for x in range(target.size):
                        target[x] = code
                    continue
                first, last = left0[left], left1[right - 1] + 1
                lerp_rows(slope, y0, y1, t, first, last, row_slope)
                lerp_rows(offset, y0, y1, t, first, last, row_offset)
                line = luma[y * stride + left : y * stride + right]
                for x in range(target.size):
                    x0, x1, s = left0[left + x], left1[left + x], left_t[left + x]
                    a = row_slope[x0] + s * (row_slope[x1] - row_slope[x0])
                    b = row_offset[x0] + s * (row_offset[x1] - row_offset[x0])
                    value = a * np.float32(line[x]) + b
                    target[x] = np.int32(min(max(value, zero), limit) + half)
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
    first = (y << v) * width
    second = min((y << v) + (1 << v) - 1, height - 1) * width
    for x in range(left, right):
        x0, x1 = x << h, min((x << h) + (1 << h) - 1, width - 1)
        total = np.int32(alpha[first + x0])
        if h:
            total += np.int32(alpha[first + x1])
        if v:
            total += np.int32(alpha[second + x0])
            if h:
                total += np.int32(alpha[second + x1])
        sums[x - left] = total


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
    whole = maximum << (v + h)
    scale, one, half = np.float32(1.0 / whole), np.float32(1), np.float32(0.5)
    sums = np.empty(width, np.int32)
    step_y, step_x = 16 >> v, 16 >> h
    for y in range(height):
        ty, tx = y // step_y, 0
        while tx < kinds.shape[1]:
            kind = kinds[ty, tx]
            end = run_end(kinds, ty, tx)
            left, right = tx * step_x, min(end * step_x, width)
            tx = end
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
                    a = np.float32(sums[x]) * scale
                    target[x] = np.int32(a * np.float32(front[x]) + (one - a) * np.float32(back[x]) + half)


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
    """αF + (1-α)·behind; with ``straight`` F itself where α > 0, and behind elsewhere."""
    height, width = size
    v, h = chroma
    left0, left1, left_t = columns
    row_f = np.empty(F_hat.shape[1], np.float32)
    row_b = np.empty(F_hat.shape[1], np.float32)
    sums = np.empty(width, np.int32)
    whole = maximum << (v + h)
    scale, one, half = np.float32(1.0 / whole), np.float32(1), np.float32(0.5)
    zero, limit = np.float32(0), np.float32(maximum)
    step_y, step_x = 16 >> v, 16 >> h
    for y in range(height):
        ty, tx = y // step_y, 0
        while tx < kinds.shape[1]:
            kind = kinds[ty, tx]
            end = run_end(kinds, ty, tx)
            left, right = tx * step_x, min(end * step_x, width)
            tx = end
            target = out[y * width + left : y * width + right]
            front = plane[y * stride + left : y * stride + right]
            back = behind[y * behind_stride + left : y * behind_stride + right]
            if kind == 0:
                copy(back, target)
                continue
            if kind == 1:
                copy(front, target)
                continue
            first, last = left0[left], left1[right - 1] + 1
            lerp_rows(F_hat, rows[0][y], rows[1][y], rows[2][y], first, last, row_f)
            lerp_rows(B_hat, rows[0][y], rows[1][y], rows[2][y], first, last, row_b)
            block_sums(alpha, alpha_size, y, left, right, v, h, sums)
            for x in range(target.size):
                code = sums[x]
                if code == 0:
                    target[x] = back[x]
                elif code == whole:
                    target[x] = front[x]
                else:
                    a = np.float32(code) * scale
                    x0, x1, s = left0[left + x], left1[left + x], left_t[left + x]
                    f = row_f[x0] + s * (row_f[x1] - row_f[x0])
                    b = row_b[x0] + s * (row_b[x1] - row_b[x0])
                    f = f + a * (np.float32(front[x]) - a * f - (one - a) * b)
                    f = min(max(f, zero), limit)
                    if not straight:
                        f = a * f + (one - a) * np.float32(back[x])
                    target[x] = np.int32(f + half)
