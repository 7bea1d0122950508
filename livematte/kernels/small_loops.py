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
    """(3, n) float32 codes through a (3, 4) float32 matrix to (3, n) uint8, rounded and clipped."""
    zero, limit, half = np.float32(0), np.float32(255), np.float32(0.5)
    first, second, third = codes[0], codes[1], codes[2]
    for c in range(3):
        m0, m1, m2, m3 = matrix[c, 0], matrix[c, 1], matrix[c, 2], matrix[c, 3]
        target = out[c]
        for i in range(target.size):
            value = m0 * first[i] + m1 * second[i] + m2 * third[i] + m3
            target[i] = np.int32(min(max(value, zero), limit) + half)


@compiled
def neighbourhood(alpha: Any, snap: Any, radius: int, kinds: Any) -> None:
    """CLEAR or SOLID where all cells within ``radius`` are, SOFT (2) elsewhere."""
    h, w = alpha.shape
    full = np.float32(1) - snap
    bits = np.empty((h, w), np.uint8)
    tall = np.zeros(w + 2 * radius, np.uint8)  # nothing lies beyond the edge
    found = np.empty(w, np.uint8)
    for y in range(h):
        source, target = alpha[y], bits[y]
        for x in range(w):
            target[x] = np.uint8(source[x] > snap) | (np.uint8(source[x] < full) << 1)
    middle = tall[radius : radius + w]
    for y in range(h):
        middle[:] = 0
        for j in range(max(y - radius, 0), min(y + radius, h - 1) + 1):
            line = bits[j]
            for x in range(w):
                middle[x] |= line[x]
        found[:] = 0
        for i in range(2 * radius + 1):
            shifted = tall[i : i + w]
            for x in range(w):
                found[x] |= shifted[x]
        target = kinds[y]
        for x in range(w):
            # 1: something not clear, 2: something not solid, 3: both
            target[x] = 2 if found[x] == 3 else np.uint8(found[x] == 1)


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
def weighted_colors(F: Any, B: Any, alpha: Any, margin: int, out: Any) -> None:
    """(h, 7 * (w + 2 margin)): αF, (1-α)B and α of every cell, each row of each with its edges repeated.

    Flat rows, because a slice costs Numba as much as adding a hundred numbers.
    """
    h, w = alpha.shape
    one = np.float32(1)
    step = w + 2 * margin
    for y in range(h):
        a, line = alpha[y], out[y]
        for c in range(3):
            f, b = F[c, y], B[c, y]
            front, back = line[c * step + margin :], line[(3 + c) * step + margin :]
            for x in range(w):
                front[x] = a[x] * f[x]
                back[x] = (one - a[x]) * b[x]
        total = line[6 * step + margin :]
        for x in range(w):
            total[x] = a[x]
        for start in range(0, 7 * step, step):
            for i in range(margin):
                line[start + i] = line[start + margin]
                line[start + margin + w + i] = line[start + margin + w - 1]


@compiled
def window_sums(products: Any, y: int, radius: int, tall: Any, sums: Any) -> None:
    """``sums``: products summed over the windows round every cell of row ``y``; cell x of each at its x."""
    last = products.shape[0] - 1
    tall[:] = products[y]
    for j in range(1, radius + 1):  # two lines at once: what is loaded and stored is what takes the time
        above, below = products[max(y - j, 0)], products[min(y + j, last)]
        for i in range(tall.size):
            tall[i] += above[i] + below[i]
    inner = tall.size - 2 * radius
    middle = tall[radius : radius + inner]
    for i in range(inner):
        sums[i] = middle[i]
    for k in range(0, radius - 1, 2):
        left, right = tall[k : k + inner + 1], tall[2 * radius - k - 1 : 2 * radius - k + inner]
        for i in range(inner):
            sums[i] += left[i] + left[i + 1] + right[i] + right[i + 1]
    if radius % 2:
        left, right = tall[radius - 1 : radius - 1 + inner], tall[radius + 1 : radius + 1 + inner]
        for i in range(inner):
            sums[i] += left[i] + right[i]


@compiled
def blur_fusion(
    products: Any, planes: Any, alpha: Any, radius: int, kinds: Any, fuse: bool, F: Any, B: Any
) -> None:
    """One pass where ``kinds`` is SOFT: window means F̂, B̂, and with ``fuse`` their fusion; F, B are kept
    elsewhere.

    ``products`` is what :func:`weighted_colors` made of the colours so far, with a margin of ``radius``.
    """
    h, w = alpha.shape
    step = w + 2 * radius
    one, few, tiny = np.float32(1), np.float32(1e-3), np.float32(1e-4)
    share = one / np.float32((2 * radius + 1) ** 2)
    tall = np.empty(7 * step, np.float32)
    sums = np.empty(7 * step, np.float32)
    for y in range(h):
        soft = kinds[y]
        wanted = np.uint8(0)
        for x in range(w):
            wanted |= soft[x]
        if wanted < 2:
            continue
        window_sums(products, y, radius, tall, sums)
        for x in range(w):
            if soft[x] != 2:
                continue
            a, front = alpha[y, x], sums[6 * step + x] * share
            back = one - front
            per_front, per_back = share / (front + tiny), share / (back + tiny)
            for c in range(3):
                value = planes[c, y, x]
                f = sums[c * step + x] * per_front if front > few else value
                b = sums[(3 + c) * step + x] * per_back if back > few else value
                if fuse:
                    rest = value - a * f - (one - a) * b
                    f, b = f + a * rest, b + (one - a) * rest
                F[c, y, x] = f
                B[c, y, x] = b
