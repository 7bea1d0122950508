"""Parts of a resized picture without resizing the rest of it.

A box is (top, bottom, left, right) in pixels of the resized picture. What comes out is defined by
:mod:`livematte.kernels.reference`: it resizes the whole and takes the part.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

from livematte.frame import Array, Frame
from livematte.kernels import grid
from livematte.kernels.cpu import _flat, split_planes

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


_Table = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]]


def _interpolated(piece: Array, rows: _Table, columns: _Table, box: Box, origin: tuple[int, int]) -> Array:
    """Tables count in the whole map, of which ``piece`` begins at ``origin``."""
    top, bottom, left, right = box
    above, below = (_within(x[top:bottom], origin[0], piece.shape[0]) for x in rows[:2])
    before, after = (_within(x[left:right], origin[1], piece.shape[1]) for x in columns[:2])
    begin, end = int(before[0]), int(after[-1]) + 1
    piece = piece[:, begin:end]
    upper, lower = piece[above].astype(np.float32), piece[below].astype(np.float32)
    lines = upper + rows[2][top:bottom, None] * (lower - upper)
    first, second = lines[:, before - begin], lines[:, after - begin]
    return np.asarray(first + columns[2][left:right] * (second - first))


def _within(indices: NDArray[np.uint32], origin: int, length: int) -> NDArray[np.int64]:
    return np.clip(indices.astype(np.int64) - origin, 0, length - 1)
