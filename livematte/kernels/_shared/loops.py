"""Compiled loops that those of several kernels call."""

from __future__ import annotations

from typing import Any

from livematte.kernels._shared.compiled import compiled


@compiled
def find_runs(kinds: Any, ty: int, ends: Any) -> int:
    """Fill ``ends`` with the ends of runs of one kind in a row of tiles; return how many there are."""
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
