"""Follows one person through a video by the connected regions of alpha; nothing is recognised.

A region continues the person if it covers the place of the person in the frame before. Where several do (two
people have parted), the one counts that is where the person mostly is. Somebody else who touches the person
and was seen apart before is cut off, along the line half-way between the two, while the person stays whole.
"""

from __future__ import annotations

import cv2
import numpy as np

from livematte.frame import Array
from livematte.matting.cuts import resized_map

NEAR_POINT = 0.04
"""A point chooses the person within this distance, in heights of the picture."""
OVERLAP = 0.1
"""A region continues the person if it covers this share of the smaller of the two."""
HABIT = 0.01
"""Share of the newest frame in the map of the places where the person mostly is: some seconds."""
ELSEWHERE = 0.1
"""Weight of a place where the person seldom is, against 1 for one where the person always is."""
OTHERS = 0.1
"""Another region of this share of the person's area or more is another person, who is cut off when they
touch: not a hand that was apart for a moment."""
WHOLE = 0.7
"""If less than this share of the person would stay, one is in front of the other: both are kept then."""
LOST_FRAMES = 30
"""Frames without the person after which the last place does not count any more: whoever follows through the
same door is somebody else."""
RETURN = 0.4
"""The person is back when a region covers this share of the places where the person mostly was."""


def region_near(labels: Array, point: tuple[float, float]) -> int:
    """Return the label with most pixels near a point of (h, w) labels; 0 if there is none."""
    height, width = labels.shape
    reach = max(1, round(NEAR_POINT * height))
    row, column = min(height - 1, int(point[1] * height)), min(width - 1, int(point[0] * width))
    if at := int(labels[row, column]):
        return at
    around = labels[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
    counts = np.bincount(around.ravel())
    counts[0] = 0
    return int(counts.argmax()) if counts.any() else 0


def resized_mask(mask: Array, height: int, width: int) -> Array:
    """Return a (h, w) mask at another size."""
    if mask.shape == (height, width):
        return mask
    return np.asarray(resized_map(mask.astype(np.float32), height, width) > 0.5)


class PersonTracker:
    """Follows the person at a point.

    Args:
        point: shares of the width and the height. Until somebody is there, nobody is kept.
    """

    def __init__(self, point: tuple[float, float]) -> None:
        self._point = point
        self._last: Array | None = None
        """Mask of the person in the newest frame in which the person was seen; None after a restart."""
        self._places: Array | None = None
        """(h, w) float32 in [0, 1]: how often the person was there lately; None before the first time."""
        self._others: Array | None = None
        """Mask of other people in the frame before."""
        self._area = 0.0
        """Share of the picture that the person fills while nobody is cut off, lately."""
        self._lost = 0

    def __call__(self, alpha: Array, labels: Array) -> Array:
        """Return the mask of the person. Frames come in order.

        Args:
            alpha: (h, w) float32 in [0, 1].
            labels: (h, w) int32, connected regions of people; 0 is background.
        """
        self._resize(*alpha.shape)
        region = self._find(alpha, labels)
        if region == 0:
            self._lost += 1
            if self._lost > LOST_FRAMES:
                self._last = None
            self._others = None
            return np.zeros(alpha.shape, bool)
        self._lost = 0
        kept = self._without_others(labels == region)
        self._others = self._other_people(labels, kept)
        self._last = kept
        now = kept.astype(np.float32)
        self._places = now if self._places is None else self._places + HABIT * (now - self._places)
        return kept

    def _find(self, alpha: Array, labels: Array) -> int:
        """Return the label of the region with the person; 0 if there is none."""
        places = self._places
        if places is None:
            return region_near(labels, self._point)
        if self._last is None:
            weights = np.bincount(labels.ravel(), (places * alpha).ravel())
            weights[0] = 0
            best = int(weights.argmax())
            return best if weights[best] >= RETURN * places.sum() else 0
        weights = np.bincount(labels.ravel(), (self._last * (ELSEWHERE + places)).ravel())
        weights[0] = 0
        best = int(weights.argmax())
        there = labels == best
        smaller = min(int(self._last.sum()), int(there.sum()))
        return best if best and (self._last & there).sum() >= OVERLAP * smaller else 0

    def _without_others(self, region: Array) -> Array:
        """Return the part of a region that is nearer to the person's last place than to those of others."""
        if self._last is not None and self._others is not None and (self._others & region).any():
            mine, theirs = (_distance(region & mask) for mask in (self._last, self._others))
            part = region & (mine <= theirs)
            if part.mean() >= WHOLE * self._area:
                return np.asarray(part)
        area = float(region.mean())
        self._area = area if self._last is None else self._area + HABIT * (area - self._area)
        return region

    def _other_people(self, labels: Array, kept: Array) -> Array:
        """Return the mask of everybody else: regions, and parts of the person's region, that are large."""
        _, others = cv2.connectedComponents(((labels > 0) & ~kept).astype(np.uint8), connectivity=8)
        sizes = np.bincount(others.ravel())
        sizes[0] = 0
        return np.asarray((sizes >= OTHERS * kept.sum())[others] & (others > 0))

    def _resize(self, height: int, width: int) -> None:
        if self._last is not None:
            self._last = resized_mask(self._last, height, width)
        if self._others is not None:
            self._others = resized_mask(self._others, height, width)
        if self._places is not None:
            self._places = resized_map(self._places, height, width)

    def restart(self) -> None:
        """The next frame is of another shot: the person is found where the person mostly was."""
        self._last = self._others = None

    def mirror(self) -> None:
        """The next frames are mirrored left to right."""
        self._point = 1 - self._point[0], self._point[1]
        self._last, self._others, self._places = (
            None if each is None else np.ascontiguousarray(each[:, ::-1])
            for each in (self._last, self._others, self._places)
        )


def _distance(mask: Array) -> Array:
    """Return the distance of each pixel from a mask, in pixels."""
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
