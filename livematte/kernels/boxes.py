"""Boxes in pictures, and the pixels that they cover at another size."""

from __future__ import annotations

from math import ceil

Box = tuple[int, int, int, int]
"""(top, bottom, left, right) in pixels; bottom and right are exclusive."""


def scale_box(box: Box, size: tuple[int, int], to: tuple[int, int]) -> Box:
    """The pixels of a picture of size ``to`` whose centres lie in a ``box`` of one of ``size``.

    Boxes side by side stay side by side: each pixel belongs to one of them.
    """
    top, bottom = (ceil(y * to[0] / size[0] - 0.5) for y in box[:2])
    left, right = (ceil(x * to[1] / size[1] - 0.5) for x in box[2:])
    return top, bottom, left, right
