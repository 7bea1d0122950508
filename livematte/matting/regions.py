"""Regions of interest: the model sees people at a finer scale where they fill only a part of the frame.

The frame is scaled to a finer grid than the model's input, and the model sees a window of that grid, as large
as its input for the whole frame. So a person of a third of the frame's height gets several times the pixels
at the same cost. Alpha outside the window is 0. Where something moves there, the model also looks at the
whole frame, at most :data:`LOOK_SECONDS` later, so that nobody who comes in is missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from livematte.device.cuda import on_gpu
from livematte.errors import UsageError
from livematte.frame import Array, Matte
from livematte.matting.temporal import motion
from livematte.protocols import PendingMatte

MODES = ("auto", "off")

LOOK_SECONDS = 0.2
"""Interval of looks at the whole frame while something moves outside the window."""

REST_SECONDS = 2.0
"""Interval of looks while nothing moves there."""

SCALES = (3.0, 2.5, 2.0, 1.6, 1.3)
"""Scale of the grid relative to the model's input for the whole frame, largest first. A smaller gain than 1.3
is not worth the cost of the looks."""

MARGIN = 0.16
"""Room around people on each side, relative to their larger extent, when a window is chosen."""

NEAR = 0.05
"""A window is left when people come nearer to its edge than this, relative to the window's size."""

PATIENCE = 1.0
"""Seconds for which a finer window must be possible before the present one is left for it."""

AGREEMENT = 1.5
"""Largest ratio of the area of people in the first frame of a window and in the whole frame before. Beyond
it the model sees something else in the enlarged picture, and the whole frame is used."""

DISTRUST_SECONDS = 5.0
"""Time for which no window is tried after one that did not agree."""

VISIBLE = 0.1
"""Alpha from which a pixel belongs to people."""

FOUND = 4e-4
"""Share of a whole frame outside the window in which people must be seen by a look to be taken for people."""

Box = tuple[float, float, float, float]
"""Top, left, bottom and right, relative to the frame's height and width."""


@dataclass(frozen=True)
class Window:
    """A part of a grid over the whole frame.

    Attributes:
        grid: (height, width) of the whole frame at this scale, in pixels.
        top, left: position of the window in the grid.
        height, width: size of the window.
    """

    grid: tuple[int, int]
    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the window in an array of the size of the grid."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def room(self, box: Box) -> float:
        """Smallest distance of a box from the window's edges, relative to the window's size.

        Edges of the window at the edge of the frame do not count. Negative if the box reaches out.
        """
        rows, columns = self.grid
        top, left = self.top / rows, self.left / columns
        bottom, right = (self.top + self.height) / rows, (self.left + self.width) / columns
        tall, wide = self.height / rows, self.width / columns
        distances = [1.0]
        if self.top > 0:
            distances.append((box[0] - top) / tall)
        if self.left > 0:
            distances.append((box[1] - left) / wide)
        if self.top + self.height < rows:
            distances.append((bottom - box[2]) / tall)
        if self.left + self.width < columns:
            distances.append((right - box[3]) / wide)
        return min(distances)


def people_box(alpha: Array) -> Box | None:
    """The bounding box of all people in alpha (h, w) in [0, 1]; None if there is nobody."""
    seen = alpha > VISIBLE
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if len(rows) == 0:
        return None
    height, width = alpha.shape
    return rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width


def best_window(box: Box, size: tuple[int, int], frame: tuple[int, int]) -> Window | None:
    """The window with the finest grid that holds ``box`` and :data:`MARGIN`; None if the whole frame is best.

    Args:
        size: (height, width) of the model's input for the whole frame, and of the window.
        frame: (height, width) of the frame; the grid is not finer.
    """
    extent = max((box[2] - box[0]) * frame[0], (box[3] - box[1]) * frame[1])
    margins = MARGIN * extent / frame[0], MARGIN * extent / frame[1]
    low = max(0.0, box[0] - margins[0]), max(0.0, box[1] - margins[1])
    high = min(1.0, box[2] + margins[0]), min(1.0, box[3] + margins[1])
    for scale in SCALES:
        grid = round(size[0] * scale), round(size[1] * scale)
        if grid[0] > frame[0] or grid[1] > frame[1]:
            continue
        if high[0] - low[0] > size[0] / grid[0] or high[1] - low[1] > size[1] / grid[1]:
            continue
        starts = []
        for axis in (0, 1):
            middle = (low[axis] + high[axis]) / 2 * grid[axis]
            starts.append(int(np.clip(round(middle - size[axis] / 2), 0, grid[axis] - size[axis])))
        return Window(grid, starts[0], starts[1], *size)
    return None


def place(matte: Matte, window: Window, rgb: Array) -> Matte:
    """The matte of the whole grid: ``matte`` in the window, nobody outside.

    Args:
        rgb: (H, W, 3) uint8, the picture of the grid: the foreground colour outside the window.
    """
    here = window.slices

    def placed(values: Array, outside: Array) -> Array:
        outside[(..., *here)] = values
        return outside

    alpha = placed(matte.alpha, np.zeros(window.grid, np.float32))
    foreground = None
    if matte.foreground is not None:
        foreground = rgb.astype(np.float32) / 255
        foreground[here] = matte.foreground
    extras = {}
    for name, values in matte.extras.items():
        whole = np.zeros((*values.shape[:-2], *window.grid), values.dtype)
        if name == "trimap" and values.ndim == 3:
            whole[0] = 1  # surely background
        extras[name] = placed(values, whole)
    return replace(matte, alpha=alpha, foreground=foreground, extras=extras)


