"""Make small pictures of what viewers see: the composite, the matte or both, for previews and the panel."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from livematte.frame import Array
from livematte.kernels.convert import small_rgb
from livematte.kernels.resize import resize
from livematte.streaming.frames import PreviewFrame

VIEWS = ("composite", "matte", "both")
_TILE = 8
"""Side of a square of the checkerboard behind transparent parts, in pixels of the preview."""


def fit_size(size: tuple[int, int], max_size: tuple[int, int]) -> tuple[int, int]:
    """Scale the (height, width) ``size`` down to fit into ``max_size``, keeping the aspect ratio."""
    scale = min(Fraction(1), *(Fraction(most, side) for side, most in zip(size, max_size, strict=True)))
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def preview_picture(shown: PreviewFrame, view: str, max_size: tuple[int, int]) -> Array:
    """Make the picture of a preview.

    Args:
        shown: the frame that viewers see.
        view: one of :data:`VIEWS`; ``both`` is the composite with the matte to its right or below it,
            whichever is larger.
        max_size: maximum (height, width) in pixels.

    Returns:
        (h, w, 3) uint8 RGB. A matte is white for people, and all black with the placeholder.
    """
    size = shown.frame.size
    if view == "composite":
        return _composite(shown, *fit_size(size, max_size))
    if view == "matte":
        return _matte(shown, *fit_size(size, max_size))
    half_width, half_height = (max_size[0], max_size[1] // 2), (max_size[0] // 2, max_size[1])
    right, below = fit_size(size, half_width), fit_size(size, half_height)
    if below > right:
        return np.vstack([_composite(shown, *below), _matte(shown, *below)])
    return np.hstack([_composite(shown, *right), _matte(shown, *right)])


def _composite(shown: PreviewFrame, height: int, width: int) -> Array:
    rgb = small_rgb(shown.frame, height, width)
    if not shown.frame.pixel_format.alpha:
        return rgb
    alpha = resize(shown.frame.planes[3], height, width)[..., None] / np.float32(255)
    rows, columns = np.ogrid[:height, :width]
    board = np.where((rows // _TILE + columns // _TILE) % 2, 102, 153)[..., None]
    return np.asarray(np.rint(alpha * rgb + (1 - alpha) * board), np.uint8)


def _matte(shown: PreviewFrame, height: int, width: int) -> Array:
    if (alpha := shown.alpha) is None:
        return np.zeros((height, width, 3), np.uint8)
    if shown.frame.pixel_format.alpha:
        grey = resize(shown.frame.planes[3], height, width)
    else:
        grey = np.asarray(np.rint(255 * resize(alpha, height, width)), np.uint8)
    return cv2.merge((grey, grey, grey))
