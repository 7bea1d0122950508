"""Encoding of a trimap for the network: Gaussians of the known masks at three scales (sec. 3.1)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIGMAS = (6.4, 25.6, 51.2)
"""Deviations in pixels: 0.02, 0.08 and 0.16 of a patch of 320, the smallest the paper trains with."""


def encode_trimap(trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Gaussians of each pixel's distance to the nearest known background and foreground pixel.

    1 on the mask itself, falling to 0 far from it, as Le et al. 2018 ("Interactive Boundary Prediction")
    encode clicks; 0 everywhere where the mask is empty.

    Args:
        trimap: (h, w) uint8, 0 background, 128 unknown, 255 foreground.

    Returns:
        (h, w, 6) float32 in [0, 1]: background at the three :data:`SIGMAS`, then foreground.
    """
    out = np.zeros((*trimap.shape, 2 * len(SIGMAS)), np.float32)
    for first, known in ((0, 0), (len(SIGMAS), 255)):
        elsewhere = np.asarray(trimap != known, np.uint8)
        if elsewhere.all():
            continue
        distance = cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        squared = np.rint(np.square(distance))  # whole numbers; the roots' last bit varies from call to call
        for number, sigma in enumerate(SIGMAS):
            out[..., first + number] = np.exp(squared * np.float32(-0.5 / sigma**2))
    return out
