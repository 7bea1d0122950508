"""Fast :mod:`livematte.kernels.components` on the CPU, by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np

from livematte.frame import Array


def remove_small_components(
    alpha: Array, faint: float, core: float, least: int, share: int, reach: int
) -> Array:
    """Set alpha to 0 outside of large connected components."""
    count, labels = cv2.connectedComponents((alpha > faint).view(np.uint8), ltype=cv2.CV_32S)
    cores = np.bincount(labels[alpha > core], minlength=count)
    stays = (cores >= least) & (cores * share >= cores.max())
    stays[0] = False
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    near: Array = cv2.dilate(stays[labels].view(np.uint8), window)
    return alpha * near
