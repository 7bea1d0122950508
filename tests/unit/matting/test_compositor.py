from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame

from livematte.errors import UsageError
from livematte.frame import PIXEL_FORMATS, ColorInfo, Frame, Matte
from livematte.kernels.convert import planes_from_rgb, small_rgb, to_rgb
from livematte.kernels.resize import resize
from livematte.matting.backgrounds import Color, Transparent
from livematte.matting.compositor import Compositor, alpha_twin, opaque_twin, warm_up
from livematte.matting.upsampling import upsample_alpha
from tests.unit.kernels.pictures import SOURCE_FORMATS, disc, random_frame

EVERYTHING = frozenset({"picture", "alpha", "foreground"})


def picture_of(rgb: np.ndarray, format: str = "yuv444p") -> Frame:
    color = ColorInfo(full_range=True)
    return Frame(planes_from_rgb(rgb, format, color), format, 7, Fraction(1, 25), 1, color)


def person_in_a_room(size: int = 96) -> tuple[Frame, np.ndarray]:
    """A red disc before a blue room, mixed exactly, and its alpha."""
    alpha = disc(size, size, softness=0.2)
    red, blue = np.array([220.0, 40, 40]), np.array([30.0, 40, 230])
    rgb = alpha[..., None] * red + (1 - alpha[..., None]) * blue
    return picture_of(np.rint(rgb).astype(np.uint8)), alpha


@pytest.mark.parametrize("format", SOURCE_FORMATS)
@pytest.mark.parametrize("size", [(64, 96), (67, 91)])
def test_all_outputs_in_every_format(format: str, size: tuple[int, int]) -> None:
    frame = random_frame(format, *size, padding=3)
    made = Compositor()(frame, Matte(disc(16, 24)), Color((0, 177, 64)), EVERYTHING)
    assert made.picture is not None
    assert made.alpha is not None
    assert made.foreground is not None
    assert made.picture.format == made.foreground.format == opaque_twin(format)
    for frame_out in (made.picture, made.alpha, made.foreground):
        assert (frame_out.pts, frame_out.time_base, frame_out.size) == (frame.pts, frame.time_base, size)
        assert all(p.dtype == frame.planes[0].dtype and p.flags.c_contiguous for p in frame_out.planes)
    assert made.picture.color == frame.color
    assert made.alpha.format == {8: "gray", 10: "gray10le", 12: "gray12le"}[frame.pixel_format.depth]
    assert made.alpha.color.full_range
    whole = Compositor()(frame, Matte(np.ones((16, 24), np.float32)), Color((9, 9, 9))).picture
    assert whole is not None
    if not frame.pixel_format.alpha:
        for out, given in zip(whole.planes, frame.planes, strict=True):
            assert (out == given).all()


@pytest.mark.parametrize("format", SOURCE_FORMATS)
def test_transparent_gives_the_twin_with_alpha(format: str) -> None:
    frame = random_frame(format, 40, 56)
    made = Compositor()(frame, Matte(disc(10, 14)), Transparent(), EVERYTHING)
    assert made.picture is not None
    assert made.alpha is not None
    assert made.foreground is not None
    assert made.picture.format == alpha_twin(format)
    assert made.picture.pixel_format.alpha
    assert len(made.picture.planes) == 4
    assert (made.picture.planes[3] == made.alpha.planes[0]).all()
    assert (made.picture.planes[0] == made.foreground.planes[0]).all()


def test_twins() -> None:
    assert alpha_twin("nv12") == "yuva420p"
    assert alpha_twin("gbrp10le") == "gbrap10le"
    assert alpha_twin("yuva422p") == "yuva422p"
    assert opaque_twin("yuva444p12le") == "yuv444p12le"
    assert opaque_twin("nv12") == "nv12"
    assert alpha_twin("yuv420p12le") == "yuva422p12le", "FFmpeg has no 4:2:0 with alpha at 12 bits"
    for format in PIXEL_FORMATS:
        if not PIXEL_FORMATS[format].gray:
            VideoFrame(16, 16, alpha_twin(format))  # raises where FFmpeg does not know it
            VideoFrame(16, 16, opaque_twin(format))


def test_twelve_bit_420_gets_its_alpha_with_chroma_of_422() -> None:
    frame = random_frame("yuv420p12le", 5, 6)
    made = Compositor(foreground=False)(frame, Matte(np.ones((5, 6), np.float32)), Transparent()).picture
    assert made is not None
    assert made.format == "yuva422p12le"
    assert [plane.shape for plane in made.planes] == [(5, 6), (5, 3), (5, 3), (5, 6)]
    assert (made.planes[1] == frame.planes[1][[0, 0, 1, 1, 2]]).all()


