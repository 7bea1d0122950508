"""Removes small and faint components of a matte that are not connected to a person."""

from __future__ import annotations

from math import ceil

from livematte.frame import Array
from livematte.kernels import components

CORE = 0.5
"""Every person has pixels with at least this alpha."""
FAINT = 0.15
"""Pixels of at least this alpha that are connected to a person belong to it: hair, motion blur, glass."""
NEAR = 3
"""Fainter pixels are kept within this distance in pixels of a person: hair, but no haze over the room."""
SMALLEST = 0.0015
"""Fraction of the picture; a smaller core is no person: 8 x 8 pixels of 160 x 288."""
COMPANION = 0.005
"""Fraction of the largest region's core; a smaller core is no person. A near face may fill the picture."""


def remove_small_components(alpha: Array) -> Array:
    """Remove all pixels that are not connected to a person.

    A region of alpha :data:`FAINT` or more is kept, with its fringe, if enough of it is above CORE;
    everything else becomes 0 (hysteresis, as in Canny 1986).

    Args:
        alpha: (h, w) float32 in [0, 1], at the network's size.

    Returns:
        (h, w) float32, on the device of ``alpha``; a GPU is not waited for.
    """
    least, share = ceil(SMALLEST * alpha.size), round(1 / COMPANION)
    return components.remove_small_components(alpha, FAINT, CORE, least, share, NEAR)
