"""The picture of the preview."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livematte.streaming.frames import PreviewFrame
from livematte.streaming.picture import fit_size, preview_picture
from tests.unit.preview.fakes import LEFT, RED_LEFT, shown


@pytest.mark.parametrize(
    ("size", "max_size", "fits"),
    [
        ((720, 1280), (480, 640), (360, 640)),
        ((720, 1280), (54, 96), (54, 96)),
        ((1280, 720), (480, 640), (480, 270)),
        ((48, 64), (480, 640), (48, 64)),
        ((4, 4000), (10, 100), (1, 100)),
    ],
)
def test_a_picture_keeps_its_aspect_ratio(size: Any, max_size: Any, fits: Any) -> None:
    assert fit_size(size, max_size) == fits


def test_the_composite_is_what_viewers_see() -> None:
    picture = preview_picture(shown(RED_LEFT, LEFT), "composite", (4, 8))
    assert picture.shape == (4, 8, 3)
    assert np.abs(picture[:, :4].astype(int) - (200, 30, 30)).max() <= 3
    assert np.abs(picture[:, 4:].astype(int) - (30, 30, 200)).max() <= 3


def test_the_matte_is_white_for_people_and_black_with_the_placeholder() -> None:
    picture = preview_picture(shown(RED_LEFT, LEFT / 2), "matte", (4, 8))
    assert (picture[:, :4] == 128).all() and (picture[:, 4:] == 0).all()
    assert not preview_picture(shown(RED_LEFT), "matte", (4, 8)).any()


def test_both_is_side_by_side_or_one_below_the_other_whichever_is_larger() -> None:
    wide = preview_picture(shown(RED_LEFT, LEFT), "both", (4, 16))
    assert wide.shape == (4, 16, 3) and (wide[:, 8:12] == 255).all() and (wide[:, 12:] == 0).all()
    tall = preview_picture(shown(RED_LEFT, LEFT), "both", (16, 16))
    assert tall.shape == (16, 16, 3) and (tall[8:, :8] == 255).all() and (tall[8:, 8:] == 0).all()


def test_transparent_parts_show_a_checkerboard() -> None:
    opaque = shown(RED_LEFT).frame
    plane = np.zeros((8, 16), np.uint8)
    plane[:, :4] = 255
    clear = PreviewFrame(opaque.with_planes((*opaque.planes, plane), "yuva420p"), LEFT)
    picture = preview_picture(clear, "composite", (8, 16))
    assert np.abs(picture[:, :4].astype(int) - (200, 30, 30)).max() <= 3
    assert (picture[:, 4:8] == 153).all() and (picture[:, 8:] == 102).all()
    matte = preview_picture(clear, "matte", (8, 16))
    assert (matte[:, :4] == 255).all() and not matte[:, 4:].any(), "the alpha that is sent, not the network's"
