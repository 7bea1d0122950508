"""Compiled loops of :mod:`livematte.kernels.convert`."""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels._shared.compiled import compiled


@compiled
def rgb_from_codes(codes: Any, matrix: Any, out: Any) -> None:
    """(3, n) float32 codes through a (3, 4) float32 matrix to (3, n) uint8, rounded and clipped."""
    zero, limit, half = np.float32(0), np.float32(255), np.float32(0.5)
    first, second, third = codes[0], codes[1], codes[2]
    for c in range(3):
        m0, m1, m2, m3 = matrix[c, 0], matrix[c, 1], matrix[c, 2], matrix[c, 3]
        target = out[c]
        for i in range(target.size):
            value = m0 * first[i] + m1 * second[i] + m2 * third[i] + m3
            target[i] = np.int32(min(max(value, zero), limit) + half)
