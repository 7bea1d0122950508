"""Fast :mod:`livematte.kernels.accumulate` on the CPU."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

from livematte.frame import Array
from livematte.kernels._shared.memory import as_float32


@lru_cache(maxsize=1)
def _loops() -> ModuleType:
    from livematte.kernels.accumulate import loops  # Numba takes half a second

    return loops


def add_weighted(weight: Array, given: Array, sums: Array, weights: Array) -> None:
    """In place: ``sums += weight · given``, (c, h, w) float32, and ``weights += weight``, (h, w)."""
    _loops().add_weighted(weight, as_float32(given), sums, weights)
