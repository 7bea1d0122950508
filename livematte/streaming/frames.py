"""The values that the threads of a live session pass to each other, and to a preview."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from livematte.device.transfer import to_host
from livematte.frame import Array, Frame, Matte
from livematte.matting.cuts import is_cut
from livematte.streaming.live_matting import ModelBundle


@dataclass(frozen=True)
class CapturedFrame:
    """A frame of the camera.

    Attributes:
        serial: number of frames captured before it.
        captured_at: time on the session's clock.
        epoch: changes with the camera, its size and after a pause.
        thumbnail: its :func:`luma_thumbnail`, if mattes may lag.
    """

    frame: Frame
    serial: int
    captured_at: float
    epoch: int
    thumbnail: Array | None = None


def luma_thumbnail(frame: Frame) -> Array:
    """(h, w, 3) float32, 0..255: the luma of every eighth pixel, enough to see a cut."""
    luma = frame.planes[0][::8, ::8].astype(np.float32)
    return np.repeat(luma[..., None], 3, axis=2)


def can_reuse_matte(matted: CapturedFrame, now: CapturedFrame, longest: float) -> bool:
    """True if the matte of an earlier frame may be used for this one: it is at most ``longest`` seconds older
    and of the same shot.
    """
    if matted.epoch != now.epoch or now.captured_at - matted.captured_at > longest:
        return False
    if matted.thumbnail is None or now.thumbnail is None:
        return False
    return not is_cut(matted.thumbnail, now.thumbnail)


@dataclass(frozen=True)
class MattedFrame:
    """A frame with a good matte, on the device of ``bundle``; a frame that reuses an older matte may still
    have to
    be moved there.

    Attributes:
        small: the frame's planes at the matte's size; None for a reused matte.
        seconds: time that the model's stage took.
        bundle: the model that made the matte, and the compositor.
        ready: an event of the bundle's execution context, after all work that was queued for the frame.
        shot: see :attr:`livematte.streaming.live_matting.LiveMatting.shot`.
    """

    captured: CapturedFrame
    matte: Matte
    small: Array | None
    seconds: float
    bundle: ModelBundle
    ready: Any
    shot: int


@dataclass(frozen=True)
class OutputFrame:
    """The frame for all sinks at one tick. For the placeholder ``serial`` is None and ``captured_at`` 0."""

    frame: Frame
    serial: int | None
    captured_at: float


@dataclass(frozen=True)
class PreviewFrame:
    """The frame that viewers see. The planes are borrowed, but never written to later.

    Attributes:
        matte: (h, w) float32 in [0, 1] at the network's size, which may be on a GPU; None for the
            placeholder.
    """

    frame: Frame
    matte: Array | None

    @property
    def alpha(self) -> Array | None:
        """The matte in the computer's memory: copied from a GPU each time, None if the GPU is lost."""
        try:
            return None if self.matte is None else to_host(self.matte)
        except RuntimeError:  # CuPy's
            return None
