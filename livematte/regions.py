"""Which parts of a matte are people at all: faint islands in the room are taken away."""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np

from livematte.frame import Array
from livematte.kernels.cuda_launch import on_gpu

CORE = 0.5
"""A person is somewhere at least this opaque."""
FAINT = 0.15
"""What hangs on to a person at this opacity or more belongs to it: hair, motion blur, glass."""
NEAR = 3
"""Softer than FAINT stays within so many pixels of what stays: hair, but no veil over the room."""
_WINDOW = np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)
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
        (h, w) float32, where ``alpha`` is: on a GPU nothing is waited for.
    """
    if on_gpu(alpha):
        from livematte.kernels import cuda_regions

        least, share = ceil(SMALLEST * alpha.size), round(1 / COMPANION)
        return cuda_regions.drop_islands(alpha, FAINT, CORE, least, share, NEAR)
    count, labels = cv2.connectedComponents((alpha > FAINT).view(np.uint8), ltype=cv2.CV_32S)
    cores = np.bincount(labels[alpha > CORE], minlength=count)
    stays = cores >= max(SMALLEST * alpha.size, COMPANION * cores.max())
    stays[0] = False
    near = cv2.dilate(stays[labels].view(np.uint8), _WINDOW)
    return alpha * near
