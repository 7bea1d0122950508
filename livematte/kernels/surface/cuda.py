""":mod:`livematte.kernels.surface` on NVIDIA GPUs, which is where surfaces are."""

from __future__ import annotations

import numpy as np

from livematte.device.cuda import empty
from livematte.device.launch import launch_samples, plane_arguments
from livematte.frame import Array
from livematte.kernels._shared.sources import cuda_source

SOURCE = cuda_source("surface/surface.cu")


def planes_from_surface(luma: Array, chroma: Array, depth: int) -> tuple[Array, ...]:
    """The surface of a hardware decoder as planar Y, U and V with the value in the low bits."""
    return tuple(
        _shift(plane, 0, 16 - depth, empty(plane.shape, np.uint16))
        for plane in (luma, chroma[..., 0], chroma[..., 1])
    )


def surface_from_planes(planes: tuple[Array, ...], depth: int) -> tuple[Array, Array]:
    """The opposite of :func:`planes_from_surface`: luma and chroma for a hardware encoder."""
    luma, chroma = empty(planes[0].shape, np.uint16), empty((*planes[1].shape, 2), np.uint16)
    write_surface(planes, depth, (luma, chroma[..., 0], chroma[..., 1]))
    return luma, chroma


def write_surface(planes: tuple[Array, ...], depth: int, out: tuple[Array, ...]) -> None:
    """Write Y, U and V to the surface of a hardware encoder; depths above 8 bits into the high bits."""
    for plane, target in zip(planes, out, strict=True):
        _shift(plane, 16 - depth if depth > 8 else 0, 0, target)


def _shift(plane: Array, up: int, down: int, out: Array) -> Array:
    given = (*plane_arguments(plane), up, down, *plane_arguments(out))
    launch_samples(SOURCE, "shift_samples", plane.shape, *given, sample=plane.dtype.name)
    return out
