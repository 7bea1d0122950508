"""Test-time augmentation (sec. 3.7): the mean over rotated, mirrored and scaled views. NumPy, OpenCV."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from livematte.frame import Array

Layers = tuple[Array, Array, Array]
"""Alpha (h, w), foreground and background (h, w, 3), float32 in [0, 1]."""

SCALES = (0.75, 1.0, 1.25)
"""The paper scales too, but does not give the factors."""


def mean_of_views(
    predict: Callable[[Array, Array], Layers], rgb: Array, trimap: Array, scales: tuple[float, ...] = SCALES
) -> Layers:
    """The mean prediction over eight views (four quarter turns, mirrored or not) at each of ``scales``.

    Args:
        predict: gives the layers of a picture (h, w, 3) uint8 and its trimap (h, w) uint8, at their size.

    Returns:
        Layers of the size of ``rgb``.
    """
    height, width = trimap.shape
    sums = [np.zeros((height, width, *rest), np.float32) for rest in ((), (3,), (3,))]
    for scale in scales:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(rgb, size, interpolation=how)
        guide = cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST)
        for turns in range(4):
            for mirrored in (False, True):
                views = (np.ascontiguousarray(_view(x, turns, mirrored)) for x in (small, guide))
                for total, layer in zip(sums, predict(*views), strict=True):
                    back = np.ascontiguousarray(_back(layer, turns, mirrored))
                    total += cv2.resize(back, (width, height), interpolation=cv2.INTER_LINEAR)
    alpha, foreground, background = (total / np.float32(8 * len(scales)) for total in sums)
    return alpha, foreground, background


def _view(picture: Array, turns: int, mirrored: bool) -> Array:
    return np.rot90(picture[:, ::-1] if mirrored else picture, turns)


def _back(picture: Array, turns: int, mirrored: bool) -> Array:
    upright = np.rot90(picture, -turns)
    return upright[:, ::-1] if mirrored else upright
