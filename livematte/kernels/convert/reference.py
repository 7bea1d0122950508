"""Definition of :mod:`livematte.kernels.convert`, in NumPy."""

from __future__ import annotations

import numpy as np

from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame, PixelFormat
from livematte.kernels.boxes import Box
from livematte.kernels.color.matrices import planes_from_rgb_matrix, rgb_from_planes_matrix
from livematte.kernels.resize.reference import block_mean, cut, resize


def split_planes(frame: Frame) -> tuple[Array, ...]:
    """The planes with interleaved chroma taken apart: three, or four with alpha."""
    if frame.pixel_format.interleaved:
        luma, chroma = frame.planes
        return luma, np.ascontiguousarray(chroma[..., 0]), np.ascontiguousarray(chroma[..., 1])
    return frame.planes


def join_planes(planes: tuple[Array, ...], layout: PixelFormat) -> tuple[Array, ...]:
    """The opposite of :func:`split_planes` for the three planes of a picture."""
    return (planes[0], np.stack(planes[1:], -1)) if layout.interleaved else planes


def small_planes(frame: Frame, height: int, width: int) -> Array:
    """The first three planes, all at one small size: (3, height, width) float32 codes, not rounded."""
    planes = [resize(plane.astype(np.float32), height, width) for plane in split_planes(frame)[:3]]
    return np.stack(planes)


def crop_planes(frame: Frame, size: tuple[int, int], box: Box) -> Array:
    """``small_planes(frame, *size)[:, top:bottom, left:right]``, without resizing the rest of the frame.

    Args:
        box: in pixels of ``size``.

    Returns:
        (3, bottom - top, right - left) float32 codes, not rounded.
    """
    return small_planes(frame, *size)[(slice(None), *cut(box))]


def small_rgb(frame: Frame, height: int, width: int) -> Array:
    """The picture as (height, width, 3) uint8 RGB: planes shrunk first, converted when small."""
    return rgb_from_codes(small_planes(frame, height, width), frame)


def small_both(frame: Frame, height: int, width: int) -> tuple[Array, Array]:
    """:func:`small_planes` and :func:`small_rgb`, on a GPU in one pass over the frame."""
    return small_planes(frame, height, width), small_rgb(frame, height, width)


def to_rgb(frame: Frame) -> Array:
    """The whole picture as (H, W, 3) uint8 RGB, chroma interpolated; for previews and images."""
    return small_rgb(frame, frame.height, frame.width)


def rgb_from_codes(codes: Array, frame: Frame) -> Array:
    """(3, h, w) codes of the frame's planes, to (h, w, 3) uint8 RGB."""
    matrix = rgb_from_planes_matrix(frame.color, frame.pixel_format)
    rgb = np.moveaxis(codes, 0, -1).astype(np.float64) @ matrix[:, :3].T + matrix[:, 3]
    return np.floor(np.clip(rgb, 0, 255) + 0.5).astype(np.uint8)


def codes_from_rgb(rgb: Array, color: ColorInfo, format: str) -> Array:
    """(h, w, 3) RGB in 0..255, to (3, h, w) float32 codes of a format's first three planes."""
    matrix = planes_from_rgb_matrix(color, PIXEL_FORMATS[format])
    codes = rgb.astype(np.float64) @ matrix[:, :3].T + matrix[:, 3]
    return np.moveaxis(codes, -1, 0).astype(np.float32)


def planes_from_rgb(rgb: Array, format: str, color: ColorInfo) -> tuple[Array, ...]:
    """An RGB picture as the planes of a format; chroma is the mean of the pixels it covers, alpha is opaque.

    Args:
        rgb: (H, W, 3) uint8.
    """
    pixel_format = PIXEL_FORMATS[format]
    dtype = np.uint8 if pixel_format.depth == 8 else np.uint16
    codes = codes_from_rgb(rgb, color, format)

    def whole(values: Array) -> Array:
        return np.clip(np.rint(values), 0, pixel_format.maximum).astype(dtype)

    chroma = [block_mean(codes[c], pixel_format.chroma) for c in (1, 2)]
    planes: tuple[Array, ...] = (whole(codes[0]), whole(chroma[0]), whole(chroma[1]))
    planes = join_planes(planes, pixel_format)
    if pixel_format.alpha:
        planes += (np.full(rgb.shape[:2], pixel_format.maximum, dtype),)
    return planes
