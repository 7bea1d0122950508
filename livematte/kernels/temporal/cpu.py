"""Fast :mod:`livematte.kernels.temporal` on the CPU."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np

from livematte.frame import Array
from livematte.kernels._shared.memory import as_float32
from livematte.kernels.temporal.reference import blend_weight

__all__ = ["blend_refined", "blend_weight"]


@lru_cache(maxsize=1)
def _loops() -> ModuleType:
    from livematte.kernels.temporal import loops  # Numba takes half a second

    return loops


def blend_refined(
    raw: Array, share: Array, moves: Array, holds: Array, still: float, alpha: Array, raw_before: Array
) -> tuple[Array, Array]:
    """Blend a refined alpha with the one refined before, in one pass."""
    counts, new = np.empty(raw.shape, np.float32), np.empty(raw.shape, np.float32)
    given = (as_float32(x) for x in (raw, share, moves, holds))
    _loops().blend_refined(*given, np.float32(still), alpha, raw_before, counts, new)
    return counts, new
