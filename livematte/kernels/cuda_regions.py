"""What of a small matte is taken, on NVIDIA GPUs: nothing waits for what the GPU finds.

On the CPU :mod:`livematte.engine` and :mod:`livematte.regions` say the same.
"""

from __future__ import annotations

import numpy as np

from livematte.frame import Array
from livematte.kernels.cuda_launch import empty, launch, over_samples, whole

_PART = 16
"""As ``cu/regions.cu`` has it."""


def clipped(values: Array) -> tuple[Array, Array]:
    """``values``, float32 of any shape, clipped to [0, 1], and what only the GPU has seen.

    Returns:
        The values, and (2,) float32: the lowest and the highest of them before, both NaN if any is.
    """
    values = whole(values, np.float32)
    out, limits = empty(values.shape, np.float32), empty((2,), np.float32)
    launch("regions", "clipped", (1, 1), (1024, 1), (values, out, limits, values.size))
    return out, limits


def certainty(alpha: Array, core: float, low: float, high: float) -> Array:
    """(2,) int32: how much of ``alpha``, (h, w) float32, is above ``core``, and how much between the two
    others; what is no number counts as between.
    """
    alpha, counts = whole(alpha, np.float32), empty((2,), np.int32)
    given = (alpha, float(core), float(low), float(high), counts, alpha.size)
    launch("regions", "certainty", (1, 1), (1024, 1), given)
    return counts


def drop_islands(alpha: Array, faint: float, core: float, least: int, share: int, reach: int) -> Array:
    """See :func:`livematte.regions.drop_islands`.

    Args:
        alpha: (h, w) float32.
        faint: what is above it is of a region.
        core, least, share: a region stays with at least ``least`` pixels above ``core``, and the ``share``-th
            part of what the largest has.
        reach: how far round a region its fringe stays, in pixels along each axis.
    """
    alpha = whole(alpha, np.float32)
    h, w = alpha.shape
    labels, cores, largest = empty((h, w), np.int32), empty((h, w), np.int32), empty((1,), np.int32)
    over_samples("regions", "each_its_own", (h * w,), alpha, float(faint), labels, cores, largest)
    over_samples("regions", "united", (h, w), labels)
    over_samples("regions", "counted", (h, -(-w // _PART)), alpha, float(core), labels, cores, largest, w)
    out = empty((h, w), np.float32)
    given = (alpha, labels, cores, largest, least, share, reach, out)
    over_samples("regions", "without_islands", (h, w), *given)
    return out
