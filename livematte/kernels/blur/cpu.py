""":mod:`livematte.kernels.blur` on the CPU. Its definition too: Gaussians and resizing are OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np

from livematte.frame import Array, Frame
from livematte.kernels.convert.cpu import join_planes, small_planes, split_planes
from livematte.kernels.resize.cpu import resize


def blur_background(frame: Frame, alpha: Array, size: tuple[int, int], sigma: float) -> tuple[Array, ...]:
    """The frame's planes out of focus, without the person; an alpha plane is opaque.

    Args:
        alpha: (h, w) float32 in [0, 1] at the network's size.
        size: (height, width) at which it is blurred.
        sigma: standard deviation in pixels of that size.
    """
    blurred = _mean_room(small_planes(frame, *size), _dilate_person(alpha, *size), sigma)
    maximum = frame.pixel_format.maximum
    planes = []
    for plane, values in zip(split_planes(frame), blurred, strict=False):
        small = np.clip(np.rint(values), 0, maximum).astype(plane.dtype)
        planes.append(cv2.resize(small, plane.shape[::-1], interpolation=cv2.INTER_LINEAR))
    opaque = (np.full_like(frame.planes[3], maximum),) if frame.pixel_format.alpha else ()
    return join_planes(tuple(planes), frame.pixel_format) + opaque


def _dilate_person(alpha: Array, h: int, w: int) -> Array:
    """Alpha at the working size, wider and four times as high: a half covered pixel is no background."""
    wider = cv2.dilate(np.asarray(alpha, np.float32), np.ones((5, 5), np.uint8))
    return resize(np.minimum(wider * 4, 1), h, w)


def _mean_room(picture: Array, person: Array, sigma: float) -> Array:
    """Gaussian means over background pixels only.

    Args:
        picture: (3, h, w) float32.
        person: (h, w) float32 in [0, 1].
        sigma: standard deviation in pixels.

    Returns:
        (3, h, w) float32. If no background lies within reach, wider means are taken.
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
