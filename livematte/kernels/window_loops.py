"""The loops of :mod:`livematte.kernels.windows`, compiled by Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels.compiled import compiled


@compiled
def interpolate(piece: Any, rows: Any, columns: Any, out: Any) -> None:
    """Linear interpolation of ``piece`` (h, w) float32; tables are left index, right index, right weight."""
    line = np.empty(piece.shape[1], np.float32)
    above, below, down = rows
    before, after, across = columns
    for y in range(out.shape[0]):
        upper, lower, t = piece[above[y]], piece[below[y]], down[y]
        for x in range(line.size):
            line[x] = upper[x] + t * (lower[x] - upper[x])
        target = out[y]
        for x in range(target.size):
            first = line[before[x]]
            target[x] = first + across[x] * (line[after[x]] - first)


@compiled
def add_weighted(weight: Any, given: Any, sums: Any, weights: Any) -> None:
    """``sums += weight · given`` for each channel and ``weights += weight``; all (h, w), or (c, h, w)."""
    for y in range(weight.shape[0]):
        share, total = weight[y], weights[y]
        for x in range(share.size):
            total[x] += share[x]
        for c in range(given.shape[0]):
            values, target = given[c, y], sums[c, y]
            for x in range(share.size):
                target[x] += share[x] * values[x]


@compiled
def explaining_background(codes: Any, foreground: Any, alpha: Any, maximum: int, out: Any) -> None:
    """(3, h, w): the background that makes codes = alpha · foreground + (1 - alpha) · background true."""
    zero, limit, one = np.float32(0), np.float32(maximum), np.float32(1)
    for c in range(3):
        for y in range(alpha.shape[0]):
            whole, front, target, a = codes[c, y], foreground[c, y], out[c, y], alpha[y]
            for x in range(a.size):
                rest = max(one - a[x], np.float32(0.05))
                target[x] = min(max((whole[x] - a[x] * front[x]) / rest, zero), limit)


@compiled
def refined_over_time(
    raw: Any,
    share: Any,
    moves: Any,
    holds: Any,
    still: Any,
    alpha: Any,
    raw_before: Any,
    counts: Any,
    new: Any,
) -> None:
    """:func:`livematte.kernels.reference.refined_over_time`, in one pass; (h, w) float32 all."""
    zero, one, small = np.float32(0), np.float32(1), np.float32(1e-6)
    for y in range(raw.shape[0]):
        values, weights, motion, held = raw[y], share[y], moves[y], holds[y]
        shown, last, total, taken = alpha[y], raw_before[y], counts[y], new[y]
        for x in range(values.size):
            change = values[x] - shown[x]
            part = one
            if still < one:
                jump = abs(change)
                insists = (jump - np.float32(2) * abs(values[x] - last[x])) * np.float32(4) - np.float32(0.4)
                trusted = still * (one - np.float32(0.8) * min(jump * np.float32(2), one))
                certain = max(motion[x], min(max(insists, zero), one))
                part = one - held[x] * (one - trusted - (one - trusted) * certain)
            kept = (one - weights[x]) * held[x]
            total[x] = weights[x] + kept
            calm = weights[x] * (shown[x] + part * change) + kept * shown[x]
            shown[x] = calm / max(total[x], small)
            last[x] += weights[x] * (values[x] - last[x])
            taken[x] = weights[x] * part
