"""Definition of :mod:`livematte.kernels.surface`, in NumPy."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array


def planes_from_surface(luma: Array, chroma: Array, depth: int) -> tuple[Array, ...]:
    """The surface of a hardware decoder, whose samples lie in the high bits, as planar Y, U and V.

    Args:
        luma: (H, W) uint16: P010 or P016, with any pitch.
        chroma: (h, w, 2) uint16, U and V.
        depth: 10 or 12 bits.

    Returns:
        Y, U, V uint16 with the value in the low bits, as in ``yuv420p10le``. An NV12 surface needs no
        conversion: it is the planes of a frame.
    """
    down = 16 - depth
    return luma >> down, chroma[..., 0] >> down, chroma[..., 1] >> down


def surface_from_planes(planes: tuple[Array, ...], depth: int) -> tuple[Array, Array]:
    """The opposite of :func:`planes_from_surface`: luma and chroma for a hardware encoder."""
    luma, chroma = np.empty(planes[0].shape, np.uint16), np.empty((*planes[1].shape, 2), np.uint16)
    write_surface(planes, depth, (luma, chroma[..., 0], chroma[..., 1]))
    return luma, chroma


def write_surface(planes: tuple[Array, ...], depth: int, out: tuple[Array, ...]) -> None:
    """Write Y, U and V to the surface of a hardware encoder; depths above 8 bits into the high bits.

    Args:
        planes: (H, W), (h, w) and (h, w), of ``depth`` bits.
        out: views of the same shapes in a surface with any pitch.
    """
    for plane, target in zip(planes, out, strict=True):
        target[...] = plane << (16 - depth) if depth > 8 else plane
