""":mod:`livematte.kernels.convert` on NVIDIA GPUs."""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.device.cuda import contiguous, cupy, empty
from livematte.device.launch import launch_samples, plane_arguments
from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame, PixelFormat
from livematte.kernels._shared.sources import cuda_source
from livematte.kernels.boxes import Box
from livematte.kernels.color.matrices import planes_from_rgb_matrix, rgb_from_planes_matrix
from livematte.kernels.resize.cuda import area_crop, linear_crop

TO_RGB = cuda_source("convert/to_rgb.cu")
FROM_RGB = cuda_source("convert/from_rgb.cu")


def split_planes(frame: Frame) -> tuple[Array, ...]:
    """The planes with interleaved chroma taken apart, as views: three, or four with alpha."""
    if frame.pixel_format.interleaved:
        luma, chroma = frame.planes
        return luma, chroma[..., 0], chroma[..., 1]
    return frame.planes


def join_planes(planes: tuple[Array, ...], layout: PixelFormat) -> tuple[Array, ...]:
    """The opposite of :func:`split_planes` for the three planes of a picture."""
    return (planes[0], cupy().stack(planes[1:], -1)) if layout.interleaved else planes


def small_planes(frame: Frame, height: int, width: int) -> Array:
    """The first three planes, all at one small size: (3, height, width) float32 codes, not rounded."""
    return _small(frame, height, width, codes=True, rgb=False)[0]


def crop_planes(frame: Frame, size: tuple[int, int], box: Box) -> Array:
    """``small_planes(frame, *size)[:, top:bottom, left:right]``: (3, bottom - top, right - left) float32."""
    planes = split_planes(frame)[:3]
    shrinks = [size[0] <= plane.shape[0] and size[1] <= plane.shape[1] for plane in planes]
    crops = [(area_crop if s else linear_crop)(p, size, box) for p, s in zip(planes, shrinks, strict=True)]
    return cupy().stack(crops)


def small_rgb(frame: Frame, height: int, width: int) -> Array:
    """The picture as (height, width, 3) uint8 RGB: planes shrunk first, converted when small."""
    return _small(frame, height, width, codes=False, rgb=True)[1]


def small_both(frame: Frame, height: int, width: int) -> tuple[Array, Array]:
    """:func:`small_planes` and :func:`small_rgb` in one pass over the frame."""
    return _small(frame, height, width, codes=True, rgb=True)


def _small(frame: Frame, height: int, width: int, *, codes: bool, rgb: bool) -> tuple[Array, Array]:
    """Codes and RGB of the frame at a small size; the one that is not asked for has no elements."""
    out = empty((3, height, width) if codes else (0,), np.float32)
    picture = empty((height, width, 3) if rgb else (0,), np.uint8)
    planes = split_planes(frame)[:3]
    given = [argument for plane in planes for argument in plane_arguments(plane)]
    launch_samples(
        TO_RGB, "small_pictures", (height, width), *given, *planes[0].shape, *planes[1].shape,
        *_numbers(rgb_from_planes_matrix(frame.color, frame.pixel_format)), codes, out, rgb, picture,
        sample=planes[0].dtype.name,
    )  # fmt: skip
    return out, picture


def _numbers(matrix: Array) -> list[float]:
    return [float(x) for x in matrix.ravel()]


def to_rgb(frame: Frame) -> Array:
    """The whole picture as (H, W, 3) uint8 RGB, chroma interpolated; for previews and images."""
    return small_rgb(frame, frame.height, frame.width)


def rgb_from_codes(codes: Array, frame: Frame) -> Array:
    """(3, h, w) codes of the frame's planes, to (h, w, 3) uint8 RGB."""
    _, h, w = codes.shape
    rgb = empty((h, w, 3), np.uint8)
    matrix = _numbers(rgb_from_planes_matrix(frame.color, frame.pixel_format))
    launch_samples(TO_RGB, "rgb_from_codes", (h * w,), contiguous(codes, np.float32), *matrix, rgb)
    return rgb


def _rgb(rgb: Array) -> tuple[Array, tuple[Any, ...]]:
    """RGB as uint8 or float32, and the arguments for ``PLANE`` and ``next``."""
    if rgb.dtype not in (np.uint8, np.float32):
        rgb = rgb.astype(np.float32)
    array, *strides = plane_arguments(rgb)
    return array, (array, *strides, array.strides[2] // array.itemsize)


def codes_from_rgb(rgb: Array, color: ColorInfo, format: str) -> Array:
    """(h, w, 3) RGB in 0..255, to (3, h, w) float32 codes of a format's first three planes."""
    rgb, given = _rgb(rgb)
    codes = empty((3, *rgb.shape[:2]), np.float32)
    matrix = _numbers(planes_from_rgb_matrix(color, PIXEL_FORMATS[format]))
    launch_samples(
        FROM_RGB, "codes_from_rgb", rgb.shape[:2], *given, *matrix, codes, rgb=rgb.dtype.name
    )  # fmt: skip
    return codes


def planes_from_rgb(rgb: Array, format: str, color: ColorInfo) -> tuple[Array, ...]:
    """An RGB picture as the planes of a format; chroma is the mean of the pixels it covers, alpha is
    opaque.
    """
    layout = PIXEL_FORMATS[format]
    dtype = np.dtype(np.uint8 if layout.depth == 8 else np.uint16)
    rgb, given = _rgb(rgb)
    size = rgb.shape[:2]
    planes, (second, third) = new_planes(size, layout, dtype)
    alpha = empty(size, dtype) if layout.alpha else planes[0]
    launch_samples(
        FROM_RGB, "planes_from_rgb", second.shape, *given, *size, *layout.chroma, layout.maximum,
        *_numbers(planes_from_rgb_matrix(color, layout)), planes[0], second, third,
        *plane_arguments(second)[1:], layout.alpha, alpha, sample=dtype.name, rgb=rgb.dtype.name,
    )  # fmt: skip
    return (*planes, alpha) if layout.alpha else planes


def new_planes(
    size: tuple[int, int], layout: PixelFormat, dtype: Any
) -> tuple[tuple[Array, ...], tuple[Array, Array]]:
    """The planes of a new frame less its alpha, and its chroma planes, which may be views of one."""
    luma, chroma = empty(size, dtype), layout.chroma_size(*size)
    if layout.interleaved:
        pairs = empty((*chroma, 2), dtype)
        return (luma, pairs), (pairs[..., 0], pairs[..., 1])
    second, third = empty(chroma, dtype), empty(chroma, dtype)
    return (luma, second, third), (second, third)