def enlarged(matte: Matte, grid: tuple[int, int]) -> Matte:
    """All maps of a matte of the whole frame, interpolated to the size of a grid."""

    def resized(values: Array) -> Array:
        return np.asarray(cv2.resize(values, grid[::-1], interpolation=cv2.INTER_LINEAR), np.float32)

    extras = {
        name: resized(values) if values.ndim == 2 else np.stack([resized(plane) for plane in values])
        for name, values in matte.extras.items()
    }
    foreground = None if matte.foreground is None else resized(matte.foreground)
    return replace(matte, alpha=resized(matte.alpha), foreground=foreground, extras=extras)


def combined(inside: Matte, look: Matte | None, window: Window, rgb: Array) -> Matte:
    """The matte of the whole grid from the matte of the window and, if there was one, of a look.

    If the look shows people outside the window, its matte is used for the whole frame, so that no seam
    crosses a person. The next window then holds all of them.
    """
    if look is not None:
        whole = enlarged(look, window.grid)
        outside = whole.alpha > 0.5
        outside[window.slices] = False
        if np.count_nonzero(outside) > FOUND * outside.size:
            return whole
    return place(inside, window, rgb)


@dataclass(frozen=True)
class PendingWindow:
    """A matte of the whole grid that is being computed."""

    inside: PendingMatte
    look: PendingMatte | None
    check: Callable[[Matte, tuple[int, int]], None]
    """Raises ModelError for a matte of another size."""
    window: Window
    rgb: Array

    def result(self) -> Matte:
        """Wait for the matte and return it. Call this once only."""
        inside = self.inside.result()
        look = None if self.look is None else self.look.result()
        self.check(inside, (self.window.height, self.window.width))
        return combined(inside, look, self.window, self.rgb)


class RegionTracker:
    """Chooses the window of each frame from the mattes of the frames before.

    Only for frames in the computer's memory: on a GPU a larger size costs little.
    """

    def __init__(self, mode: str = "auto") -> None:
        """Choose ``auto`` or ``off``. UsageError for another mode."""
        if mode not in MODES:
            raise UsageError(f"unknown region mode {mode!r}: allowed are {', '.join(MODES)}")
        self.on = mode == "auto"
        self.restart()

    def restart(self) -> None:
        """Forget all people: the next frame is seen whole."""
        self._window: Window | None = None
        self._finer_since: float | None = None
        self._looked_at = self._trusted_from = -np.inf
        self._area: float | None = None
        """Share of the frame that people covered before a window that is to be tested."""
        self._picture: Array | None = None

    def window(self) -> Window | None:
        """The window for the next frame; None for the whole frame."""
        return self._window if self.on else None

    def needs_look(self, picture: Array, seconds: float) -> bool:
        """True if the model must see the whole frame too.

        Args:
            picture: (h, w, 3) float32 RGB 0..255, the whole frame at a small size.
            seconds: time of the frame.
        """
        window, before = self._window, self._picture
        if window is None:
            return False
        passed = abs(seconds - self._looked_at)
        if passed < LOOK_SECONDS - 1e-3:
            return False
        if passed < REST_SECONDS and before is not None and before.shape == picture.shape:
            moved = motion(before, picture)
            rows, columns = moved.shape
            top, left = window.top * rows // window.grid[0], window.left * columns // window.grid[1]
            bottom = -(-(window.top + window.height) * rows // window.grid[0])
            right = -(-(window.left + window.width) * columns // window.grid[1])
            moved[top:bottom, left:right] = 0
            if float((moved > 0.5).mean()) < FOUND:
                return False
        self._looked_at, self._picture = seconds, picture
        return True

    def update(self, alpha: Array, size: tuple[int, int], frame: tuple[int, int], seconds: float) -> None:
        """Learn where people are in the newest frame.

        Args:
            alpha: (h, w) in [0, 1], of the whole frame.
            size: (height, width) of the model's input for the whole frame.
            frame: (height, width) of the frame.
            seconds: time of the frame.
        """
        if not self.on or on_gpu(alpha):
            return
        box, area = people_box(alpha), float(alpha.mean())
        if self._window is not None and self._area is not None:
            if not self._area / AGREEMENT <= area <= self._area * AGREEMENT:
                self._window, self._trusted_from = None, seconds + DISTRUST_SECONDS
                return
            self._area = None
        if box is None or seconds < self._trusted_from:
            self._window = self._finer_since = None
            return
        best, now = best_window(box, size, frame), self._window
        if now is None or (now.height, now.width) != size or now.room(box) < NEAR:
            if best is not None and now is None:
                self._looked_at = seconds  # the whole frame was seen just now
                self._area = area
            self._window, self._finer_since = best, None
        elif best is not None and best.grid[0] > now.grid[0]:
            if self._finer_since is None:
                self._finer_since = seconds
            if abs(seconds - self._finer_since) >= PATIENCE:
                self._window, self._finer_since = best, None
        else:
            self._finer_since = None


def window_picture(window: Window, rgb: Array) -> Array:
    """The part (h, w, 3) of the grid's picture that the model sees, contiguous."""
    return np.ascontiguousarray(rgb[window.slices])
