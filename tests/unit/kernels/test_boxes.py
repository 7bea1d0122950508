"""How a picture is placed in another: nothing is stretched, whatever shape the pixels have."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livematte.kernels.boxes import Box, Placement, chroma_box, place

SIDES = st.integers(16, 400)
PIXELS = st.fractions(Fraction(1, 3), Fraction(3), max_denominator=64)


def size(box: Box) -> tuple[int, int]:
    return box[1] - box[0], box[3] - box[2]


@pytest.mark.parametrize(
    ("fit", "pixel", "expected"),
    [
        ("contain", Fraction(1), Placement((0, 90, 0, 160), (15, 105, 0, 160))),
        ("cover", Fraction(1), Placement((0, 90, 20, 140), (0, 120, 0, 160))),
        ("contain", Fraction(3, 4), Placement((0, 90, 0, 160), (0, 120, 0, 160))),
        ("cover", Fraction(3, 4), Placement((0, 90, 0, 160), (0, 120, 0, 160))),
        ("contain", Fraction(3, 8), Placement((0, 90, 0, 160), (0, 120, 40, 120))),
        ("stretch", Fraction(3, 8), Placement((0, 90, 0, 160), (0, 120, 0, 160))),
    ],
)
def test_a_wide_picture_in_a_4_3_canvas(fit: str, pixel: Fraction, expected: Placement) -> None:
    assert place((90, 160), (120, 160), fit, pixel) == expected


@given(SIDES, SIDES, SIDES, SIDES, PIXELS, st.sampled_from(["cover", "contain"]), st.sampled_from([1, 2]))
def test_both_directions_are_scaled_alike_to_the_pixel(
    h: int, w: int, height: int, width: int, pixel: Fraction, fit: str, align: int
) -> None:
    placed = place((h, w), (height, width), fit, pixel, align=align)
    (rows, columns), (tall, wide) = size(placed.shown), size(placed.filled)
    # Within half a pixel in each box, one with aligned boxes.
    down = [(tall + d) / (rows + e) for d in (-align, align) for e in (-1, 1)]
    across = [(wide + d) / float((columns + e) * pixel) for d in (-align, align) for e in (-1, 1)]
    assert min(down) <= max(across) and min(across) <= max(down)
    if fit == "contain":
        assert placed.shown == (0, h, 0, w) and (tall == height or wide == width)
    else:
        assert placed.filled == (0, height, 0, width) and (rows == h or columns == w)
    assert all(0 <= a < b for a, b in (placed.filled[:2], placed.filled[2:]))
    assert placed.filled[0] % align == placed.filled[2] % align == 0


def test_a_chroma_box_covers_the_box() -> None:
    assert chroma_box((2, 7, 4, 9), (1, 1)) == (1, 4, 2, 5)
    assert chroma_box((2, 7, 4, 9), (0, 0)) == (2, 7, 4, 9)
