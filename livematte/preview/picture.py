"""What a preview shows: the composite, the matte or both, in the size that there is room for."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from livematte.frame import Array
from livematte.kernels import cpu
from livematte.streaming.handed import Shown

VIEWS = ("composite", "matte", "both")
_TILE = 8
"""Side of a square of the chequered ground behind what is transparent, in pixels of the preview."""


def fitted(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """The largest (height, width) in the shape of ``size`` within ``room``, never larger than ``size``."""
    scale = min(Fraction(1), *(Fraction(most, side) for side, most in zip(size, room, strict=True)))
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def picture_of(shown: Shown, view: str, room: tuple[int, int]) -> Array:
    """A picture for a preview.

    Args:
        shown: what viewers see.
        view: one of :data:`VIEWS`; ``both`` is the composite with the matte beside or below it, whichever
            shows more.
        room: most (height, width) in pixels.

    Returns:
        (h, w, 3) uint8 RGB. A matte is white for people and black with the placeholder.
    """
    size = shown.frame.size
    if view == "composite":
        return _composite(shown, *fitted(size, room))
    if view == "matte":
        return _matte(shown, *fitted(size, room))
    beside, below = (fitted(size, half) for half in ((room[0], room[1] // 2), (room[0] // 2, room[1])))
    if below > beside:
        return np.vstack([_composite(shown, *below), _matte(shown, *below)])
    return np.hstack([_composite(shown, *beside), _matte(shown, *beside)])


def _composite(shown: Shown, height: int, width: int) -> Array:
    rgb = cpu.small_rgb(shown.frame, height, width)
    if not shown.frame.pixel_format.alpha:
        return rgb
    alpha = cpu.resize(shown.frame.planes[3], height, width)[..., None] / np.float32(255)
    rows, columns = np.ogrid[:height, :width]
    ground = np.where((rows // _TILE + columns // _TILE) % 2, 102, 153)[..., None]
    return np.asarray(np.rint(alpha * rgb + (1 - alpha) * ground), np.uint8)


def _matte(shown: Shown, height: int, width: int) -> Array:
    if (alpha := shown.alpha) is None:
        return np.zeros((height, width, 3), np.uint8)
    if shown.frame.pixel_format.alpha:
        grey = cpu.resize(shown.frame.planes[3], height, width)
    else:
        grey = np.asarray(np.rint(255 * cpu.resize(alpha, height, width)), np.uint8)
    return cv2.merge((grey, grey, grey))
