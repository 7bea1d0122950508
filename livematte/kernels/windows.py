"""Parts of a resized picture without resizing the rest of it.

A box is (top, bottom, left, right) in pixels of the resized picture. What comes out is defined by
:mod:`livematte.kernels.reference`: it resizes the whole and takes the part.
"""

from __future__ import annotations

import numpy as np

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
    """A box of ``plane`` (h, w) interpolated linearly: (bottom - top, right - left) float32."""
    top, bottom, left, right = box
    above, below, down = (x[top:bottom] for x in grid.linear_table(plane.shape[0], size[0]))
    before, after, across = (x[left:right] for x in grid.linear_table(plane.shape[1], size[1]))
    begin, end = int(before[0]), int(after[-1]) + 1
    part = plane[:, begin:end]
    upper, lower = part[above].astype(np.float32), part[below].astype(np.float32)
    lines = upper + down[:, None] * (lower - upper)
    first, second = lines[:, before - np.uint32(begin)], lines[:, after - np.uint32(begin)]
    return np.asarray(first + across * (second - first))
