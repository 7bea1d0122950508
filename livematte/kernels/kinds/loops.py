"""Compiled loops of :mod:`livematte.kernels.kinds`."""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels._shared.compiled import compiled


@compiled
def classify_tile(alpha: Any, width: int, top: int, bottom: int, left: int, right: int, maximum: int) -> int:
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
            kinds[ty, tx] = classify_tile(alpha, width, ty * 16, bottom, tx * 16, right, maximum)


@compiled
def soft_cells(alpha: Any, snap: Any, radius: int, kinds: Any) -> None:
    """Fill ``kinds`` with CLEAR or SOLID if all cells within ``radius`` are so, with SOFT (2) otherwise."""
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
