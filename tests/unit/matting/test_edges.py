"""The edge sliders: choke and feather, on pixels worked out by hand and in whole pictures."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from livematte.frame import Frame, Matte
from livematte.kernels.kinds import tile_kinds
from livematte.matting.backgrounds import Color, Transparent
from livematte.matting.compositor import KINDS, Compositor
from livematte.matting.edges import REFERENCE_HEIGHT, UNCHANGED, Edge, shrink
from livematte.matting.upsampling import FullAlpha


def square(size: int = 40, low: int = 10, high: int = 30, dtype: type = np.uint8) -> np.ndarray:
    plane = np.zeros((size, size), dtype)
    plane[low:high, low:high] = 1023 if dtype is np.uint16 else 255
    return plane


@pytest.mark.parametrize(("radius", "side"), [(3, 14), (-3, 26), (0, 20)])
def test_a_square_shrinks_or_grows_by_the_radius(radius: float, side: int) -> None:
    moved = shrink(square(), radius)
    assert (moved[20] == 255).sum() == (moved[:, 20] == 255).sum() == side
    assert set(np.unique(moved)) == {0, 255}


def test_between_whole_radii_the_edge_is_in_between() -> None:
    row = shrink(square(), 2.25)[20]
    assert row[9:15].tolist() == [0, 0, 0, 191, 255, 255]
    sums = [int(shrink(square(), radius / 4).sum()) for radius in range(-12, 13)]
    assert sums == sorted(sums, reverse=True)


def test_a_person_cut_off_by_the_border_is_not_eaten_from_there() -> None:
    plane = square()
    plane[10:, 10:30] = 255
    assert (shrink(plane, 4)[-1, 14:26] == 255).all()


def test_ten_bits_keep_their_depth() -> None:
    plane = square(dtype=np.uint16)
    moved = Edge(softness=30.0)(FullAlpha(plane, tile_kinds(plane, 1023)), 1023).plane
    assert moved.dtype == np.uint16 and 255 < moved.max() <= 1023


def test_feather_softens_both_sides_of_the_edge() -> None:
    plane = np.zeros((REFERENCE_HEIGHT, 200), np.uint8)
    plane[:, 100:] = 255
    soft = Edge(softness=5.0)(FullAlpha(plane, tile_kinds(plane, 255)), 255)
    row = soft.plane[300].astype(int)
    # a blurred step is the normal distribution: 0.16 and 0.84 at one standard deviation
    assert abs(row[94:96].mean() - 255 * 0.1587) < 4 and abs(row[104:106].mean() - 255 * 0.8413) < 4
    assert row[80] == 0 and row[119] == 255
    assert np.array_equal(soft.kinds, tile_kinds(soft.plane, 255))


def test_the_same_value_means_the_same_at_every_size() -> None:
    def width(height: int) -> int:
        plane = np.zeros((height, height), np.uint8)
        plane[:, : height // 2] = 255
        return int((Edge(inset=8.0)(FullAlpha(plane, tile_kinds(plane, 255)), 255).plane[5] == 255).sum())

    assert (width(720), width(360), width(180)) == (352, 176, 88)


def frame(height: int = 180, width: int = 240) -> Frame:
    rng = np.random.default_rng(0)
    luma = rng.integers(30, 220, (height, width)).astype(np.uint8)
    chroma = [rng.integers(90, 160, (height // 2, width // 2)).astype(np.uint8) for _ in range(2)]
    return Frame((luma, *chroma), "yuv420p", 0, Fraction(1, 30))


def matte() -> Matte:
    alpha = np.zeros((36, 48), np.float32)
    alpha[8:36, 12:36] = 1
    return Matte(alpha)


def test_unchanged_edges_change_no_bit() -> None:
    for background in (Color((0, 255, 0)), Transparent()):
        plain = Compositor()(frame(), matte(), background, KINDS)
        same = Compositor(edge=Edge())(frame(), matte(), background, KINDS, edge=UNCHANGED)
        for name in ("picture", "alpha", "foreground"):
            one, other = getattr(plain, name), getattr(same, name)
            assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


def test_choke_shows_more_background_and_feather_a_soft_edge() -> None:
    white = Color((255, 255, 255))

    def covered(**edge: float) -> tuple[int, int]:
        composed = Compositor(edge=Edge(**edge))(frame(), matte(), white, frozenset({"picture", "alpha"}))
        assert composed.alpha is not None and composed.picture is not None
        alpha = composed.alpha.planes[0]
        clear = alpha == 0
        assert (composed.picture.planes[0][clear] == 235).all(), "the background where alpha is 0"
        return int((alpha > 127).sum()), int(((alpha > 10) & (alpha < 245)).sum())

    plain, small, large, soft = covered(), covered(inset=12.0), covered(inset=-12.0), covered(softness=12.0)
    assert small[0] < plain[0] - 800 and large[0] > plain[0] + 800
    assert soft[1] > plain[1] + 1000
