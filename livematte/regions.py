"""Which parts of a matte are people at all: faint islands in the room are taken away."""

from __future__ import annotations

import cv2
import numpy as np

from livematte.frame import Array

CORE = 0.5
"""A person is somewhere at least this opaque."""
FAINT = 0.15
"""What hangs on to a person at this opacity or more belongs to it: hair, motion blur, glass."""
_NEAR = np.ones((7, 7), np.uint8)
"""Softer than FAINT stays within three pixels of what stays: hair, but no veil over the room."""
SMALLEST = 0.0015
"""Share of the picture below which a core is no person: 8 x 8 pixels of 160 x 288."""
COMPANION = 0.005
"""Share of the largest region's core below which another is no person; a face close up may fill it all."""


def drop_islands(alpha: Array) -> Array:
    """Take away what is not connected to a person.

    A region of :data:`FAINT` or more stays as it is, with its fringe, where enough of it is above CORE;
    everything else becomes 0 (hysteresis, as in Canny 1986).

    Args:
        alpha: (h, w) float32 in [0, 1], at the network's size.

    Returns:
        (h, w) float32.
    """
    count, labels = cv2.connectedComponents((alpha > FAINT).view(np.uint8), ltype=cv2.CV_32S)
    cores = np.bincount(labels[alpha > CORE], minlength=count)
    stays = cores >= max(SMALLEST * alpha.size, COMPANION * cores.max())
    stays[0] = False
    near = cv2.dilate(stays[labels].view(np.uint8), _NEAR)
    return alpha * near
