"""Fast :mod:`livematte.kernels.resize` on the CPU: OpenCV for whole planes, compiled loops for crops."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import cv2
import numpy as np

from livematte.frame import Array
from livematte.kernels._shared import grid
from livematte.kernels._shared.memory import as_float32, flatten_plane
from livematte.kernels.boxes import Box, scale_box


@lru_cache(maxsize=1)
def _loops() -> ModuleType:
    from livematte.kernels.resize import loops  # Numba takes half a second

    return loops


def resize(plane: Array, height: int, width: int) -> Array:
    """The plane at another size: area means where both axes shrink, linear interpolation otherwise."""
    h, w = plane.shape
    if (h, w) == (height, width):
        return plane
    method = cv2.INTER_AREA if height <= h and width <= w else cv2.INTER_LINEAR
    return cv2.resize(plane, (width, height), interpolation=method)


def block_mean(plane: Array, chroma: tuple[int, int]) -> Array:
    """Mean over the pixels that a chroma sample covers; at an odd edge the edge pixel counts twice."""
    if chroma == (0, 0):
        return plane.astype(np.float32)
    height, width = plane.shape
    v, h = 1 << chroma[0], 1 << chroma[1]
    if height % v or width % h:
        plane = cv2.copyMakeBorder(plane, 0, -height % v, 0, -width % h, cv2.BORDER_REPLICATE)
    size = (plane.shape[1] // h, plane.shape[0] // v)
    return cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def area_crop(plane: Array, size: tuple[int, int], box: Box) -> Array:
    """A box of ``plane`` shrunk to ``size`` by area means: (bottom - top, right - left) float32."""
    out = np.empty((box[1] - box[0], box[3] - box[2]), np.float32)
    write_area_crop(plane, size, box, out)
    return out


def write_area_crop(plane: Array, size: tuple[int, int], box: Box, out: Array) -> None:
    """Write :func:`area_crop` to ``out``, which is C-contiguous."""
    top, bottom, left, right = box
    if plane.shape == size:
        out[...] = plane[top:bottom, left:right]
        return
    first_rows, row_weights = grid.area_table(plane.shape[0], size[0])
    begin, end, columns, column_weights = _columns(plane.shape[1], size[1], left, right)
    flat, stride = flatten_plane(plane[:, begin:end])
    rows, weights = first_rows[top:bottom], row_weights[top:bottom]
    _loops().shrink(flat, stride, rows, weights, columns, column_weights, out)


@lru_cache(maxsize=256)
def _columns(n_in: int, n_out: int, left: int, right: int) -> tuple[int, int, Array, Array]:
    """Entries ``left`` to ``right`` of an area table, for the samples that they cover.

    Returns:
        First sample and end of these; for each entry its first sample, counted from there, and its weights as
        (taps, right - left).
    """
    first, weights = grid.area_table(n_in, n_out)
    begin, end = int(first[left]), int(first[right - 1]) + weights.shape[1]
    return begin, end, first[left:right] - np.uint32(begin), np.ascontiguousarray(weights[left:right].T)


def linear_crop(plane: Array, size: tuple[int, int], box: Box) -> Array:
    """A box of ``plane`` (h, w) interpolated linearly to ``size``: (bottom - top, right - left) float32."""
    return _interpolate(plane, (0, 0), plane.shape, size, box)


def enlarge_crop(piece: Array, box: Box, size: tuple[int, int], to: tuple[int, int]) -> Array:
    """The ``piece`` in a ``box`` of a map of ``size``, at its place in a picture of size ``to``; float32."""
    return _interpolate(piece, (box[0], box[2]), size, to, scale_box(box, size, to))


def _interpolate(
    piece: Array, origin: tuple[int, int], size: tuple[int, int], to: tuple[int, int], box: Box
) -> Array:
    """The ``box`` of a map of ``size`` enlarged to ``to``, from its ``piece`` that begins at ``origin``."""
    top, bottom, left, right = box
    rows, columns = (grid.linear_table(n, m) for n, m in zip(size, to, strict=True))
    down = grid.crop_table(rows, top, bottom, origin[0], piece.shape[0])
    across = grid.crop_table(columns, left, right, origin[1], piece.shape[1])
    begin, end = int(across[0][0]), int(across[1][-1]) + 1
    across = across[0] - np.uint32(begin), across[1] - np.uint32(begin), across[2]
    out = np.empty((bottom - top, right - left), np.float32)
    _loops().interpolate(as_float32(piece[:, begin:end]), down, across, out)
    return out
