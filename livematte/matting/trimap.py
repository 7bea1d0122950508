"""Trimaps: made from an alpha, resized, or read from a picture that a person drew.

A trimap is (h, w) uint8: 0 background, 128 unknown, 255 foreground.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from livematte.device.transfer import to_host
from livematte.errors import InputError
from livematte.frame import Array, Matte
from livematte.kernels.convert import to_rgb
from livematte.kernels.resize import resize
from livematte.protocols import State
from livematte.video import trial_decode
from livematte.video.reader import open_video

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255

SURE = 0.05
"""Alpha this close to 0 or 1 is sure; all values between are unknown."""
NARROW, WIDE = 0.006, 0.024
"""Half width of the unknown band beyond soft alpha, as a fraction of the picture's long side: around a sharp
outline, and around a very soft one (hair, motion)."""
REACH = 0.02
"""Half the window, as the same fraction, in which softness is averaged to tell the two apart."""
CRISP, SOFTEST = 0.1, 0.3
"""Mean of 4α(1-α) in that window: below the first value the band is narrow, above the second it is wide."""
_STEPS = 4
"""Number of different band widths: each costs one distance transform."""
_SOFTEST_CORE = 0.75
"""Alpha below this is never sure foreground."""

TOLERANCE = 32
"""Largest distance from 0, 128 and 255 of the greys of a drawn trimap."""
STRAY = 0.02
"""Largest fraction of pixels with other greys (soft strokes); they count as unknown."""


def make_trimap(
    alpha: Array,
    size: tuple[int, int] | None = None,
    *,
    own: Array | None = None,
    narrow: float = NARROW,
    wide: float = WIDE,
) -> Array:
    """Make a trimap from an alpha.

    Soft alpha is unknown, and so is a band around it whose half width grows from ``narrow`` to ``wide`` with
    the softness of the surroundings. The band covers at most the outer half of a sure region's thickness: an
    arm or a person far away keeps a core of foreground, a gap between arm and body a core of background.

    Args:
        alpha: (h, w) float32 in [0, 1], at the network's size.
        size: (height, width) of the trimap; the size of ``alpha`` by default. Distances are measured at the
            size of ``alpha`` and interpolated, so the band is smooth and costs no more.
        own: (h', w') the network's own trimap, float32 0, 0.5, 1; it is used instead, and is background where
            no person is near in ``alpha``.
        narrow, wide: as fractions of the long side.

    Returns:
        (height, width) uint8, 0, 128 or 255.
    """
    alpha = np.ascontiguousarray(alpha, np.float32)
    height, width = size or alpha.shape
    if own is not None:
        shrinks = height <= own.shape[0] and width <= own.shape[1]
        made = resize_trimap(snap(own), height, width) if shrinks else snap(resize(own, height, width))
        near_person = resize(_grown(alpha > SURE, 3 * wide * max(alpha.shape)), height, width)
        return np.where(near_person > 0, made, np.uint8(BACKGROUND))
    doubt = _doubt(alpha, narrow, wide)
    if (height, width) != alpha.shape:
        alpha, doubt = (resize(x, height, width) for x in (alpha, doubt))
    trimap: Array = (alpha > 0.5).view(np.uint8) * np.uint8(FOREGROUND)
    np.putmask(trimap, doubt > 0, np.uint8(UNKNOWN))
    return trimap


def trimap_from_matte(matte: Matte, size: tuple[int, int]) -> Array:
    """Return :func:`make_trimap` of a matte as a NumPy array; its small arrays are downloaded from a GPU.

    ``extras["trimap"]`` is the network's trimap, if any: (h, w) with 0, 0.5 and 1, or (3, h, w) with the
    probabilities of background, unknown and foreground, which are converted to their expected value.
    """
    own = matte.extras.get("trimap")
    if own is not None:
        own = to_host(own)
        if own.ndim == 3:
            own = np.float32(0.5) * own[1] + own[2]
    return make_trimap(to_host(matte.alpha), size, own=own)


def local_mean(values: Array) -> Array:
    """The mean of (h, w) float32 ``values`` in a window of :data:`REACH` around each pixel."""
    window = 2 * max(1, round(REACH * max(values.shape))) + 1
    return np.asarray(cv2.blur(values, (window, window), borderType=cv2.BORDER_REPLICATE), np.float32)


def _doubt(alpha: Array, narrow: float, wide: float) -> Array:
    """(h, w) float32: distance in pixels from the band's border, positive inside, negative outside."""
    long_side = max(alpha.shape)
    front, back = alpha >= 1 - SURE, alpha <= SURE
    _keep_cores(alpha, front)
    soft = ~(front | back) | _crossings(front, back)
    if not soft.any():
        return np.full(alpha.shape, np.float32(-long_side))
    softness = local_mean(4 * alpha * (1 - alpha))
    step = np.ceil(np.clip((softness - CRISP) * (1 / (SOFTEST - CRISP)), 0, 1) * (_STEPS - 1))
    band = np.full(alpha.shape, np.float32(-long_side))
    for number in range(_STEPS):
        here = soft & (step >= number)
        if here.any():
            half_width = np.float32((narrow + (wide - narrow) * number / (_STEPS - 1)) * long_side)
            band = np.maximum(band, half_width - _distance_to(here))
    depth: Array = np.where(front, _distance_to(~front), _distance_to(~back))
    return np.where(soft, np.maximum(band, 0.5), np.minimum(band, _half_depth(depth, wide, front) - depth))


