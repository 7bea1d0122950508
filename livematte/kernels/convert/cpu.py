"""Fast :mod:`livematte.kernels.convert` on the CPU."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import cv2
import numpy as np

from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame, PixelFormat
from livematte.kernels._shared.memory import as_float32
from livematte.kernels.boxes import Box
from livematte.kernels.color.matrices import planes_from_rgb_matrix, rgb_from_planes_matrix
from livematte.kernels.resize.cpu import block_mean, linear_crop, resize, write_area_crop


@lru_cache(maxsize=1)
def _loops() -> ModuleType:
    from livematte.kernels.convert import loops  # Numba takes half a second

    return loops


def split_planes(frame: Frame) -> tuple[Array, ...]:
    """The planes with interleaved chroma taken apart: three, or four with alpha."""
    if frame.pixel_format.interleaved:
        luma, chroma = frame.planes
        return luma, *cv2.split(chroma)
    return frame.planes


def join_planes(planes: tuple[Array, ...], layout: PixelFormat) -> tuple[Array, ...]:
    """The opposite of :func:`split_planes` for the three planes of a picture."""
    return (planes[0], cv2.merge(planes[1:])) if layout.interleaved else planes


def small_planes(frame: Frame, height: int, width: int) -> Array:
    """The first three planes, all at one small size: (3, height, width) float32 codes, not rounded."""
    size, box = (height, width), (0, height, 0, width)
    out = np.empty((3, height, width), np.float32)
    for plane, small in zip(split_planes(frame), out, strict=False):
        if _shrinks(plane, size):
            write_area_crop(plane, size, box, small)
        else:  # not linear_crop: OpenCV enlarges a chroma plane of 720p in 0.27 ms, that loop in 0.70 ms
            small[...] = resize(plane.astype(np.float32), height, width)
    return out


def crop_planes(frame: Frame, size: tuple[int, int], box: Box) -> Array:
    """``small_planes(frame, *size)[:, top:bottom, left:right]``: (3, bottom - top, right - left) float32."""
    out = np.empty((3, box[1] - box[0], box[3] - box[2]), np.float32)
    for plane, small in zip(split_planes(frame), out, strict=False):
        if _shrinks(plane, size):
            write_area_crop(plane, size, box, small)
        else:
            small[...] = linear_crop(plane, size, box)
    return out


def _shrinks(plane: Array, size: tuple[int, int]) -> bool:
    height, width = plane.shape
    return bool(size[0] <= height and size[1] <= width)


def small_rgb(frame: Frame, height: int, width: int) -> Array:
    """The picture as (height, width, 3) uint8 RGB: planes shrunk first, converted when small."""
    return rgb_from_codes(small_planes(frame, height, width), frame)


def small_both(frame: Frame, height: int, width: int) -> tuple[Array, Array]:
    """:func:`small_planes` and :func:`small_rgb`."""
    planes = small_planes(frame, height, width)
    return planes, rgb_from_codes(planes, frame)


def to_rgb(frame: Frame) -> Array:
    """The whole picture as (H, W, 3) uint8 RGB, chroma interpolated; for previews and images."""
    return small_rgb(frame, frame.height, frame.width)


def rgb_from_codes(codes: Array, frame: Frame) -> Array:
    """(3, h, w) codes of the frame's planes, to (h, w, 3) uint8 RGB."""
    matrix = rgb_from_planes_matrix(frame.color, frame.pixel_format).astype(np.float32)
    rgb = np.empty(codes.shape, np.uint8)
    _loops().rgb_from_codes(as_float32(codes).reshape(3, -1), matrix, rgb.reshape(3, -1))
    return cv2.merge(tuple(rgb))


def codes_from_rgb(rgb: Array, color: ColorInfo, format: str) -> Array:
    """(h, w, 3) RGB in 0..255, to (3, h, w) float32 codes of a format's first three planes."""
    matrix = planes_from_rgb_matrix(color, PIXEL_FORMATS[format]).astype(np.float32)
    return np.stack(cv2.split(cv2.transform(rgb.astype(np.float32), matrix)))


def planes_from_rgb(rgb: Array, format: str, color: ColorInfo) -> tuple[Array, ...]:
    """An RGB picture as the planes of a format; chroma is the mean of the pixels it covers, alpha is
    opaque.
    """
    pixel_format = PIXEL_FORMATS[format]
    dtype = np.uint8 if pixel_format.depth == 8 else np.uint16
    first, second, third = codes_from_rgb(rgb, color, format)

    def whole(values: Array) -> Array:
        return np.clip(np.rint(values), 0, pixel_format.maximum).astype(dtype)

    planes: tuple[Array, ...] = (
        whole(first),
        whole(block_mean(second, pixel_format.chroma)),
        whole(block_mean(third, pixel_format.chroma)),
    )
    planes = join_planes(planes, pixel_format)
    if pixel_format.alpha:
        planes += (np.full(rgb.shape[:2], pixel_format.maximum, dtype),)
    return planes
