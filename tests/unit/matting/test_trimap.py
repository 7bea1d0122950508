"""Trimaps: what of an alpha is in doubt, and what a drawn picture must be to count as one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte.errors import InputError
from livematte.frame import Array, ColorInfo, Frame, Matte
from livematte.matting.trimap import DrawnTrimap, make_trimap, read_trimap, resize_trimap, trimap_from_matte
from livematte.video.images import write_image
from tests.unit.kernels.pictures import disc


def levels(trimap: Array) -> set[int]:
    return {int(v) for v in np.unique(trimap)}


def written(path: Path, grey: Array) -> Path:
    frame = Frame((grey,), "gray", 0, Fraction(1), color=ColorInfo(full_range=True, range_tag=2))
    write_image(path, frame)
    return path


def test_sure_inside_sure_outside_and_unknown_between() -> None:
    alpha = disc(160, 288, softness=0.05)
    trimap = make_trimap(alpha)
    assert trimap.dtype == np.uint8 and levels(trimap) == {0, 128, 255}
    assert (trimap[(alpha > 0.05) & (alpha < 0.95)] == 128).all()
    assert trimap[80, 144] == 255 and trimap[0, 0] == 0
    assert (trimap[alpha == 1] != 0).all() and (trimap[alpha == 0] != 255).all()


def test_the_band_is_wider_where_alpha_is_softer() -> None:
    """Of two discs, one crisp and one with a rim of 12 pixels, the soft one's band reaches further out."""
    crisp, soft = (disc(200, 200, softness=s) for s in (0.01, 0.12))
    reach = [
        int((make_trimap(alpha) == 128)[100].sum()) - int(((alpha > 0.05) & (alpha < 0.95))[100].sum())
        for alpha in (crisp, soft)
    ]
    assert reach[1] > 1.5 * reach[0] > 0


def test_a_hard_outline_is_unknown_too() -> None:
    alpha = np.zeros((64, 64), np.float32)
    alpha[:, 32:] = 1
    trimap = make_trimap(alpha, narrow=0.03, wide=0.05)
    assert (trimap[:, 30:34] == 128).all() and (trimap[:, :28] == 0).all() and (trimap[:, 36:] == 255).all()


def test_the_band_grows_with_the_picture() -> None:
    alpha = disc(90, 160, softness=0.05)
    small, large = make_trimap(alpha), make_trimap(alpha, (720, 1280))
    assert large.shape == (720, 1280) and levels(large) == {0, 128, 255}
    assert abs((small == 128).mean() - (large == 128).mean()) < 0.01


@pytest.mark.parametrize("thickness", [2, 3, 5, 9])
def test_a_thin_arm_keeps_a_core_of_foreground(thickness: int) -> None:
    alpha = np.zeros((160, 288), np.float32)
    alpha[60 : 60 + thickness, 40:240] = 1
    core = make_trimap(cv2.GaussianBlur(alpha, (0, 0), 0.6)) == 255
    assert core[:, 60:220].any(0).mean() > 0.9


def test_a_narrow_gap_keeps_a_core_of_background() -> None:
    alpha = np.ones((160, 288), np.float32)
    alpha[60:68, 40:240] = 0
    assert (make_trimap(alpha) == 0)[:, 60:220].any(0).all()


def test_somebody_soft_all_over_keeps_a_core() -> None:
    alpha = disc(160, 288, radius=0.05, softness=0.2) * np.float32(0.9 / 0.75)
    assert alpha.max() < 0.95
    assert (make_trimap(alpha) == 255).any()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_nothing_is_in_doubt_nothing_is_unknown(value: float) -> None:
    trimap = make_trimap(np.full((20, 30), value, np.float32), (40, 60))
    assert (trimap == 255 * value).all()


def test_a_networks_own_trimap_is_taken_where_somebody_is() -> None:
    alpha = np.zeros((40, 60), np.float32)
    alpha[10:30, 10:30] = 1
    own = np.zeros((20, 30), np.float32)
    own[4:16, 4:16], own[6:14, 6:14] = 0.5, 1
    own[10, 28] = 1  # nobody is there: an island that was dropped
    trimap = make_trimap(alpha, own=own)
    assert (trimap[14:26, 14:26] == 255).all() and (trimap[8:12, 10:30] == 128).all()
    assert (trimap[:, 50:] == 0).all()


