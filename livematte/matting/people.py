"""Only some of the people in a picture: the largest, or the one at a point; the others become background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_gpu, to_host
from livematte.errors import UsageError
from livematte.frame import Array
from livematte.matting.components import FAINT, NEAR
from livematte.matting.tracking import PersonTracker, region_near, resized_mask

ALL, LARGEST = "all", "largest"
LOYALTY = 2.0
"""Factor on the size of a region that was kept in the frame before: only a region that is more than this many
times larger takes its place."""

Point: TypeAlias = tuple[float, float]
"""A place in the picture: shares of its width, from the left, and of its height, from the top."""
People: TypeAlias = int | Point | None
"""People to keep: a number of them, the one at a point, or None for everybody."""


def parse_people(text: str) -> People:
    """Return who is kept.

    Raises:
        UsageError: not ``all``, ``largest``, a number from 1 to 9 or a point in the picture.
    """
    if text == ALL:
        return None
    if text == LARGEST:
        return 1
    if len(text) == 1 and text in "123456789":
        return int(text)
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise UsageError(
            f"keep {text!r} is invalid: use {ALL}, {LARGEST}, a number from 1 to 9, or a point such as "
            "0.5,0.4 (shares of the width and the height)"
        )
    return x, y


def format_people(people: People) -> str:
    """Return the text that :func:`parse_people` reads."""
    if people is None:
        return ALL
    return str(people) if isinstance(people, int) else f"{people[0]:.3g},{people[1]:.3g}"


@dataclass(eq=False)
class _Choice:
    """A choice; two of the same people are different: the second one chooses again."""

    people: People


class PeopleFilter:
    """Keeps some of the connected regions of alpha, with a memory.

    A number keeps the largest regions; those of the frame before stay. A point keeps the region there and
    follows it: see :class:`livematte.matting.tracking.PersonTracker`. People who touch one another in the
    picture are one region.
    """

    def __init__(self, people: People = None) -> None:
        self._wanted = self._choice = _Choice(people)
        self._kept: Array | None = None
        self._tracker: PersonTracker | None = None
        self._seen: Array | None = None
        """Alpha of everybody in the newest frame."""
        self._mirrored = False

    @property
    def people(self) -> People:
        """The people to keep from the next frame on; with None, alpha stays exactly as it is."""
        return self._wanted.people

    def choose(self, people: People) -> None:
        """Choose again who is kept from the next frame on. Another thread may be using the filter.

        Raises:
            UsageError: nobody, kept or not, is near the point in the newest frame.
        """
        if isinstance(people, tuple) and (seen := self._seen) is not None:
            there = (to_host(seen) > FAINT).astype(np.int32)
            if not region_near(there, people):
                raise UsageError(f"nobody is at {format_people(people)}: choose a point on a person")
        self._wanted = _Choice(people)

    def mirror(self) -> None:
        """The next frames are mirrored left to right, compared with those before."""
        self._mirrored = not self._mirrored

    def __call__(self, alpha: Array) -> Array:
        """Return alpha with the other regions 0. Frames come in order.

        Args:
            alpha: (h, w) float32 in [0, 1], at any size, small components removed. A GPU is waited for,
                unless everybody is kept: the work is done by the CPU.

        Returns:
            (h, w) float32, on the device of ``alpha``.
        """
        self._seen = alpha
        self._use_changes()
        people = self._choice.people
        if people is None:
            return alpha
        here = to_host(alpha)
        found, labels = cv2.connectedComponents((here > FAINT).astype(np.uint8), connectivity=8)
        if isinstance(people, int):
            self._kept = kept = self._largest(people, here, labels, found)
        else:
            if self._tracker is None:
                self._tracker = PersonTracker(people)
            kept = self._tracker(here, labels)
        fringe = cv2.dilate(kept.astype(np.uint8), np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)) > 0
        result = np.where(kept | (fringe & (labels == 0)), here, np.float32(0))
        return to_gpu(result) if on_gpu(alpha) else result

    def _use_changes(self) -> None:
        if self._choice is not self._wanted:
            self._choice, self._kept, self._tracker = self._wanted, None, None
        if self._mirrored:
            self._mirrored = False
            if self._kept is not None:
                self._kept = self._kept[:, ::-1]
            if self._tracker is not None:
                self._tracker.mirror()

    def _largest(self, count: int, here: Array, labels: Array, found: int) -> Array:
        sizes = np.bincount(labels.ravel(), here.ravel(), minlength=found)
        sizes[0] = 0
        if self._kept is not None:
            before = np.bincount(labels[resized_mask(self._kept, *here.shape)], minlength=found) > 0
            sizes = np.where(before, LOYALTY * sizes, sizes)
        chosen = np.argsort(-sizes, kind="stable")[:count]
        return np.asarray(np.isin(labels, chosen[sizes[chosen] > 0]))

    def restart(self) -> None:
        """The next frame is the first of a shot: the largest are chosen anew, and who was chosen by a point
        is found by the place where that person was.
        """
        self._kept = None
        if self._tracker is not None:
            self._tracker.restart()
