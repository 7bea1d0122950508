"""Cuts: the first frame of a new shot, found by comparing each small picture with the one before."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_host, to_same_device
from livematte.frame import Array
from livematte.kernels.temporal import cuda

Cut = Any
"""True where a frame begins a new shot. On a GPU it may be an array (1,) int32, not 0 at a cut, that only the
GPU has read so far: :func:`wait_for_cut` turns it into a bool."""


def wait_for_cut(cut: Cut) -> bool:
    """``cut`` as a bool; waits for the GPU where the value is there."""
    return bool(to_host(cut)[0]) if on_gpu(cut) else bool(cut)


def is_cut(before: Array, now: Array) -> Cut:
    """True where a new shot begins: the pictures differ nearly everywhere, and their colours differ too.

    A moving camera changes many pixels but keeps the colours; a moving arm changes few pixels.

    Args:
        before, now: (h, w, 3) float32 RGB of one size, 0..255.
    """
    if on_gpu(now):
        return cuda.is_cut(before, now)
    difference = float(cv2.norm(before, now, cv2.NORM_L1)) / before.size
    if difference < 12:
        return False
    if difference > 60:
        return True
    histograms = []
    for picture in (before, now):
        counts = [cv2.calcHist([picture], [c], None, [16], [0, 256]).ravel() for c in range(3)]
        histograms.append(np.concatenate(counts) / picture.size)
    moved = float(np.abs(histograms[0] - histograms[1]).sum()) / 2
    return moved > 0.3


def half_size(rgb: Array) -> Array:
    """(h, w, 3) uint8 at half the size, rounded up, as float32 0..255: enough to see motion and cuts, at a
    quarter of the cost.
    """
    if on_gpu(rgb):
        return cuda.half_size(rgb)
    size = (-(-rgb.shape[1] // 2), -(-rgb.shape[0] // 2))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)


class CutDetector:
    """Compares each picture with the one before. Pictures come in order; nothing is waited for on a GPU."""

    def __init__(self) -> None:
        self._before: Array | None = None

    def __call__(self, rgb: Array) -> Cut:
        """True for the first picture, a picture of another size and one that begins a new shot.

        Args:
            rgb: (h, w, 3) uint8, the small picture that the model sees.
        """
        now, before = half_size(rgb), self._before
        self._before = now
        if before is None or before.shape != now.shape:
            return True
        return is_cut(to_same_device(before, now), now)

    def take_over(self, old: CutDetector, height: int, width: int) -> None:
        """Continue after the pictures that ``old`` saw; the next ones are (height, width)."""
        if old._before is not None:
            self._before = resized_map(old._before, -(-height // 2), -(-width // 2))


def resized_map(values: Array, height: int, width: int) -> Array:
    """(h, w, ...) float32 ``values`` at another size, in the computer's memory."""
    values = to_host(values)
    return values if values.shape[:2] == (height, width) else cv2.resize(values, (width, height))
