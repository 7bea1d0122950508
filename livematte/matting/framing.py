"""Auto-framing: crop and pan to the people, as a calm camera operator would."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import copysign

import cv2
import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_gpu, to_host
from livematte.errors import UsageError
from livematte.frame import Array, Frame, Matte

OFF, HEAD, BODY = MODES = ("off", "head", "body")

TIGHTEST = 0.4
"""Smallest share of the frame that is shown: less would be blurred."""
MARGIN = 1.2
"""Height and width of the section relative to the people's box."""
HEAD_HEIGHT, HEAD_AND_SHOULDERS = 1.2, 1.8
"""Height of a head, in widths of the head, and of head and shoulders, in heights of the head."""
SLACK = 0.05
"""A wish to move by less than this share of the frame is ignored."""
FASTEST = 0.2
"""Speed limit of the centre and of the size, in shares of the frame per second."""
STIFFNESS = 1.5
"""Natural frequency of the critically damped movement, in radians per second."""
LONGEST_STEP = 0.1
"""Seconds that a movement goes on at most between two frames: after a pause it does not jump."""


@dataclass(frozen=True)
class Section:
    """The part of a frame that is shown; shares of the frame's width and height.

    Attributes:
        x, y: centre.
        size: width and height: the aspect ratio is the frame's.
    """

    x: float = 0.5
    y: float = 0.5
    size: float = 1.0

    def inside(self) -> Section:
        """Return the section moved into the frame, so that no edge is seen."""
        size = min(1.0, max(TIGHTEST, self.size))
        low, high = size / 2, 1 - size / 2
        return Section(min(high, max(low, self.x)), min(high, max(low, self.y)), size)


def check_framing(mode: str) -> str:
    """Return ``mode``. Raises UsageError unless it is one of :data:`MODES`."""
    if mode not in MODES:
        raise UsageError(f"frame {mode!r} is invalid: use one of {', '.join(MODES)}")
    return mode


def wanted_section(alpha: Array, mode: str) -> Section | None:
    """Return the section that shows the people of a matte; None without people.

    Args:
        alpha: (h, w) float32 in [0, 1].
        mode: ``head`` or ``body``.
    """
    there = alpha > 0.5
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    if not len(rows):
        return None
    height, width = alpha.shape
    top, bottom = rows[0] / height, (rows[-1] + 1) / height
    if mode == HEAD:
        last = rows[0] + _head_and_shoulders(there[rows[0] : rows[-1] + 1])
        bottom, columns = last / height, np.flatnonzero(there[rows[0] : last].any(0))
    left, right = columns[0] / width, (columns[-1] + 1) / width
    size = MARGIN * max(bottom - top, right - left)
    return Section((left + right) / 2, (top + bottom) / 2, size).inside()


def _head_and_shoulders(there: Array) -> int:
    """Return the number of rows from the top of a person to below the shoulders; all rows if it fills them.

    The head ends where the rows above are as many as a head of their greatest width has.
    """
    widest = np.maximum.accumulate(there.sum(1))
    ends = np.flatnonzero(np.arange(1, len(widest) + 1) >= HEAD_HEIGHT * widest)
    return min(len(there), round(HEAD_AND_SHOULDERS * (ends[0] + 1))) if len(ends) else len(there)


class Framer:
    """Moves a section smoothly to the people of each frame, and crops frame and matte to it.

    It has a state: use one per video, frames in order. With ``off`` frame and matte pass unchanged.

    Attributes:
        mode: one of :data:`MODES`; may be changed between frames.
    """

    def __init__(self, mode: str = OFF) -> None:
        self.mode = check_framing(mode)
        self._now: Section | None = None
        self._goal = Section()
        self._speed = (0.0, 0.0, 0.0)
        self._seconds = 0.0

    @property
    def active(self) -> bool:
        """False where frame and matte pass unchanged."""
        return self.mode != OFF

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Return the place in the frame of a point in the newest section; both shares of width and height."""
        shown = self._now or Section()
        return shown.x + shown.size * (point[0] - 0.5), shown.y + shown.size * (point[1] - 0.5)

    def __call__(self, frame: Frame, matte: Matte, cut: bool = False) -> tuple[Frame, Matte]:
        """Return frame and matte cropped to the section, at their sizes. A GPU is waited for.

        Args:
            cut: a new shot begins: the section jumps to the people.
        """
        if not self.active:
            self._now = None
            return frame, matte
        section = self.move(to_host(matte.alpha), float(frame.seconds), cut)
        return crop_frame(frame, section), crop_matte(matte, section)

    def move(self, alpha: Array, seconds: float, cut: bool = False) -> Section:
        """Return the section for a matte at a time in seconds."""
        wanted = wanted_section(alpha, self.mode)
        step = min(LONGEST_STEP, max(0.0, seconds - self._seconds))
        self._seconds = seconds
        if self._now is None or cut:
            self._now = self._goal = wanted or Section()
            self._speed = (0.0, 0.0, 0.0)
            return self._now
        if wanted is not None and _distance(wanted, self._goal) > SLACK:
            self._goal = wanted
        moved, speeds = [], []
        for name, speed in zip(("x", "y", "size"), self._speed, strict=True):
            value, goal = getattr(self._now, name), getattr(self._goal, name)
            pull = STIFFNESS**2 * (goal - value) - 2 * STIFFNESS * speed
            speed += step * pull
            speed = copysign(min(abs(speed), FASTEST), speed)
            moved.append(value + step * speed)
            speeds.append(speed)
        self._now, self._speed = Section(*moved).inside(), (speeds[0], speeds[1], speeds[2])
        return self._now


def _distance(one: Section, other: Section) -> float:
    return max(abs(one.x - other.x), abs(one.y - other.y), abs(one.size - other.size))


def crop_plane(plane: Array, section: Section) -> Array:
    """Return the section of (h, w) or (h, w, channels) at the size of ``plane``, between pixels too."""
    here = to_host(plane)
    height, width = here.shape[:2]
    scale = section.size
    left = (section.x - scale / 2) * width + 0.5 * scale - 0.5
    top = (section.y - scale / 2) * height + 0.5 * scale - 0.5
    matrix = np.array([[scale, 0, left], [0, scale, top]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    made = cv2.warpAffine(here, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return to_gpu(made) if on_gpu(plane) else made


def crop_frame(frame: Frame, section: Section) -> Frame:
    """Return the section of a frame, at the size of the frame."""
    planes = []
    for number, plane in enumerate(frame.planes):
        if frame.pixel_format.interleaved and number == 1:  # U and V side by side
            pairs = plane.reshape(plane.shape[0], -1, 2)
            planes.append(crop_plane(pairs, section).reshape(plane.shape))
        else:
            planes.append(crop_plane(plane, section))
    return frame.with_planes(tuple(planes))


def crop_matte(matte: Matte, section: Section) -> Matte:
    """Return the section of a matte, at the size of the matte."""
    colour = None if matte.foreground is None else crop_plane(matte.foreground, section)
    extras = {name: crop_plane(values, section) for name, values in matte.extras.items()}
    return replace(matte, alpha=crop_plane(matte.alpha, section), foreground=colour, extras=extras)
