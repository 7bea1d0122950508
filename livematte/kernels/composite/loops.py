"""Compiled loops of :mod:`livematte.kernels.composite`.

Planes come flat with their row stride, as 1-D contiguous arrays, and inner loops run over slices of them:
that is what makes LLVM use vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels._shared.compiled import compiled
from livematte.kernels._shared.loops import copy, find_runs, lerp_rows


@compiled
def block_sums(
    alpha: Any, size: tuple[int, int], y: int, left: int, right: int, v: int, h: int, sums: Any
) -> None:
    """Fill ``sums[i]`` with the alpha of all pixels of chroma sample left + i, those of an odd edge twice."""
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
        runs = find_runs(kinds, ty, ends)
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
    """Compute αF + (1-α)·behind; with ``straight``, F where α > 0, and behind elsewhere.

    The equation needs no branches for α = 1 and α = 0: it returns the exact codes of F and behind.
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
        runs = find_runs(kinds, ty, ends)
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
