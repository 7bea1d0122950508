"""Conversion of frames to pictures: colours, exact alpha, and the layouts for mixers without transparency."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from livematte.errors import UsageError
from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame
from livematte.kernels.convert.reference import planes_from_rgb
from livematte.plugins.obs.pictures import LAYOUTS, BgraConverter, find_layout

COLORS = [(255, 0, 0), (0, 177, 64), (30, 60, 200), (255, 255, 255), (0, 0, 0), (120, 120, 120)]


def make_frame(rgb: Array, format: str, color: ColorInfo, alpha: Array | None = None) -> Frame:
    planes = planes_from_rgb(rgb, format, color)
    if alpha is not None:
        planes = (*planes[:-1], alpha)
    return Frame(planes, format, 0, Fraction(1, 30), color=color)


@pytest.mark.parametrize(
    ("format", "color"),
    [
        ("yuva420p", ColorInfo()),
        ("yuva420p", ColorInfo(matrix="bt601", full_range=True)),
        ("yuva422p", ColorInfo()),
        ("yuva444p", ColorInfo(matrix="bt601")),
        ("gbrap", ColorInfo(matrix="rgb", full_range=True)),
        ("nv12", ColorInfo()),
        ("yuv420p", ColorInfo(matrix="bt601")),
        ("yuv422p", ColorInfo()),
    ],
)
@pytest.mark.parametrize("rgb", COLORS)
def test_colours_keep_their_meaning(format: str, color: ColorInfo, rgb: tuple[int, int, int]) -> None:
    flat = np.full((18, 34, 3), rgb, np.uint8)
    got = BgraConverter()(make_frame(flat, format, color))
    assert got.shape == (18, 34, 4) and got.dtype == np.uint8 and got.flags.c_contiguous
    assert np.abs(got[..., 2::-1].astype(int) - flat).max() <= 4
    assert (got[..., 3] == 255).all()


@pytest.mark.parametrize("width", [32, 33, 50, 72])
@pytest.mark.parametrize("format", [n for n, f in PIXEL_FORMATS.items() if f.alpha and f.depth == 8])
def test_alpha_is_exact_and_straight(format: str, width: int) -> None:
    alpha = np.arange(20 * width, dtype=np.uint8).reshape(20, width)
    red = np.full((20, width, 3), (255, 0, 0), np.uint8)
    got = BgraConverter()(make_frame(red, format, ColorInfo(), alpha))
    assert np.array_equal(got[..., 3], alpha)
    assert (got[..., 2] >= 251).all(), "colour is not multiplied by alpha"


def soft() -> Array:
    """Straight (B, G, R) = (200, 100, 50) with every alpha there is."""
    picture = np.empty((2, 256, 4), np.uint8)
    picture[..., :3] = (200, 100, 50)
    picture[..., 3] = np.arange(256)
    return picture


def test_green_shows_through_as_much_as_alpha_says() -> None:
    got = find_layout("green")(soft())
    a = np.arange(256)[None, :, None] / 255
    wanted = np.array([200, 100, 50]) * a + np.array([0x40, 0xB1, 0x00]) * (1 - a)
    assert np.abs(got[..., :3] - wanted).max() <= 0.5
    assert (got[..., 3] == 255).all()


def test_side_by_side_has_the_picture_on_the_left_and_alpha_on_the_right() -> None:
    got = find_layout("side-by-side")(soft())
    assert got.shape == (2, 512, 4)
    assert np.array_equal(got[:, :256, :3], soft()[..., :3])
    for channel in range(3):
        assert np.array_equal(got[:, 256:, channel], soft()[..., 3])
    assert (got[..., 3] == 255).all()


def test_a_layout_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="unknown layout 'chroma': use one of alpha, green, side-by-side"):
        find_layout("chroma")
    assert list(LAYOUTS) == ["alpha", "green", "side-by-side"]
