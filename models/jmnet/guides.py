"""Ground truth of the first two subnetworks (sec. 3.2.2 and 3.4): heatmaps of joints, trimaps of alphas."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.models.jmnet.network import KEYPOINTS, SMALL
from livematte.training.data import Keypoints

SEEN = 0.3
"""A joint of lower visibility has no Gaussian: a pose estimator would not find it in the picture."""

LOW, HIGH = 5, 250
"""Alpha up to LOW counts as 0 and from HIGH as 255: 8-bit mattes rarely reach exactly 0 or 255."""

KERNEL, PRINTED_SIDE = (5, 20), 320
"""Sides of the dilating kernel, in pixels of the paper's pictures of this side."""


def heatmaps(people: Iterable[Keypoints], height: int, width: int) -> NDArray[np.float32]:
    """(H/8, W/8, 25): a Gaussian of deviation 1 pixel of the heatmap on every joint, 1 at its top.

    With several people, each pixel has the highest of their values.

    Args:
        people: (25, 3) each, in pixels of the picture of ``height`` x ``width``; joints may be outside.
    """
    rows, columns = np.ogrid[: height // SMALL, : width // SMALL]
    out = np.zeros((height // SMALL, width // SMALL, KEYPOINTS), np.float32)
    for person in people:
        for joint, (x, y, visibility) in enumerate(person):
            if visibility >= SEEN:
                u, v = ((c + 0.5) / SMALL - 0.5 for c in (float(x), float(y)))
                peak = np.exp(-0.5 * ((columns - u) ** 2 + (rows - v) ** 2))
                np.maximum(out[..., joint], peak, out=out[..., joint])
    return out


def trimap(rng: np.random.Generator, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3), 255 in one of background, unknown and foreground, 0 in the others (sec. 3.4).

    The unknown region is the soft pixels, dilated by a square kernel of random side: 5 to 20 pixels for a
    320x320 picture, in proportion for other sizes.
    """
    side = rng.uniform(*KERNEL) * np.sqrt(alpha.size) / PRINTED_SIDE
    kernel = np.ones((max(round(side), 2),) * 2, np.uint8)
    some, solid = (alpha > LOW).astype(np.uint8), (alpha >= HIGH).astype(np.uint8)
    background = np.asarray(cv2.dilate(some, kernel)) == 0
    foreground = np.asarray(cv2.erode(solid, kernel)) == 1
    unknown = ~(background | foreground)
    return np.stack((background, unknown, foreground), -1).astype(np.uint8) * np.uint8(255)
