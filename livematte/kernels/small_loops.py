"""The loops over the small picture, compiled by Numba; :mod:`livematte.kernels.cpu` wraps them.

They skip what is surely person or surely room, nine cells in ten: that is where they gain on OpenCV, which
would filter everything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels.compiled import compiled


@compiled
def to_rgb(codes: Any, matrix: Any, out: Any) -> None:
    """(3, n) float32 codes through a (3, 4) float32 matrix to (n, 3) uint8, rounded and clipped."""
    zero, limit, half = np.float32(0), np.float32(255), np.float32(0.5)
    for c in range(3):
        m0, m1, m2, m3 = matrix[c, 0], matrix[c, 1], matrix[c, 2], matrix[c, 3]
        for i in range(codes.shape[1]):
            value = m0 * codes[0, i] + m1 * codes[1, i] + m2 * codes[2, i] + m3
            out[i, c] = np.int32(min(max(value, zero), limit) + half)


@compiled
def neighbourhood(alpha: Any, snap: Any, radius: int, kinds: Any) -> None:
    """CLEAR or SOLID where all cells within ``radius`` are, SOFT (2) elsewhere."""
    h, w = alpha.shape
    one = np.float32(1)
    bits = np.empty((h, w), np.uint8)
    tall = np.empty(w, np.uint8)
    for y in range(h):
        source, target = alpha[y], bits[y]
        for x in range(w):
            target[x] = np.uint8((source[x] > snap) * 1 + (source[x] < one - snap) * 2)
    for y in range(h):
        tall[:] = 0
        for j in range(max(y - radius, 0), min(y + radius, h - 1) + 1):
            line = bits[j]
            for x in range(w):
                tall[x] |= line[x]
        for x in range(w):
            found = np.uint8(0)
            for i in range(max(x - radius, 0), min(x + radius, w - 1) + 1):
                found |= tall[i]
            kinds[y, x] = 2 if found == 3 else (0 if found == 2 else 1)


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
def twice_as_fine(
    alpha: Any, luma: Any, slope: Any, kinds: Any, snap: Any, cubic: Any, slope2: Any, offset2: Any
) -> None:
    """Slope (linear) and offset (cubic) at twice the size, stretched by ``snap``; 0 and 0 or 1 where flat.

    ``cubic``: (5,) float32, the weights of cells -2..2 for the left or upper of a cell's two halves.
    """
    h, w = alpha.shape
    near, far = np.float32(0.75), np.float32(0.25)
    stretch = np.float32(1) / (np.float32(1) - np.float32(2) * snap)
    across = np.empty((2, 2, 5), np.float32)
    for y in range(h):
        for x in range(w):
            if kinds[y, x] != 2:
                for j in range(2):
                    for i in range(2):
                        slope2[2 * y + j, 2 * x + i] = 0
                        offset2[2 * y + j, 2 * x + i] = kinds[y, x]
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
def weighted_colors(F: Any, B: Any, alpha: Any, out: Any) -> None:
    """(h, 7, w): αF, (1-α)B and α of every cell; colours are (3, h, w)."""
    one = np.float32(1)
    for y in range(alpha.shape[0]):
        a = alpha[y]
        for c in range(3):
            front, back, f, b = out[y, c], out[y, 3 + c], F[c, y], B[c, y]
            for x in range(a.size):
                front[x] = a[x] * f[x]
                back[x] = (one - a[x]) * b[x]
        total = out[y, 6]
        for x in range(a.size):
            total[x] = a[x]


@compiled
def soft_span(kinds: Any) -> tuple[int, int]:
    """First and one past the last SOFT cell of a row; (0, 0) where there is none."""
    left, right = 0, kinds.size
    while right > 0 and kinds[right - 1] != 2:
        right -= 1
    while left < right and kinds[left] != 2:
        left += 1
    return left, right


@compiled
def blur_fusion(
    products: Any, planes: Any, alpha: Any, radius: int, kinds: Any, fuse: bool, F: Any, B: Any
) -> None:
    """One pass where ``kinds`` is SOFT: window means F̂, B̂, and with ``fuse`` their fusion with the picture.

    ``products`` is what :func:`weighted_colors` made of the colours so far; cells beyond the edge repeat it.
    """
    h, w = alpha.shape
    one, few, tiny = np.float32(1), np.float32(1e-3), np.float32(1e-4)
    share = np.float32(1) / np.float32((2 * radius + 1) ** 2)
    tall = np.empty((7, w), np.float32)
    sums = np.empty(7, np.float32)
    for y in range(h):
        left, right = soft_span(kinds[y])
        if right == left:
            continue
        first, last = max(left - radius, 0), min(right + radius, w)
        tall[:, first:last] = 0
        for j in range(y - radius, y + radius + 1):
            row = min(max(j, 0), h - 1)
            for c in range(7):
                line, total = products[row, c, first:last], tall[c, first:last]
                for i in range(total.size):
                    total[i] += line[i]
        for x in range(left, right):
            if kinds[y, x] != 2:
                continue
            sums[:] = 0
            for i in range(x - radius, x + radius + 1):
                column = min(max(i, 0), w - 1)
                for c in range(7):
                    sums[c] += tall[c, column]
            a = alpha[y, x]
            front = sums[6] * share
            back = one - front
            per_front, per_back = share / (front + tiny), share / (back + tiny)
            for c in range(3):
                value = planes[c, y, x]
                f = sums[c] * per_front if front > few else value
                b = sums[3 + c] * per_back if back > few else value
                if fuse:
                    rest = value - a * f - (one - a) * b
                    f, b = f + a * rest, b + (one - a) * rest
                F[c, y, x] = f
                B[c, y, x] = b
