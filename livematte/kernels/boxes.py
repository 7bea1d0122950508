"""Boxes in pictures, the pixels that they cover at another size, and how a picture is fitted into another."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from livematte.frame import Array

Box = tuple[int, int, int, int]
"""(top, bottom, left, right) in pixels; bottom and right are exclusive."""

FITS = ("cover", "contain", "stretch")
"""Ways to fit a picture into another shape; see :func:`place`."""


def scale_box(box: Box, size: tuple[int, int], to: tuple[int, int]) -> Box:
    """The pixels of a picture of size ``to`` whose centres lie in a ``box`` of one of ``size``.

    Boxes side by side stay side by side: each pixel belongs to one of them.
    """
    top, bottom = (ceil(y * to[0] / size[0] - 0.5) for y in box[:2])
    left, right = (ceil(x * to[1] / size[1] - 0.5) for x in box[2:])
    return top, bottom, left, right


def chroma_box(box: Box, chroma: tuple[int, int]) -> Box:
    """The box in a chroma plane, rounded outwards. ``chroma``: log2 of the subsampling, vertical first."""
    (v, h), (top, bottom, left, right) = chroma, box
    return top >> v, -(-bottom >> v), left >> h, -(-right >> h)


def crop(plane: Array, box: Box) -> Array:
    """A view of the pixels of ``plane``, (h, w) or (h, w, c), in ``box``."""
    top, bottom, left, right = box
    return plane[top:bottom, left:right]


@dataclass(frozen=True)
class Placement:
    """A picture in a canvas of another size.

    Attributes:
        shown: the part of the picture that is seen.
        filled: the part of the canvas that it fills; the rest is bars.
    """

    shown: Box
    filled: Box


def place(
    size: tuple[int, int], canvas: tuple[int, int], fit: str, pixel: Fraction = Fraction(1), *, align: int = 1
) -> Placement:
    """Fit a picture of ``size`` into a canvas. Only ``stretch`` changes its shape as shown.

    Args:
        size, canvas: (height, width) in stored pixels.
        fit: ``cover`` fills the canvas and crops the picture, ``contain`` shows the whole picture with bars,
            ``stretch`` fills the canvas with the whole picture.
        pixel: sample aspect of the picture, divided by that of the canvas.
        align: boxes begin at multiples of it; 2 keeps chroma in place.
    """
    (h, w), (height, width) = size, canvas
    whole, full = (0, h, 0, w), (0, height, 0, width)
    if fit == "stretch":
        return Placement(whole, full)
    scales = Fraction(height, h), Fraction(width, w) / pixel
    if fit == "cover":
        scale = max(scales)
        rows, columns = round(height / scale), round(width / scale / pixel)
        return Placement(_centred(max(1, rows), max(1, columns), size, align), full)
    scale = min(scales)
    rows, columns = (
        max(align, round(side / align) * align) if side < most else most
        for side, most in ((h * scale, height), (w * pixel * scale, width))
    )
    return Placement(whole, _centred(rows, columns, canvas, align))


def _centred(rows: int, columns: int, size: tuple[int, int], align: int) -> Box:
    rows, columns = min(rows, size[0]), min(columns, size[1])
    top, left = (size[0] - rows) // (2 * align) * align, (size[1] - columns) // (2 * align) * align
    return top, top + rows, left, left + columns
