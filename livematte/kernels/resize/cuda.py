""":mod:`livematte.kernels.resize` on NVIDIA GPUs."""

from __future__ import annotations

import numpy as np

from livematte.device.cuda import empty
from livematte.device.launch import launch_samples, plane_arguments
from livematte.frame import Array
from livematte.kernels._shared.sources import cuda_source
from livematte.kernels.boxes import Box, scale_box

SOURCE = cuda_source("resize/resize.cu")


def resize(plane: Array, height: int, width: int) -> Array:
    """The plane at another size: area means where both axes shrink, linear interpolation otherwise."""
    if plane.shape == (height, width):
        return plane
    out = empty((height, width), plane.dtype)
    given = (*plane_arguments(plane), *plane.shape, out)
    launch_samples(SOURCE, "resize", (height, width), *given, sample=plane.dtype.name)
    return out


def block_mean(plane: Array, chroma: tuple[int, int]) -> Array:
    """Mean over the pixels that a chroma sample covers; at an odd edge the edge pixel counts twice."""
    v, h = chroma
    size = -(-plane.shape[0] >> v), -(-plane.shape[1] >> h)
    out = empty(size, np.float32)
    given = (*plane_arguments(plane), *plane.shape, *chroma, out)
    launch_samples(SOURCE, "block_mean", size, *given, sample=plane.dtype.name)
    return out


def area_crop(plane: Array, size: tuple[int, int], box: Box) -> Array:
    """A box of ``plane`` shrunk to ``size`` by area means: (bottom - top, right - left) float32."""
    out = empty((box[1] - box[0], box[3] - box[2]), np.float32)
    given = (*plane_arguments(plane), *plane.shape, *size, box[0], box[2], out)
    launch_samples(SOURCE, "area_crop", out.shape, *given, sample=plane.dtype.name)
    return out


def linear_crop(plane: Array, size: tuple[int, int], box: Box) -> Array:
    """A box of ``plane`` (h, w) interpolated linearly to ``size``: (bottom - top, right - left) float32."""
    return _interpolate(plane, (0, 0), plane.shape, size, box)


def enlarge_crop(piece: Array, box: Box, size: tuple[int, int], to: tuple[int, int]) -> Array:
    """The ``piece`` in a ``box`` of a map of ``size``, at its place in a picture of size ``to``; float32."""
    target = scale_box(box, size, to)
    return _interpolate(piece.astype(np.float32, copy=False), (box[0], box[2]), size, to, target)


def _interpolate(
    piece: Array, origin: tuple[int, int], size: tuple[int, int], to: tuple[int, int], box: Box
) -> Array:
    """The ``box`` of a map of ``size`` enlarged to ``to``, from its ``piece`` that begins at ``origin``."""
    out = empty((box[1] - box[0], box[3] - box[2]), np.float32)
    given = (*plane_arguments(piece), *piece.shape, *origin, *size, *to, box[0], box[2], out)
    launch_samples(SOURCE, "linear_crop", out.shape, *given, sample=piece.dtype.name)
    return out
