"""Definition of :mod:`livematte.kernels.resize`, in NumPy: a crop is cut out of the whole resized picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from livematte.frame import Array
from livematte.kernels._shared import grid
from livematte.kernels.boxes import Box, scale_box


def resize(plane: Array, height: int, width: int) -> Array:
    """The plane at another size: area means where both axes shrink, linear interpolation otherwise.

    Args:
        plane: (h, w) uint8, uint16 or float32.

    Returns:
        (height, width), same dtype, integers rounded half to even.
    """
    h, w = plane.shape
    weights = grid.area_weights if height <= h and width <= w else grid.linear_weights
    result = weights(h, height) @ plane.astype(np.float64) @ weights(w, width).T
    return (np.rint(result) if plane.dtype.kind == "u" else result).astype(plane.dtype)


def block_mean(plane: Array, chroma: tuple[int, int]) -> Array:
    """Mean over the pixels that a chroma sample covers; at an odd edge the edge pixel counts twice.

    Args:
        plane: (H, W).
        chroma: log2 of the vertical and horizontal subsampling.

    Returns:
        (ceil(H / 2**v), ceil(W / 2**h)) float32.
    """
    v, h = 1 << chroma[0], 1 << chroma[1]
    padded = np.pad(plane, ((0, -plane.shape[0] % v), (0, -plane.shape[1] % h)), mode="edge")
    rows, columns = padded.shape
    blocks = padded.reshape(rows // v, v, columns // h, h)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64), np.float32)


def area_crop(plane: Array, size: tuple[int, int], box: Box) -> Array:
    """A box of ``plane`` shrunk to ``size`` by area means.

    Args:
        plane: (h, w) uint8, uint16 or float32, neither axis smaller than ``size``.
        box: in pixels of ``size``.

    Returns:
        (bottom - top, right - left) float32, not rounded.
    """
    return _resized(plane, size, grid.area_weights)[cut(box)]


def linear_crop(plane: Array, size: tuple[int, int], box: Box) -> Array:
    """A box of ``plane`` (h, w) interpolated linearly to ``size``: (bottom - top, right - left) float32."""
    return _resized(plane, size, grid.linear_weights)[cut(box)]


def enlarge_crop(piece: Array, box: Box, size: tuple[int, int], to: tuple[int, int]) -> Array:
    """A piece of a map, interpolated linearly to its place in a picture of another size.

    Args:
        piece: (bottom - top, right - left) float32, the ``box`` of a map of ``size``.
        to: (height, width) of the picture.

    Returns:
        float32, of the size of ``scale_box(box, size, to)``; beyond the box its edge is repeated.
    """
    whole = _resized(extend(piece, box, size), to, grid.linear_weights)
    return whole[cut(scale_box(box, size, to))]


def extend(piece: Array, box: Box, size: tuple[int, int]) -> Array:
    """A map of ``size`` that has ``piece`` in the ``box`` and repeats its edge beyond."""
    top, bottom, left, right = box
    return np.pad(piece, ((top, size[0] - bottom), (left, size[1] - right)), mode="edge")


def cut(box: Box) -> tuple[slice, slice]:
    """Index of the ``box`` in an array (h, w)."""
    top, bottom, left, right = box
    return slice(top, bottom), slice(left, right)


def _resized(plane: Array, size: tuple[int, int], weights: Callable[[int, int], grid.Weights]) -> Array:
    rows, columns = weights(plane.shape[0], size[0]), weights(plane.shape[1], size[1])
    return (rows @ plane.astype(np.float64) @ columns.T).astype(np.float32)
