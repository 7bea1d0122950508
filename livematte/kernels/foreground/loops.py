"""Compiled loops of :mod:`livematte.kernels.foreground`. They skip cells that are not soft, nine in ten."""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels._shared.compiled import compiled


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
    for j in range(1, radius + 1):  # two lines at once: loads and stores take most of the time
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


@compiled
def solve_background(codes: Any, foreground: Any, alpha: Any, maximum: int, out: Any) -> None:
    """(3, h, w): the background that makes codes = alpha · foreground + (1 - alpha) · background true."""
    zero, limit, one = np.float32(0), np.float32(maximum), np.float32(1)
    for c in range(3):
        for y in range(alpha.shape[0]):
            whole, front, target, a = codes[c, y], foreground[c, y], out[c, y], alpha[y]
            for x in range(a.size):
                rest = max(one - a[x], np.float32(0.05))
                target[x] = min(max((whole[x] - a[x] * front[x]) / rest, zero), limit)
