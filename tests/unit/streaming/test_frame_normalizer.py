"""Frames of any camera as the output wants them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from livematte.errors import InputError
from livematte.frame import PIXEL_FORMATS, Frame
from livematte.kernels.convert import planes_from_rgb, to_rgb
from livematte.matting.backgrounds import Blur, Color, Transparent
from livematte.protocols import LiveFormat
from livematte.streaming.frame_normalizer import FrameNormalizer, render_placeholder, with_opaque_alpha

FORMAT = LiveFormat(96, 64, Fraction(30))


def picture(format: str, height: int = 64, width: int = 96) -> Frame:
    """Left half dark, right half bright and red."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, width // 2 :] = (200, 40, 40)
    template = Frame((np.empty((height, width), np.uint8),), format, 0, Fraction(1, 30))
    planes = planes_from_rgb(rgb, format, template.color)
    return template.with_planes(planes)


@pytest.mark.parametrize(
    "format", ["yuv420p", "nv12", "yuv422p", "yuv444p", "yuv420p10le", "yuva420p", "gbrp"]
)
@pytest.mark.parametrize("size", [(64, 96), (128, 192), (48, 64), (62, 120), (65, 97)])
def test_every_format_and_size_fits(format: str, size: tuple[int, int]) -> None:
    made = FrameNormalizer(FORMAT)(picture(format, *size))
    assert made.format == ("nv12" if format == "nv12" else "yuv420p")
    assert made.size == (64, 96) and made.planes[0].dtype == np.uint8
    assert made.planes[1].shape[:2] == PIXEL_FORMATS[made.format].chroma_size(64, 96)
    rgb = to_rgb(made).astype(int)
    assert np.abs(rgb[32, 10] - 0).max() < 12
    assert np.abs(rgb[32, 85] - (200, 40, 40)).max() < 12


def test_a_fitting_frame_is_not_copied() -> None:
    frame = picture("yuv420p")
    assert FrameNormalizer(FORMAT)(frame).planes[0] is not None
    assert np.shares_memory(FrameNormalizer(FORMAT)(frame).planes[0], frame.planes[0])


def test_mirrored_is_left_for_right_in_every_plane() -> None:
    for format in ("yuv420p", "nv12"):
        rgb = to_rgb(FrameNormalizer(FORMAT, mirror=True)(picture(format))).astype(int)
        assert np.abs(rgb[32, 10] - (200, 40, 40)).max() < 12 and rgb[32, 85].max() < 12


@pytest.mark.parametrize(
    "planes",
    [
        (np.zeros((64, 96), np.uint8),),
        (np.zeros((64, 96), np.uint8), np.zeros((10, 10), np.uint8), np.zeros((32, 48), np.uint8)),
        (np.zeros((64, 96), np.uint16), np.zeros((32, 48), np.uint16), np.zeros((32, 48), np.uint16)),
    ],
)
def test_a_damaged_picture_is_refused(planes: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(InputError, match="damaged"):
        FrameNormalizer(FORMAT)(Frame(planes, "yuv420p", 0, Fraction(1, 30)))


def test_a_placeholder_is_the_background_alone() -> None:
    rgb = to_rgb(render_placeholder(Color((10, 200, 30)), FORMAT)).astype(int)
    assert np.abs(rgb - (10, 200, 30)).max() < 6


def test_a_placeholder_of_a_blurred_room_has_no_room() -> None:
    assert render_placeholder(Blur(), FORMAT).planes[0].max() <= 16


def test_a_transparent_placeholder_is_wholly_transparent() -> None:
    frame = render_placeholder(Transparent(), LiveFormat(96, 64, Fraction(30), alpha=True))
    assert frame.format == "yuva420p" and frame.planes[3].max() == 0


@pytest.mark.parametrize("format", ["yuv420p", "nv12"])
def test_an_opaque_picture_gets_an_alpha_where_the_output_has_one(format: str) -> None:
    made = with_opaque_alpha(picture(format), LiveFormat(96, 64, Fraction(30), alpha=True))
    assert made.format == "yuva420p" and made.planes[3].min() == 255
    assert [plane.shape for plane in made.planes] == [(64, 96), (32, 48), (32, 48), (64, 96)]
