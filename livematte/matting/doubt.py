"""Doubts about a matte, judged without ground truth from its small alpha and the picture."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from livematte.frame import Array

SOFT = "part of the person is half transparent"
FLICKER = "the matte changes where the picture does not"
SMALLER, LARGER = "the person is suddenly much smaller", "the person is suddenly much larger"
NOBODY = "nobody is found any more"

OUTLINE = 0.016
"""Width of a usual soft outline, relative to the long side: what is not wider is not doubtful."""

STILL = 12
"""Largest difference of two 8-bit values of a place that did not change."""

JUMP = 0.6
"""A person's area below this share of that of the frames before, or its inverse, is a jump."""

WINDOW = 12
"""Number of earlier frames whose median area a frame is compared with."""


@dataclass(frozen=True)
class Doubt:
    """The most important doubt about one matte.

    Attributes:
        value: 0 (none) to 1; relative to the area of the person.
        reason: a sentence for the user.
    """

    value: float
    reason: str


class DoubtMeter:
    """Judges the mattes of one video, in order."""

    def __init__(self) -> None:
        self._before: tuple[Array, Array] | None = None
        self._areas: deque[float] = deque(maxlen=WINDOW)

    def __call__(self, rgb: Array, alpha: Array, *, cut: bool = False) -> Doubt:
        """Judge the next matte.

        Args:
            rgb: (h, w, 3) uint8, the small picture.
            alpha: (h, w) float32 in [0, 1].
            cut: True for the first frame of a shot.
        """
        if cut:
            self._areas.clear()
        before = None if cut or self._before is None or self._before[1].shape != alpha.shape else self._before
        self._before = rgb, alpha
        area = float(alpha.sum())
        size = area + 0.005 * alpha.size  # a hand at the edge of the picture has no great doubt
        doubts = [Doubt(soft_area(alpha) / size, SOFT)]
        if before is not None:
            doubts.append(Doubt(unexplained_change(*before, rgb, alpha) / size, FLICKER))
        doubts.append(self._jump(area, alpha))
        self._areas.append(area)
        most = max(doubts, key=lambda doubt: doubt.value)
        return Doubt(min(1.0, most.value), most.reason)

    def _jump(self, area: float, alpha: Array) -> Doubt:
        usual = float(np.median(self._areas)) if self._areas else 0.0
        if usual < 0.005 * alpha.size:
            return Doubt(0.0, LARGER)
        share = area / usual
        if float(alpha.max()) < 0.5:
            return Doubt(1.0, NOBODY)
        if share < JUMP:
            return Doubt(1 - share, SMALLER)
        return Doubt(1 - 1 / share if share > 1 / JUMP else 0.0, LARGER)


def soft_area(alpha: Array) -> float:
    """Return the sum, in pixels, of the uncertainty (1 at alpha 0.5) of zones wider than an outline."""
    uncertain = np.minimum(alpha, 1 - alpha) * 2
    return float(cv2.erode(uncertain, _square(alpha, OUTLINE)).sum())


def unexplained_change(rgb_before: Array, before: Array, rgb: Array, alpha: Array) -> float:
    """Return the sum, in pixels, of the change of alpha where the picture stands still."""
    change = cv2.absdiff(alpha, before)
    moved = cv2.absdiff(rgb, rgb_before).max(2) > STILL
    moved = cv2.dilate(moved.astype(np.uint8), _square(alpha, OUTLINE))
    return float(cv2.erode(change * (1 - moved), _square(alpha, OUTLINE / 2)).sum())


def _square(alpha: Array, share: float) -> Any:
    side = max(3, 2 * round(share * max(alpha.shape) / 2) + 1)
    return np.ones((side, side), np.uint8)
