"""Which parts of a matte are people at all: faint islands in the room are taken away."""

from __future__ import annotations

import cv2
import numpy as np

from livematte.frame import Array

CORE = 0.5
"""A person is somewhere at least this opaque."""
FAINT = 0.04
"""What hangs on to a person at this opacity or more belongs to it: hair, motion blur, glass."""
SMALLEST = 0.0015
"""Share of the picture below which a core is no person: 8 x 8 pixels of 160 x 288."""
COMPANION = 0.005
"""Share of the largest region's core below which another is no person; a face close up may fill it all."""


def drop_islands(alpha: Array) -> Array:
    """Take away what is not connected to a person.

    A region of :data:`FAINT` or more stays as it is where enough of it is above :data:`CORE`, and becomes 0
    where not (hysteresis, as in Canny 1986).

    Args:
        alpha: (h, w) float32 in [0, 1], at the network's size.

    Returns:
        (h, w) float32; ``alpha`` itself where nothing is to be dropped.
    """
    count, labels = cv2.connectedComponents((alpha > FAINT).view(np.uint8), ltype=cv2.CV_32S)
    cores = np.bincount(labels[alpha > CORE], minlength=count)
    stays = cores >= max(SMALLEST * alpha.size, COMPANION * cores.max())
    stays[0] = True  # below FAINT anyway; refinement snaps it to 0
    if stays.all():
        return alpha
    return np.where(stays[labels], alpha, np.float32(0))
