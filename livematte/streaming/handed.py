"""What the threads of a live session hand to one another, and to who looks on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from livematte.frame import Array, Frame, Matte
from livematte.kernels.copies import to_host
from livematte.streaming.matting import Parts
from livematte.temporal import is_cut


@dataclass(frozen=True)
class Shot:
    """A captured frame.

    Attributes:
        epoch: changes with the camera, its size and after a pause.
        seen: its :func:`thumbnail`, where mattes may lag.
    """

    frame: Frame
    serial: int
    captured: float
    epoch: int
    seen: Array | None = None


def thumbnail(frame: Frame) -> Array:
    """(h, w, 3) float32, 0..255: the luma of every eighth pixel, enough to see a cut."""
    luma = frame.planes[0][::8, ::8].astype(np.float32)
    return np.repeat(luma[..., None], 3, axis=2)


def lags_little(matted: Shot, now: Shot, longest: float) -> bool:
    """Whether the matte of an earlier frame may be used for this one: it is no more than ``longest`` seconds
    older and of the same shot.
    """
    if matted.epoch != now.epoch or now.captured - matted.captured > longest:
        return False
    return matted.seen is not None and now.seen is not None and not is_cut(matted.seen, now.seen)


@dataclass(frozen=True)
class Matted:
    """A frame with a good matte, where ``parts`` work; with ``--lag-ok`` it may still have to go there.

    Attributes:
        small: its planes at the matte's size, where they are its own.
        parts: what matted it, and will composite it.
        ready: a mark of their place, of all that was queued for it.
    """

    shot: Shot
    matte: Matte
    small: Array | None
    took: float
    parts: Parts
    ready: Any


@dataclass(frozen=True)
class Outgoing:
    """What is sent at one frame time; ``serial`` is None for the placeholder, and ``captured`` then 0."""

    frame: Frame
    serial: int | None
    captured: float


@dataclass(frozen=True)
class Shown:
    """What viewers see. The planes are borrowed, but never written to later.

    Attributes:
        matte: (h, w) float32 in [0, 1] at the network's size, which may be on a GPU; None where it is the
            placeholder.
    """

    frame: Frame
    matte: Array | None

    @property
    def alpha(self) -> Array | None:
        """The matte in the computer's memory: fetched from a GPU each time, None where that is lost."""
        try:
            return None if self.matte is None else to_host(self.matte)
        except RuntimeError:  # CuPy's
            return None