def _keep_cores(alpha: Array, front: Array) -> None:
    """Mark the core of a person as sure foreground if no pixel has a high alpha (distance, fast motion)."""
    count, labels = cv2.connectedComponents((alpha > 0.5).view(np.uint8), ltype=cv2.CV_32S)
    for label in np.flatnonzero(np.bincount(labels[front], minlength=count)[1:] == 0) + 1:
        inside = labels == label
        front |= inside & (alpha >= max(_SOFTEST_CORE, float(alpha[inside].max()) - SURE))


def _crossings(front: Array, back: Array) -> Array:
    """Sure pixels next to sure pixels of the other side: a hard outline."""
    near = np.ones((3, 3), np.uint8)
    by_back, by_front = (cv2.dilate(side.view(np.uint8), near).view(np.bool_) for side in (back, front))
    return np.asarray((front & by_back) | (back & by_front))


def _half_depth(depth: Array, wide: float, front: Array) -> Array:
    """Half the thickness of the sure region around each pixel, up to the width of the band."""
    reach = max(1, int(np.ceil(wide * max(depth.shape))))
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    thick = [cv2.dilate(np.where(side, depth, np.float32(0)), window) for side in (front, ~front)]
    return np.asarray(np.where(front, *thick) * np.float32(0.5))


def _distance_to(region: Array) -> Array:
    """(h, w) float32: pixels to the nearest of ``region``, 0 inside; the long side and more without one."""
    if not region.any():
        return np.full(region.shape, np.float32(sum(region.shape)))
    return cv2.distanceTransform((~region).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)


def _grown(region: Array, radius: float) -> Array:
    return np.asarray(_distance_to(region) <= radius, np.float32)


def snap(trimap: Array) -> Array:
    """Values in [0, 1] as (h, w) uint8: 0 below a quarter, 255 above three quarters, 128 between."""
    low = np.where(trimap < 0.25, np.uint8(BACKGROUND), np.uint8(UNKNOWN))
    return np.where(trimap > 0.75, np.uint8(FOREGROUND), low)


def resize_trimap(trimap: Array, height: int, width: int) -> Array:
    """A trimap at another size; if reduced, a pixel is known only if all pixels that it covers agree."""
    h, w = trimap.shape
    if (h, w) == (height, width):
        return trimap
    fractions = (resize((trimap == side).astype(np.float32), height, width) for side in (0, 255))
    back, front = fractions
    enough = 0.999 if height <= h and width <= w else 0.5
    low = np.where(back >= enough, np.uint8(BACKGROUND), np.uint8(UNKNOWN))
    return np.where(front >= enough, np.uint8(FOREGROUND), low)


def read_trimap(path: str | os.PathLike[str], size: tuple[int, int]) -> Array:
    """Read a drawn trimap: black background, grey unknown, white foreground.

    Args:
        size: the (height, width) that is required.

    Returns:
        (height, width) uint8, 0, 128 or 255: greys within :data:`TOLERANCE` of these are snapped to them.

    Raises:
        InputError: not a picture, of another size, not of three greys, without unknown or without foreground.
    """
    path = Path(path)
    trial_decode.check(path)
    with open_video(path, color_profile="ignore") as source:  # its greys are numbers, not colours
        frame = next(iter(source), None)
    if frame is None:
        raise InputError(f"trimap {path} has no picture that decodes")
    if frame.size != size:
        raise InputError(
            f"trimap {path} is {frame.width}x{frame.height}, the picture {size[1]}x{size[0]}: draw it at the "
            "picture's size"
        )
    return parse_trimap(to_rgb(frame), path)


def parse_trimap(rgb: Array, path: Path) -> Array:
    """The trimap in a picture (h, w, 3) uint8. Errors as :func:`read_trimap`."""
    grey = rgb.astype(np.int16)
    trimap = np.full(grey.shape[:2], UNKNOWN, np.uint8)
    three = np.zeros(grey.shape[:2], np.bool_)
    for level in (BACKGROUND, UNKNOWN, FOREGROUND):
        here = (np.abs(grey - level) <= TOLERANCE).all(-1)
        trimap[here] = level
        three |= here
    stray = 1 - float(three.mean())
    if stray > STRAY:
        raise InputError(
            f"{path} is no trimap: {100 * stray:.0f} % of it is neither black (background), mid-grey 128 "
            "(unknown) nor white (foreground); draw it with these three, or let livematte trimap make one"
        )
    for level, what in ((UNKNOWN, "unknown (grey 128)"), (FOREGROUND, "foreground (white)")):
        if not (three & (trimap == level)).any():
            raise InputError(f"trimap {path} has no {what} pixel: there is nothing to matte by it")
    return trimap


@dataclass(frozen=True)
class DrawnTrimap:
    """A drawn trimap in the place of a :class:`livematte.protocols.Model`.

    Attributes:
        trimap: (H, W) uint8, the frame's size.
    """

    trimap: Array
    long_side: int = 512

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """The frame's aspect; small, since colours are estimated at this size."""
        scale = min(1.0, self.long_side / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def __call__(self, rgb: Array, state: State | None) -> tuple[Matte, State]:
        """Alpha 0, 0.5 and 1, and the trimap itself in the extras."""
        values = self.trimap.astype(np.float32) / 255
        values[self.trimap == UNKNOWN] = 0.5
        alpha = resize(values, *rgb.shape[:2])
        alpha[(alpha > 0) & (alpha < 2 * SURE)] = 2 * SURE  # thin hair must not count as sure background
        return Matte(alpha, None, {"trimap": values}), None
