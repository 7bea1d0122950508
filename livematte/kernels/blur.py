"""The room out of focus, as if nobody stood in it: what :class:`livematte.backgrounds.Blur` shows."""

from __future__ import annotations

import cv2
import numpy as np

from livematte.frame import Array, Frame
from livematte.kernels import cpu


def blurred(frame: Frame, alpha: Array, size: tuple[int, int], sigma: float) -> tuple[Array, ...]:
    """Planes of the frame's format, opaque where it has alpha.

    Args:
        alpha: (h, w) float32 in [0, 1] at the network's size.
        size: (height, width) at which it is blurred.
        sigma: standard deviation in pixels of that size.
    """
    blurred = _room(cpu.small_planes(frame, *size), _person(alpha, *size), sigma)
    maximum = frame.pixel_format.maximum
    planes = []
    for plane, values in zip(cpu.split_planes(frame), blurred, strict=False):
        small = np.clip(np.rint(values), 0, maximum).astype(plane.dtype)
        planes.append(cv2.resize(small, plane.shape[::-1], interpolation=cv2.INTER_LINEAR))
    opaque = (np.full_like(frame.planes[3], maximum),) if frame.pixel_format.alpha else ()
    return cpu.join_planes(tuple(planes), frame.pixel_format) + opaque


def _person(alpha: Array, h: int, w: int) -> Array:
    """Alpha a little wider than it is, at the working size: what is half a person is no background."""
    wider = cv2.dilate(np.asarray(alpha, np.float32), np.ones((5, 5), np.uint8))
    return cpu.resize(np.minimum(wider * 4, 1), h, w)


def _room(picture: Array, person: Array, sigma: float) -> Array:
    """Gaussian means over background pixels only.

    Args:
        picture: (3, h, w) float32.
        person: (h, w) float32 in [0, 1].
        sigma: standard deviation in pixels.

    Returns:
        (3, h, w) float32. Where no background lies within reach, ever wider means fill in.
    """
    h, w = person.shape
    room = 1 - person
    weighted = cv2.merge([plane * room for plane in picture] + [room])
    near = cv2.GaussianBlur(weighted, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    # Each wider mean weighs a thousandth of the one before: it counts where that saw no room.
    wide = cv2.resize(weighted, (-(-w // 4), -(-h // 4)), interpolation=cv2.INTER_AREA)
    widest = cv2.resize(wide, (min(4, wide.shape[1]), min(4, wide.shape[0])), interpolation=cv2.INTER_AREA)
    everywhere = np.array([*picture.mean((1, 2)), 1], np.float32)
    widest = widest + everywhere * np.float32(1e-3)
    wide = cv2.scaleAdd(cv2.resize(widest, wide.shape[1::-1]), 1e-3, wide)
    near = cv2.scaleAdd(cv2.resize(wide, (w, h)), 1e-3, near)
    *sums, weight = cv2.split(near)
    return np.stack([cv2.divide(total, weight) for total in sums])
