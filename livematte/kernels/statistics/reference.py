"""Definition of :mod:`livematte.kernels.statistics`, in NumPy, which is fast enough for small mattes."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array


def clip_with_limits(values: Array) -> tuple[Array, Array]:
    """``values`` clipped to [0, 1], and their range before.

    Args:
        values: float32 of any shape.

    Returns:
        The values, and (2,) float32: the lowest and the highest of them before, both NaN if any is.
    """
    return values.clip(0, 1), np.array([values.min(), values.max()], np.float32)


def count_opacity(alpha: Array, core: float, low: float, high: float) -> Array:
    """Number of opaque and of soft pixels.

    Args:
        alpha: (h, w) float32.

    Returns:
        (2,) int32: pixels above ``core``, and pixels above ``low`` and below ``high`` or NaN.
    """
    soft = ~((alpha <= low) | (alpha >= high))
    return np.array([np.count_nonzero(alpha > core), np.count_nonzero(soft)], np.int32)
