"""Definition of :mod:`livematte.kernels.kinds`, in NumPy."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array

TILE = 16
"""Side in pixels of the squares in which a full-size alpha is classified."""
CLEAR, SOLID, SOFT = 0, 1, 2
"""All 0, all 1, anything else."""


def soft_cells(alpha: Array, snap: float, radius: int) -> Array:
    """CLEAR if alpha is at most ``snap`` in the whole (2r+1)² window, SOLID if at least 1 - snap, else SOFT.

    Args:
        alpha: (h, w) float32 in [0, 1].

    Returns:
        (h, w) uint8.
    """
    size = (2 * radius + 1, 2 * radius + 1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(alpha, radius, mode="edge"), size)
    kinds = np.full(alpha.shape, SOFT, np.uint8)
    kinds[around.max((2, 3)) <= np.float32(snap)] = CLEAR
    kinds[around.min((2, 3)) >= 1 - np.float32(snap)] = SOLID
    return kinds


def tile_kinds(alpha: Array, maximum: int) -> Array:
    """CLEAR, SOLID or SOFT for every tile of a full-size alpha.

    Args:
        alpha: (H, W) uint8 or uint16, 0..maximum.

    Returns:
        (ceil(H / TILE), ceil(W / TILE)) uint8.
    """
    padded = np.pad(alpha, [(0, -n % TILE) for n in alpha.shape], mode="edge")
    rows, columns = padded.shape[0] // TILE, padded.shape[1] // TILE
    tiles = padded.reshape(rows, TILE, columns, TILE)
    kinds = np.full((rows, columns), SOFT, np.uint8)
    kinds[tiles.max((1, 3)) == 0] = CLEAR
    kinds[tiles.min((1, 3)) == maximum] = SOLID
    return kinds
