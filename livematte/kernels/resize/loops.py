"""Compiled loops of :mod:`livematte.kernels.resize`.

Planes come flat with their row stride, as 1-D contiguous arrays, and inner loops run over slices of them:
that is what makes LLVM use vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels._shared.compiled import compiled


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
