""":mod:`livematte.kernels.blur` on NVIDIA GPUs."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from livematte.device.cuda import contiguous, cupy, empty
from livematte.device.launch import launch_samples, plane_arguments
from livematte.device.transfer import to_gpu
from livematte.frame import Array, Frame
from livematte.kernels._shared.sources import cuda_source
from livematte.kernels.convert.cuda import new_planes, small_planes
from livematte.kernels.resize.cuda import resize

SOURCE = cuda_source("blur/blur.cu")


def blur_background(frame: Frame, alpha: Array, size: tuple[int, int], sigma: float) -> tuple[Array, ...]:
    """The frame's planes out of focus, without the person; an alpha plane is opaque.

    Args:
        alpha: (h, w) float32 in [0, 1] at the network's size.
        size: (height, width) at which it is blurred.
        sigma: standard deviation in pixels of that size.
    """
    dtype, layout = frame.planes[0].dtype, frame.pixel_format
    sums = _room_sums(small_planes(frame, *size), _dilate_person(alpha, size), sigma)
    made, chroma = new_planes(frame.size, layout, dtype)
    for plane, values in zip((made[0], *chroma), sums[:3], strict=True):
        target, stride, step = plane_arguments(plane)
        given = (values, sums[3], *size, layout.maximum, target, stride, step)
        launch_samples(SOURCE, "enlarge_plane", plane.shape, *given, sample=dtype.name)
    if not layout.alpha:
        return made
    opaque = empty(frame.size, dtype)
    opaque.fill(layout.maximum)
    return (*made, opaque)


def _dilate_person(alpha: Array, size: tuple[int, int]) -> Array:
    out = empty(alpha.shape, np.float32)
    launch_samples(SOURCE, "dilate_alpha", alpha.shape, contiguous(alpha, np.float32), out)
    return contiguous(resize(out, *size), np.float32)


def _room_sums(codes: Array, person: Array, sigma: float) -> Array:
    """(4, h, w) float32: weighted sums of the three planes, and the sum of the weights."""
    h, w = person.shape
    maps = empty((4, h, w), np.float32)
    launch_samples(SOURCE, "weight_planes", (h * w,), codes, person, maps)
    weights = _gaussian(cupy().cuda.runtime.getDevice(), float(sigma))
    near = maps
    for down in (False, True):
        near, given = empty(maps.shape, np.float32), (near, weights, weights.size // 2, down)
        launch_samples(SOURCE, "gaussian", (4 * h, w), *given, near, h)
    wide = _shrink(maps, -(-h // 4), -(-w // 4))
    widest = _shrink(wide, min(4, wide.shape[1]), min(4, wide.shape[2]))
    everywhere = _shrink(_shrink(codes, min(16, h), min(16, w)), 1, 1)
    return _fill(near, _fill(wide, _fill(widest, everywhere)))


def _shrink(maps: Array, height: int, width: int) -> Array:
    out = empty((len(maps), height, width), np.float32)
    given = (maps, *maps.shape[1:], out, height)
    launch_samples(SOURCE, "shrink_maps", (len(maps) * height, width), *given)
    return out


def _fill(maps: Array, wide: Array) -> Array:
    count, h, w = maps.shape
    out = empty(maps.shape, np.float32)
    launch_samples(SOURCE, "fill_maps", (count * h, w), maps, wide, *wide.shape, out, h)
    return out


@lru_cache(maxsize=8)
def _gaussian(device: int, sigma: float) -> Array:
    """Weights, uploaded once for each device; as wide as ``cv2.GaussianBlur`` makes it for floats."""
    length = round(8 * sigma + 1) | 1
    return to_gpu(cv2.getGaussianKernel(length, sigma, cv2.CV_32F).ravel())
