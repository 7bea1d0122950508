"""Straight colours, estimated from photographs and carried on beyond the alpha."""

from __future__ import annotations

from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livematte.errors import MissingExtraError
from livematte.training.foregrounds import ESTIMATORS, Estimator, closed_form, extend_colors, push_pull

SIZE = (72, 96)


def scene() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64]]:
    """A photograph of a slowly shaded disk with a soft edge before blue, its alpha, and its true colours."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    alpha = np.clip((24 - np.hypot(y - 36, x - 48)) / 6 + 0.5, 0, 1)
    colours = np.stack([180 + 20 * np.sin(x / 20), 90 + 0.3 * y, 60 + 0.0 * y], -1)
    photograph = alpha[..., None] * colours + (1 - alpha[..., None]) * np.array([20, 40, 160])
    return (photograph + 0.5).astype(np.uint8), (alpha * 255 + 0.5).astype(np.uint8), colours


def test_known_colours_stay_and_the_rest_are_like_those_nearby() -> None:
    _, alpha, colours = scene()
    given = colours.astype(np.uint8)
    given[alpha == 0] = (0, 255, 0)
    out = extend_colors(given, alpha)
    assert np.array_equal(out[alpha > 0], given[alpha > 0])
    beyond = np.abs(out.astype(float) - colours)[alpha == 0]
    assert beyond.max() < 40 and beyond.mean() < 12


def test_resizing_extended_colours_spills_nothing() -> None:
    """As in fig. 2 of the paper: the resized cut-out over orange, against resizing the composite."""
    _, alpha, colours = scene()
    given = colours.astype(np.uint8)
    given[alpha == 0] = (0, 255, 0)
    small = tuple(n // 3 for n in reversed(SIZE))
    orange = np.array([255, 140, 0], np.float32)

    def resized_over(foreground: NDArray[np.uint8]) -> NDArray[np.float32]:
        f, a = (
            cv2.resize(p.astype(np.float32), small, interpolation=cv2.INTER_AREA) for p in (foreground, alpha)
        )
        a = np.clip(a / 255, 0, 1)[..., None]
        return np.asarray(a * f + (1 - a) * orange, np.float32)

    true = resized_over(colours.astype(np.uint8))
    spilt = np.abs(resized_over(given) - true).max()
    kept = np.abs(resized_over(extend_colors(given, alpha)) - true).max()
    assert kept < 6 < spilt


def test_a_picture_without_foreground_is_left_alone() -> None:
    picture = np.full((5, 7, 3), 9, np.uint8)
    assert np.array_equal(extend_colors(picture, np.zeros((5, 7), np.uint8)), picture)


@pytest.mark.parametrize("estimate", ESTIMATORS.values(), ids=ESTIMATORS)
def test_old_backgrounds_leave_the_soft_edge(estimate: Estimator) -> None:
    photograph, alpha, colours = scene()
    if estimate is not push_pull:
        pytest.importorskip("pymatting")
    soft = (alpha > 10) & (alpha < 245)
    before = np.abs(photograph.astype(float) - colours)[soft].mean()
    out = estimate(photograph, alpha)
    assert out.shape == photograph.shape and out.dtype == np.uint8
    assert np.abs(out.astype(float) - colours)[soft].mean() < 5 < 40 < before
    assert np.abs(out.astype(float) - colours)[alpha == 0].mean() < 25
    assert np.abs(out.astype(float) - photograph)[alpha == 255].max() < 2


@pytest.mark.skipif(find_spec("pymatting") is not None, reason="pymatting is installed")
def test_a_missing_package_names_the_extra() -> None:
    photograph, alpha, _ = scene()
    with pytest.raises(MissingExtraError, match=r"'\.\[train\]'"):
        closed_form(photograph, alpha)
