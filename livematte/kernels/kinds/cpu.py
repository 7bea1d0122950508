"""Fast :mod:`livematte.kernels.kinds` on the CPU."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np

from livematte.frame import Array
from livematte.kernels._shared.memory import as_float32
from livematte.kernels.kinds.reference import TILE


@lru_cache(maxsize=1)
def _loops() -> ModuleType:
    from livematte.kernels.kinds import loops  # Numba takes half a second

    return loops


def soft_cells(alpha: Array, snap: float, radius: int) -> Array:
    """CLEAR, SOLID or SOFT for each cell and those within ``radius`` of it."""
    kinds = np.empty(alpha.shape, np.uint8)
    _loops().soft_cells(as_float32(alpha), np.float32(snap), radius, kinds)
    return kinds


def empty_tile_kinds(height: int, width: int) -> Array:
    """Room for the kinds of all tiles of a (height, width) alpha."""
    return np.empty((-(-height // TILE), -(-width // TILE)), np.uint8)


def tile_kinds(alpha: Array, maximum: int) -> Array:
    """CLEAR, SOLID or SOFT for every tile of a full-size alpha."""
    height, width = alpha.shape
    kinds = empty_tile_kinds(height, width)
    _loops().tile_kinds(np.ascontiguousarray(alpha).reshape(-1), height, width, maximum, kinds)
    return kinds