def test_nobody_is_where_alpha_is_zero() -> None:
    frame, _ = person_in_a_room()
    made = Compositor()(frame, Matte(np.zeros((24, 24), np.float32)), Color((10, 200, 30)), EVERYTHING)
    assert made.picture is not None
    assert made.foreground is not None
    assert np.abs(to_rgb(made.picture).astype(int) - (10, 200, 30)).max() <= 2
    assert to_rgb(made.foreground).max() == 0


def test_the_old_room_does_not_glow_at_the_edge() -> None:
    """On black the blue of the room must go with it; the picture itself, mixed again, keeps it."""
    frame, truth = person_in_a_room()
    matte = Matte(resize(truth, 24, 24))
    ring = (truth > 0.2) & (truth < 0.8)
    glow = {}
    for foreground in (True, False):
        made = Compositor(foreground=foreground)(frame, matte, Color((0, 0, 0))).picture
        assert made is not None
        rgb = to_rgb(made).astype(int)
        expected = truth * 40  # the person's own blue
        glow[foreground] = float((rgb[..., 2] - expected)[ring].mean())
    assert glow[False] > 25
    assert abs(glow[True]) < glow[False] / 2.5


def test_the_composite_uses_the_alpha_that_is_shown() -> None:
    frame, truth = person_in_a_room()
    matte = Matte(resize(truth, 24, 24))
    made = Compositor()(frame, matte, Color((0, 0, 0)), EVERYTHING)
    assert made.alpha is not None
    assert (made.alpha.planes[0] == upsample_alpha(frame, matte.alpha)).all()
    assert np.abs(made.alpha.planes[0] / 255 - truth).mean() < 0.03


def test_only_what_is_wanted_is_made() -> None:
    frame, _ = person_in_a_room()
    made = Compositor()(frame, Matte(disc(24, 24)), Color((0, 0, 0)), frozenset({"alpha"}))
    assert made.picture is None
    assert made.foreground is None
    assert made.alpha is not None


def test_full_matte_is_the_alpha_and_straight_colour_at_full_size() -> None:
    frame, truth = person_in_a_room()
    full = Compositor().full_matte(frame, Matte(resize(truth, 24, 24)))
    assert full.alpha.shape == (96, 96)
    assert full.alpha.dtype == np.float32
    assert full.foreground is not None
    assert full.foreground.shape == (96, 96, 3)
    assert np.abs(full.foreground[48, 48] - np.array([220, 40, 40]) / 255).max() < 0.02


def test_frames_do_not_share_memory_with_the_next() -> None:
    frame, truth = person_in_a_room()
    matte, compositor, behind = Matte(resize(truth, 24, 24)), Compositor(), Color((1, 2, 3))
    first, second = (compositor(frame, matte, behind, EVERYTHING) for _ in range(2))
    for name in EVERYTHING:
        for a, b in zip(getattr(first, name).planes, getattr(second, name).planes, strict=True):
            assert not np.shares_memory(a, b)


def test_what_cannot_be_composed_is_refused() -> None:
    frame, _ = person_in_a_room()
    with pytest.raises(UsageError, match=r"'shadow'.*alpha, debug, foreground, picture, trimap"):
        Compositor()(frame, Matte(disc(4, 4)), Color((0, 0, 0)), frozenset({"shadow"}))
    with pytest.raises(UsageError, match="guided, none"):
        Compositor(refine="best")


@pytest.mark.parametrize("format", ["yuv420p", "nv12", "gbrap10le"])
def test_after_warming_up_nothing_is_left_to_compile(format: str) -> None:
    from livematte.kernels.composite.loops import fuse_plane, mix_plane
    from livematte.kernels.resize.loops import shrink
    from livematte.kernels.upsample.loops import upsample_alpha

    compiled: list[Any] = [fuse_plane, mix_plane, shrink, upsample_alpha]
    warm_up(format)
    before = [len(function.signatures) for function in compiled]
    frame = random_frame(format, 40, 56, padding=3)
    for foreground in (True, False):
        for behind in (Color((0, 0, 0)), Transparent()):
            Compositor(foreground=foreground)(frame, Matte(disc(10, 14)), behind, EVERYTHING)
    small_rgb(frame, 10, 14)
    assert [len(function.signatures) for function in compiled] == before
