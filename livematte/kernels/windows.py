"""Parts of a resized picture without resizing the rest of it.

A box is (top, bottom, left, right) in pixels of the resized picture. What comes out is defined by
:mod:`livematte.kernels.reference`: it resizes the whole and takes the part.
"""

from __future__ import annotations

from math import ceil
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from livematte.frame import Array, Frame
from livematte.kernels import grid
from livematte.kernels.cpu import _flat, split_planes
from livematte.kernels.reference import TILE

Box = tuple[int, int, int, int]


def window_planes(frame: Frame, size: tuple[int, int], box: Box) -> Array:
    """``small_planes(frame, *size)[:, top:bottom, left:right]``.

    Returns:
        (3, bottom - top, right - left) float32 codes, not rounded.
    """
    planes = split_planes(frame)[:3]
    shrinks = [size[0] <= plane.shape[0] and size[1] <= plane.shape[1] for plane in planes]
    parts = [
        (area_window if shrink else linear_window)(plane, size, box)
        for plane, shrink in zip(planes, shrinks, strict=True)
    ]
    return np.stack(parts)


def area_window(plane: Array, size: tuple[int, int], box: Box) -> Array:
    """A box of ``plane`` shrunk by area means: (bottom - top, right - left) float32."""
    top, bottom, left, right = box
    first_rows, row_weights = grid.area_table(plane.shape[0], size[0])
    first_columns, column_weights = grid.area_table(plane.shape[1], size[1])
    if plane.shape == size:
        return plane[top:bottom, left:right].astype(np.float32)
    from livematte.kernels import loops  # Numba takes half a second

    begin, end = int(first_columns[left]), int(first_columns[right - 1]) + column_weights.shape[1]
    flat, stride = _flat(plane[:, begin:end])
    rows, weights = first_rows[top:bottom], np.ascontiguousarray(row_weights[top:bottom])
    columns, across = first_columns[left:right] - np.uint32(begin), column_weights[left:right]
    out = np.empty((bottom - top, right - left), np.float32)
    loops.shrink(flat, stride, rows, weights, columns, np.ascontiguousarray(across.T), out)
    return out


def linear_window(plane: Array, size: tuple[int, int], box: Box) -> Array:
    """A box of ``plane`` (h, w) interpolated linearly to ``size``: (bottom - top, right - left) float32."""
    return _interpolated(
        plane,
        grid.linear_table(plane.shape[0], size[0]),
        grid.linear_table(plane.shape[1], size[1]),
        box,
        (0, 0),
    )


def enlarged(piece: Array, box: Box, size: tuple[int, int], to: tuple[int, int]) -> Array:
    """A piece of a map, interpolated linearly to where it lies in a picture of another size.

    Args:
        piece: (bottom - top, right - left) float32, the ``box`` of a map of ``size``.
        to: (height, width) of the picture.

    Returns:
        float32, of the size of ``covered(box, size, to)``; beyond the box its edge is repeated.
    """
    tables = [grid.linear_table(n, m) for n, m in zip(size, to, strict=True)]
    return _interpolated(piece, tables[0], tables[1], covered(box, size, to), (box[0], box[2]))


def covered(box: Box, size: tuple[int, int], to: tuple[int, int]) -> Box:
    """The pixels of a picture of size ``to`` whose centres lie in a box of ``size``."""
    top, bottom = (ceil(y * to[0] / size[0] - 0.5) for y in box[:2])
    left, right = (ceil(x * to[1] / size[1] - 0.5) for x in box[2:])
    return top, bottom, left, right


def upsample_window(
    luma: Array, slope: Array, offset: Array, maximum: int, box: Box, size: tuple[int, int]
) -> tuple[Array, Array]:
    """What :func:`livematte.kernels.cpu.upsample_alpha` makes of the part that ``box`` covers.

    Args:
        luma: (H, W), the whole plane.
        slope, offset: float32, the ``box`` of maps of ``size``.

    Returns:
        alpha and kinds of the pixels of ``covered(box, size, luma.shape)``; kinds count from its corner.
    """
    from livematte.kernels import loops

    to = luma.shape
    top, bottom, left, right = covered(box, size, to)
    tables = [grid.linear_table(n, m) for n, m in zip(size, to, strict=True)]
    rows = _part_of(tables[0], top, bottom, box[0], slope.shape[0])
    columns = _part_of(tables[1], left, right, box[2], slope.shape[1])
    shape = bottom - top, right - left
    flat, stride = _flat(luma[top:bottom, left:right])
    alpha, kinds = np.empty(shape, luma.dtype), np.empty([-(-n // TILE) for n in shape], np.uint8)
    codes = np.multiply(offset, np.float32(maximum), dtype=np.float32)
    loops.alpha_plane(
        flat,
        stride,
        shape,
        np.ascontiguousarray(slope),
        codes,
        rows,
        columns,
        maximum,
        alpha.reshape(-1),
        kinds,
    )
    return alpha, kinds


def add_weighted(weight: Array, given: Array, sums: Array, weights: Array) -> None:
    """In place: ``sums += weight · given``, (c, h, w) float32, and ``weights += weight``, (h, w)."""
    _loops().add_weighted(weight, np.require(given, np.float32, ["C", "W"]), sums, weights)


def explaining_background(codes: Array, foreground: Array, alpha: Array, maximum: int) -> Array:
    """The background that makes the compositing equation true, (3, h, w) float32, clipped to codes.

    Where alpha is nearly 1 any would, so it is divided by 0.05 at least.

    Args:
        codes, foreground: (3, h, w) float32.
        alpha: (h, w) float32.
    """
    out = np.empty(codes.shape, np.float32)
    whole, front, a = (np.require(x, np.float32, ["C", "W"]) for x in (codes, foreground, alpha))
    _loops().explaining_background(whole, front, a, maximum, out)
    return out


def refined_over_time(
    raw: Array, share: Array, moves: Array, holds: Array, still: float, alpha: Array, raw_before: Array
) -> tuple[Array, Array]:
    """See :func:`livematte.kernels.reference.refined_over_time`."""
    counts, new = np.empty(raw.shape, np.float32), np.empty(raw.shape, np.float32)
    given = (np.require(x, np.float32, ["C", "W"]) for x in (raw, share, moves, holds))
    _loops().refined_over_time(*given, np.float32(still), alpha, raw_before, counts, new)
    return counts, new


def _loops() -> ModuleType:
    from livematte.kernels import window_loops  # Numba takes half a second

    return window_loops


_Table = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]]


def _interpolated(piece: Array, rows: _Table, columns: _Table, box: Box, origin: tuple[int, int]) -> Array:
    """Tables count in the whole map, of which ``piece`` begins at ``origin``."""
    top, bottom, left, right = box
    down = _part_of(rows, top, bottom, origin[0], piece.shape[0])
    across = _part_of(columns, left, right, origin[1], piece.shape[1])
    begin, end = int(across[0][0]), int(across[1][-1]) + 1
    across = across[0] - np.uint32(begin), across[1] - np.uint32(begin), across[2]
    out = np.empty((bottom - top, right - left), np.float32)
    _loops().interpolate(np.require(piece[:, begin:end], np.float32, ["C", "W"]), down, across, out)
    return out


def _part_of(table: _Table, begin: int, end: int, origin: int, length: int) -> _Table:
    """Entries ``begin`` to ``end`` of a table, counted from ``origin`` and kept within ``length``."""
    first, second = (
        np.clip(x[begin:end].astype(np.int64) - origin, 0, length - 1).astype(np.uint32) for x in table[:2]
    )
    return first, second, table[2][begin:end].copy()
