"""Definition of :mod:`livematte.kernels.components`, in NumPy."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array


def remove_small_components(
    alpha: Array, faint: float, core: float, least: int, share: int, reach: int
) -> Array:
    """Set alpha to 0 outside of large connected components (hysteresis, as in Canny 1986).

    A component is a set of 8-connected pixels above ``faint``.

    Args:
        alpha: (h, w) float32 in [0, 1].
        core, least, share: a component stays if at least ``least`` of its pixels are above ``core``, and the
            ``share``-th part of the number in the component that has most.
        reach: pixels within this distance along each axis of a component that stays are kept too.

    Returns:
        (h, w) float32, a new array.
    """
    h, w = alpha.shape
    inside = alpha > faint
    labels = np.where(inside, np.arange(1, h * w + 1).reshape(h, w), 0)
    before = np.zeros_like(labels)
    while (labels != before).any():  # the largest label spreads over each component
        before = labels
        labels = np.where(inside, _window_maximum(labels, 1), 0)
    cores = np.bincount(labels[alpha > core], minlength=h * w + 1)
    stays = (cores >= least) & (cores * share >= cores.max())
    stays[0] = False
    return np.asarray(alpha * _window_maximum(stays[labels].astype(np.int64), reach), np.float32)


def _window_maximum(x: Array, radius: int) -> Array:
    size = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(np.pad(x, radius), size).max((2, 3)))
