"""The twin of :mod:`livematte.kernels.blur` for NVIDIA GPUs."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from livematte.frame import Array, Frame
from livematte.kernels.copies import to_gpu
from livematte.kernels.cuda import _new_planes, resize, small_planes
from livematte.kernels.cuda_launch import as_plane, cupy, empty, over_samples, whole


def blurred(frame: Frame, alpha: Array, size: tuple[int, int], sigma: float) -> tuple[Array, ...]:
    """Planes of the frame's format, opaque where it has alpha.

    Args:
        alpha: (h, w) float32 in [0, 1] at the network's size.
        size: (height, width) at which it is blurred.
        sigma: standard deviation in pixels of that size.
    """
    dtype, layout = frame.planes[0].dtype, frame.pixel_format
    sums = _means(small_planes(frame, *size), _person(alpha, size), sigma)
    made, chroma = _new_planes(frame.size, layout, dtype)
    for plane, values in zip((made[0], *chroma), sums[:3], strict=True):
        target, stride, step = as_plane(plane)
        given = (values, sums[3], *size, layout.maximum, target, stride, step)
        over_samples("blur", "defocused", plane.shape, *given, sample=dtype.name)
    if not layout.alpha:
        return made
    opaque = empty(frame.size, dtype)
    opaque.fill(layout.maximum)
    return (*made, opaque)


def _person(alpha: Array, size: tuple[int, int]) -> Array:
    out = empty(alpha.shape, np.float32)
    over_samples("blur", "wider", alpha.shape, whole(alpha, np.float32), out)
    return whole(resize(out, *size), np.float32)


def _means(codes: Array, person: Array, sigma: float) -> Array:
    """(4, h, w) float32: what ``blur._room`` divides, and by what."""
    h, w = person.shape
    maps = empty((4, h, w), np.float32)
    over_samples("blur", "weighted", (h * w,), codes, person, maps)
    weights = _gaussian(cupy().cuda.runtime.getDevice(), float(sigma))
    near = maps
    for down in (False, True):
        near, given = empty(maps.shape, np.float32), (near, weights, weights.size // 2, down)
        over_samples("blur", "gaussian", (4 * h, w), *given, near, h)
    wide = _shrunk(maps, -(-h // 4), -(-w // 4))
    widest = _shrunk(wide, min(4, wide.shape[1]), min(4, wide.shape[2]))
    everywhere = _shrunk(_shrunk(codes, min(16, h), min(16, w)), 1, 1)
    return _filled(near, _filled(wide, _filled(widest, everywhere)))


def _shrunk(maps: Array, height: int, width: int) -> Array:
    out = empty((len(maps), height, width), np.float32)
    given = (maps, *maps.shape[1:], out, height)
    over_samples("blur", "shrunk", (len(maps) * height, width), *given)
    return out


def _filled(maps: Array, wide: Array) -> Array:
    count, h, w = maps.shape
    out = empty(maps.shape, np.float32)
    over_samples("blur", "filled", (count * h, w), maps, wide, *wide.shape, out, h)
    return out


@lru_cache(maxsize=8)
def _gaussian(device: int, sigma: float) -> Array:
    """Uploaded once for each device; as wide as ``cv2.GaussianBlur`` makes it for floats."""
    length = round(8 * sigma + 1) | 1
    return to_gpu(cv2.getGaussianKernel(length, sigma, cv2.CV_32F).ravel())
