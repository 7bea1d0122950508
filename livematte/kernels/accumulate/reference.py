"""Definition of :mod:`livematte.kernels.accumulate`, in NumPy."""

from __future__ import annotations

from livematte.frame import Array


def add_weighted(weight: Array, given: Array, sums: Array, weights: Array) -> None:
    """In place: ``sums += weight · given`` and ``weights += weight``.

    Args:
        weight: (h, w) float32.
        given: (c, h, w) float32.
        sums, weights: (c, h, w) and (h, w) float32, which may be views of larger maps.
    """
    sums += weight * given
    weights += weight
