"""Only some of the people in a picture: the largest stay, the others become background."""

from __future__ import annotations

import cv2
import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_gpu, to_host
from livematte.errors import UsageError
from livematte.frame import Array
from livematte.matting.components import FAINT, NEAR
from livematte.matting.cuts import resized_map

ALL, LARGEST = "all", "largest"
LOYALTY = 2.0
"""Factor on the size of a region that was kept in the frame before: only a region that is more than this many
times larger takes its place."""


def parse_people(text: str) -> int | None:
    """Return the number of people to keep; None for all.

    Raises:
        UsageError: not ``all``, ``largest`` or a number from 1 to 9.
    """
    if text == ALL:
        return None
    if text == LARGEST:
        return 1
    if not (len(text) == 1 and text in "123456789"):
        raise UsageError(f"keep {text!r} is invalid: use {ALL}, {LARGEST} or a number from 1 to 9")
    return int(text)


class PeopleFilter:
    """Keeps the ``count`` largest connected regions of alpha, with a memory: those of the frame before stay.

    People who touch one another in the picture are one region.

    Attributes:
        count: number of regions; None keeps alpha exactly as it is.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count
        self._kept: Array | None = None

    def __call__(self, alpha: Array) -> Array:
        """Return alpha with the other regions 0. Frames come in order.

        Args:
            alpha: (h, w) float32 in [0, 1], at the network's size, small components removed. A GPU is waited
                for: the work is done by the CPU.

        Returns:
            (h, w) float32, on the device of ``alpha``.
        """
        if self.count is None:
            self._kept = None
            return alpha
        here = to_host(alpha)
        found, labels = cv2.connectedComponents((here > FAINT).astype(np.uint8), connectivity=8)
        sizes = np.bincount(labels.ravel(), here.ravel(), minlength=found)
        sizes[0] = 0
        if self._kept is not None:
            before = np.bincount(labels[self._kept], minlength=found) > 0
            sizes = np.where(before, LOYALTY * sizes, sizes)
        chosen = np.argsort(-sizes, kind="stable")[: self.count]
        kept = np.isin(labels, chosen[sizes[chosen] > 0])
        self._kept = kept
        fringe = cv2.dilate(kept.astype(np.uint8), np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)) > 0
        result = np.where(kept | (fringe & (labels == 0)), here, np.float32(0))
        return to_gpu(result) if on_gpu(alpha) else result

    def restart(self) -> None:
        """Forget the frame before: the next one is the first of a shot."""
        self._kept = None

    def take_over(self, old: PeopleFilter, height: int, width: int) -> None:
        """Continue with the memory and the count of ``old``, for mattes of another size."""
        self.count = old.count
        if old._kept is not None:
            self._kept = resized_map(old._kept.astype(np.float32), height, width) > 0.5
