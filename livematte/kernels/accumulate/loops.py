"""The compiled loop of :mod:`livematte.kernels.accumulate`."""

from __future__ import annotations

from typing import Any

from livematte.kernels._shared.compiled import compiled


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
