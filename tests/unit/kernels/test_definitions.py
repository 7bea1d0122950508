"""The definition itself, against numbers worked by hand. The twins are held to it in test_parity.py."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from livematte.errors import InputError
from livematte.frame import PIXEL_FORMATS, ColorInfo, Frame
from livematte.kernels._shared import grid
from livematte.kernels.color.css import parse_color
from livematte.kernels.color.matrices import encode_color
from livematte.kernels.composite.reference import fuse_plane, masked_plane, mix_plane, straight_plane
from livematte.kernels.convert.reference import planes_from_rgb, small_rgb, to_rgb
from livematte.kernels.foreground.reference import estimate_colors
from livematte.kernels.kinds import CLEAR, SOFT, SOLID
from livematte.kernels.kinds.reference import tile_kinds
from livematte.kernels.resize.reference import block_mean, resize
from livematte.kernels.upsample.reference import guided_coefficients, upsample_alpha
from tests.unit.kernels.pictures import COLORS, SOURCE_FORMATS, disc


def u8(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


NO_TILES = np.full((1, 1), SOFT, np.uint8)


def test_area_shrink_is_the_mean_of_what_is_covered() -> None:
    assert resize(u8([10, 20, 30, 40]), 1, 2).tolist() == [[15, 35]]
    # Three into two: the middle sample is shared, (10 + 20 / 2) / 1.5 and (20 / 2 + 40) / 1.5.
    assert resize(u8([10, 20, 40]), 1, 2).tolist() == [[13, 33]]


def test_linear_growth_keeps_the_edge_and_quarters_the_way_between() -> None:
    assert resize(np.float32([[0, 8]]), 1, 4).tolist() == [[0, 2, 6, 8]]


@pytest.mark.parametrize("weights", [grid.area_weights, grid.linear_weights, grid.cubic_weights])
@pytest.mark.parametrize(("n_in", "n_out"), [(7, 3), (3, 3), (5, 5)])
def test_weights_keep_a_constant(weights, n_in: int, n_out: int) -> None:  # type: ignore[no-untyped-def]
    assert np.allclose(weights(n_in, n_out).sum(1), 1)


def test_cubic_keeps_a_ramp_away_from_the_edge() -> None:
    ramp = grid.cubic_weights(10, 20) @ np.arange(10.0)
    # a = -0.75 overshoots a ramp by its own 3/128 at quarter positions, and evenly so.
    steps = np.diff(ramp[6:14:2])
    assert np.allclose(steps, 1)


@pytest.mark.parametrize(
    ("info", "format", "rgb", "codes"),
    [
        (ColorInfo("bt709"), "yuv420p", (255, 255, 255), (235, 128, 128)),
        (ColorInfo("bt709"), "yuv420p", (0, 0, 0), (16, 128, 128)),
        (ColorInfo("bt709", full_range=True), "yuv420p", (255, 255, 255), (255, 128, 128)),
        (ColorInfo("bt601"), "yuv420p", (255, 0, 0), (81, 90, 240)),
        (ColorInfo("bt709"), "yuv420p", (255, 0, 0), (63, 102, 240)),
        (ColorInfo("bt2020"), "yuv420p10le", (255, 255, 255), (940, 512, 512)),
        (ColorInfo("bt709"), "yuv444p12le", (0, 0, 0), (256, 2048, 2048)),
        (ColorInfo("rgb", full_range=True), "gbrp", (10, 20, 30), (20, 30, 10)),
        (ColorInfo("rgb", full_range=True), "gbrp10le", (255, 0, 0), (0, 0, 1023)),
    ],
)
def test_codes_of_known_colours(
    info: ColorInfo, format: str, rgb: tuple[int, int, int], codes: tuple[int, int, int]
) -> None:
    assert encode_color(rgb, info, PIXEL_FORMATS[format]) == codes


def test_a_yuv_picture_with_an_rgb_matrix_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="matrix 'rgb'"):
        encode_color((0, 0, 0), ColorInfo("rgb"), PIXEL_FORMATS["yuv420p"])


@pytest.mark.parametrize("format", SOURCE_FORMATS)
@pytest.mark.parametrize("info", COLORS)
def test_a_flat_colour_survives_the_way_to_planes_and_back(format: str, info: ColorInfo) -> None:
    rgb = np.full((6, 8, 3), (200, 90, 30), np.uint8)
    frame = Frame(planes_from_rgb(rgb, format, info), format, 0, Fraction(1), color=info)
    assert np.abs(to_rgb(frame).astype(int) - rgb).max() <= 2
    assert np.abs(small_rgb(frame, 2, 3).astype(int) - rgb[:2, :3]).max() <= 2


def test_block_mean_counts_an_odd_edge_twice() -> None:
    assert block_mean(u8([0, 4, 10], [4, 8, 20], [6, 6, 30]), (1, 1)).tolist() == [[4, 15], [6, 30]]
    assert block_mean(u8([0, 4, 10]), (0, 1)).tolist() == [[2, 10]]


def test_half_alpha_over_black_halves_the_foreground() -> None:
    plane, black, half = u8([200, 100]), u8([0, 0]), u8([51, 51])
    assert mix_plane(plane, black, half, NO_TILES, (0, 0), 102).tolist() == [[100, 50]]


def test_chroma_takes_the_mean_alpha_of_its_pixels() -> None:
    alpha = u8([255, 255, 0, 0], [0, 0, 0, 255])
    mixed = mix_plane(u8([200, 200]), u8([100, 100]), alpha, NO_TILES, (1, 1), 255)
    assert mixed.tolist() == [[150, 125]]


def test_known_colours_are_unmixed_exactly() -> None:
    """A pixel of 0.5 x 200 + 0.5 x 40 = 120 in a room of 40: on white it must be 0.5 x 200 + 0.5 x 255."""
    F, B = np.full((1, 1), 200, np.float32), np.full((1, 1), 40, np.float32)
    plane, white, alpha = u8([120]), u8([255]), u8([100])
    fused = fuse_plane(plane, white, alpha, NO_TILES, F, B, (0, 0), 200)
    assert fused.tolist() == [[228]]
    assert straight_plane(plane, 16, alpha, NO_TILES, F, B, (0, 0), 200).tolist() == [[200]]
    assert mix_plane(plane, white, alpha, NO_TILES, (0, 0), 200).tolist() == [[188]]


def test_straight_foreground_is_black_where_alpha_is_zero_and_exact_where_it_is_one() -> None:
    F = B = np.full((1, 2), 99, np.float32)
    out = straight_plane(u8([70, 80]), 16, u8([0, 255]), NO_TILES, F, B, (0, 0), 255)
    assert out.tolist() == [[16, 80]]
    assert masked_plane(u8([70, 80]), 16, u8([0, 1]), NO_TILES, (0, 0)).tolist() == [[16, 80]]


def test_estimate_finds_two_flat_colours_behind_a_soft_edge() -> None:
    alpha = np.tile(np.clip(np.linspace(-2, 3, 24), 0, 1), (24, 1)).astype(np.float32)
    person, room = np.array([200.0, 30.0, 90.0]), np.array([20.0, 220.0, 128.0])
    planes = (alpha * person[:, None, None] + (1 - alpha) * room[:, None, None]).astype(np.float32)
    F, B = estimate_colors(planes, alpha, (4, 1))
    a = alpha[12]
    fused = F[:, 12] + a * (planes[:, 12] - a * F[:, 12] - (1 - a) * B[:, 12])
    soft = (a > 0.4) & (a < 1)
    naive = np.abs(planes[:, 12] - person[:, None])[:, soft].mean()
    assert np.abs(fused - person[:, None])[:, soft].mean() < naive / 2


def test_flat_regions_stay_exactly_clear_and_solid() -> None:
    """Noise of 0.05 in alpha and a wild picture leave no veil over the room and no hole in the person."""
    rng = np.random.default_rng(0)
    alpha = np.where(disc(40, 40, softness=0.01) > 0.5, 0.95, 0.05) + rng.uniform(-0.02, 0.02, (40, 40))
    luma = rng.uniform(0, 1, (40, 40)).astype(np.float32)
    slope, offset = guided_coefficients(alpha.astype(np.float32), luma, 1e-3, 0.08)
    picture = rng.integers(0, 256, (200, 200), np.uint8)
    full, kinds = upsample_alpha(picture, slope, offset, 255)
    assert (full[disc(200, 200, softness=1e-6, radius=0.2) == 1] == 255).all()
    assert (full[disc(200, 200, softness=1e-6, radius=0.4) == 0] == 0).all()
    assert {CLEAR, SOLID, SOFT} == set(kinds.ravel().tolist())


def test_alpha_finds_the_edge_that_shrinking_lost() -> None:
    """A sharp edge at column 37 of 96, shrunk to 16: a sixth of a cell falls on it. It comes back sharp."""
    truth = np.zeros((48, 96), np.float32)
    truth[:, 37:] = 1
    picture = np.where(truth > 0, 200, 60).astype(np.uint8)
    small = resize(truth, 8, 16)
    luma = resize(picture.astype(np.float32), 8, 16) / 255
    guided, _ = upsample_alpha(picture, *guided_coefficients(small, luma, 1e-3, 0.08), 255)
    plain = resize(small, 48, 96)
    assert np.abs(guided / 255 - truth).mean() < np.abs(plain - truth).mean() / 4


def test_tiles_say_what_is_in_them() -> None:
    alpha = np.zeros((17, 33), np.uint8)
    alpha[:, 16:32] = 255
    alpha[16, 32] = 3
    assert tile_kinds(alpha, 255).tolist() == [[CLEAR, SOLID, CLEAR], [CLEAR, SOLID, SOFT]]


@pytest.mark.parametrize(
    ("text", "rgb"),
    [
        ("#00b140", (0, 177, 64)),
        ("#FFF", (255, 255, 255)),
        ("#1a2", (17, 170, 34)),
        ("green", (0, 177, 64)),
        ("White", (255, 255, 255)),
        ("rebeccapurple", (102, 51, 153)),
        ("#12345", None),
        ("beach.jpg", None),
    ],
)
def test_colours_as_people_write_them(text: str, rgb: tuple[int, int, int] | None) -> None:
    assert parse_color(text) == rgb
