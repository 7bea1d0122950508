"""Means over square windows, in NumPy: for the definitions."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array


def window_mean(x: Array, radius: int) -> Array:
    """Mean over a (2r+1)² window of the first two axes, the edge repeated; float64."""
    margin = [(radius, radius)] * 2 + [(0, 0)] * (x.ndim - 2)
    padded = np.pad(x.astype(np.float64), margin, mode="edge")
    k = 2 * radius + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(0, 1))
    return np.asarray(windows.mean((-2, -1)))