def test_probabilities_are_a_trimap_too() -> None:
    alpha = disc(40, 60, softness=0.2)
    chances = np.zeros((3, 40, 60), np.float32)
    chances[0, :, :20], chances[1, :, 20:40], chances[2, :, 40:] = 0.6, 0.9, 0.7
    chances[1] += 1 - chances.sum(0)
    matte = Matte(np.ones_like(alpha), None, {"trimap": chances})
    trimap = trimap_from_matte(matte, (80, 120))
    assert levels(trimap[:, :38]) == {0} and levels(trimap[:, 42:78]) == {128}
    assert levels(trimap[:, 82:]) == {255}
    assert (trimap_from_matte(Matte(alpha), (80, 120)) == make_trimap(alpha, (80, 120))).all()


def test_shrinking_keeps_a_thin_unknown_line() -> None:
    trimap = np.full((100, 100), 255, np.uint8)
    trimap[:, :50] = 0
    trimap[:, 49:51] = 128
    small = resize_trimap(trimap, 10, 10)
    assert (small[:, 4:6] == 128).all() and levels(small[:, :4]) == {0} and levels(small[:, 6:]) == {255}
    assert levels(resize_trimap(small, 100, 100)) == {0, 128, 255}


def test_a_drawn_trimap_is_read_with_its_greys_snapped(tmp_path: Path) -> None:
    grey = np.zeros((40, 60), np.uint8)
    grey[10:30, 10:40], grey[15:25, 20:30] = 128, 255
    noisy = np.clip(grey + np.random.default_rng(0).integers(-20, 21, grey.shape), 0, 255).astype(np.uint8)
    for name in ("t.png", "t.jpg"):
        assert (read_trimap(written(tmp_path / name, noisy), (40, 60)) == grey).mean() > 0.99


def test_a_few_stray_greys_are_unknown(tmp_path: Path) -> None:
    grey = np.zeros((40, 60), np.uint8)
    grey[10:30, 10:40], grey[15:25, 20:30], grey[15, 30:40] = 128, 255, 70
    assert (read_trimap(written(tmp_path / "t.png", grey), (40, 60))[15, 30:40] == 128).all()


@pytest.mark.parametrize(
    ("grey", "message"),
    [
        (np.full((40, 50), 128, np.uint8), "is 50x40, the picture 60x40"),
        (np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1)), "is no trimap: .* % of it is neither"),
        (np.repeat(np.uint8([[0, 255]]), 30, 1).repeat(40, 0), "no unknown"),
        (np.repeat(np.uint8([[0, 128]]), 30, 1).repeat(40, 0), "no foreground"),
    ],
    ids=["size", "a gradient", "nothing unknown", "nobody"],
)
def test_what_is_no_trimap_is_refused_in_one_line(tmp_path: Path, grey: Array, message: str) -> None:
    path = written(tmp_path / "t.png", grey)
    with pytest.raises(InputError, match=message) as caught:
        read_trimap(path, (40, 60))
    assert "t.png" in str(caught.value) and "\n" not in str(caught.value)


def test_a_drawn_trimap_stands_in_for_a_model() -> None:
    trimap = np.zeros((600, 800), np.uint8)
    trimap[100:500, 200:600], trimap[200:400, 300:500] = 128, 255
    trimap[50, 700] = 128  # a hair
    drawn = DrawnTrimap(trimap)
    size = drawn.input_size(600, 800)
    matte, _ = drawn(np.zeros((*size, 3), np.uint8), None)
    assert matte.alpha.shape == size and max(size) == 512
    assert matte.alpha[size[0] // 2, size[1] // 2] == 1 and matte.alpha[0, 0] == 0
    assert (make_trimap(matte.alpha, (600, 800), own=matte.extras["trimap"]) == trimap).all()
