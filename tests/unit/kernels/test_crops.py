"""A crop of a resized picture is what resizing the whole would have put there."""

from __future__ import annotations

import numpy as np
import pytest

from livematte.kernels.boxes import scale_box
from livematte.kernels.convert import crop_planes, small_planes, split_planes
from livematte.kernels.foreground import solve_background
from livematte.kernels.kinds import tile_kinds
from livematte.kernels.resize import enlarge_crop, resize
from livematte.kernels.temporal import blend_refined
from livematte.kernels.upsample import upsample_alpha, upsample_crop
from tests.unit.kernels.backends import definition
from tests.unit.kernels.pictures import SOURCE_FORMATS, disc, random_frame

SIZES = [(60, 80), (37, 51), (60, 51), (90, 131), (67, 70)]
"""Of the resized picture, from 60 x 80: the same, smaller, mixed, larger."""


@pytest.mark.parametrize("format", SOURCE_FORMATS)
@pytest.mark.parametrize("size", SIZES)
def test_crop_planes_are_a_part_of_small_planes(format: str, size: tuple[int, int]) -> None:
    frame = random_frame(format, 60, 80, padding=5)
    whole = definition(small_planes)(frame, *size)
    height, width = size
    for box in [
        (0, height, 0, width),
        (0, 16, 0, 16),
        (height - 16, height, width - 24, width),
        (7, 20, 9, 41),
    ]:
        top, bottom, left, right = box
        part = crop_planes(frame, size, box)
        assert part.dtype == np.float32 and part.shape == (3, bottom - top, right - left)
        tolerance = 1e-4 * frame.pixel_format.maximum
        np.testing.assert_allclose(part, whole[:, top:bottom, left:right], atol=tolerance)


def test_read_only_planes_are_taken() -> None:
    frame = random_frame("yuv420p", 40, 40)
    for plane in frame.planes:
        plane.flags.writeable = False
    assert crop_planes(frame, (20, 20), (4, 12, 4, 12)).shape == (3, 8, 8)


def test_one_compiled_loop_serves_whole_pictures_and_parts() -> None:
    from livematte.kernels.resize import loops

    frame = random_frame("yuv420p", 60, 80)
    small_planes(frame, 20, 30)
    before = len(loops.shrink.signatures)
    crop_planes(frame, (40, 50), (8, 30, 4, 40))
    assert len(loops.shrink.signatures) == before


@pytest.mark.parametrize("to", [(40, 60), (75, 90), (61, 60), (160, 240)])
def test_pieces_enlarged_are_the_whole_enlarged(to: tuple[int, int]) -> None:
    """Each lies where it belongs; only at a cut it cannot know its neighbour."""
    size = (40, 60)
    whole = np.random.default_rng(0).uniform(0, 1, size).astype(np.float32)
    expected = definition(resize)(whole, *to)
    times = np.zeros(to, np.int32)
    for box in [(0, 17, 0, 23), (0, 17, 23, 60), (17, 40, 0, 23), (17, 40, 23, 60)]:
        top, bottom, left, right = scale_box(box, size, to)
        times[top:bottom, left:right] += 1
        made = enlarge_crop(whole[box[0] : box[1], box[2] : box[3]], box, size, to)
        assert made.shape == (bottom - top, right - left)
        inner = np.s_[4:-4, 4:-4]
        np.testing.assert_allclose(made[inner], expected[top:bottom, left:right][inner], atol=1e-5)
    assert (times == 1).all()


@pytest.mark.parametrize("format", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("size", [(48, 64), (97, 131)])
def test_alpha_of_a_crop_is_a_part_of_the_whole_alpha(format: str, size: tuple[int, int]) -> None:
    frame = random_frame(format, *size, padding=3)
    luma, maximum = frame.planes[0], frame.pixel_format.maximum
    offset = disc(24, 32)
    slope = np.where((offset > 0) & (offset < 1), np.float32(0.2), np.float32(0))
    whole, _ = upsample_alpha(luma, slope, offset, maximum)
    for box in [(0, 14, 0, 18), (8, 24, 10, 32)]:
        part = np.s_[box[0] : box[1], box[2] : box[3]]
        alpha, kinds = upsample_crop(luma, slope[part], offset[part], maximum, box, (24, 32))
        top, bottom, left, right = scale_box(box, (24, 32), size)
        expected = whole[top:bottom, left:right]
        assert alpha.shape == expected.shape and alpha.dtype == luma.dtype
        inner = np.s_[4:-4, 4:-4]  # a cut does not know its neighbour
        assert np.abs(alpha[inner].astype(int) - expected[inner]).max() <= 1
        assert (kinds == tile_kinds(alpha, maximum)).all()


def test_a_background_explains_the_picture() -> None:
    rng = np.random.default_rng(0)
    front, back = rng.uniform(0, 255, (2, 3, 20, 30)).astype(np.float32)
    alpha = rng.uniform(0, 0.9, (20, 30)).astype(np.float32)
    codes = alpha * front + (1 - alpha) * back
    np.testing.assert_allclose(solve_background(codes, front, alpha, 255), back, atol=0.05)
    found = solve_background(codes, front, np.ones_like(alpha), 255)
    assert found.min() >= 0 and found.max() <= 255


@pytest.mark.parametrize("still", [0.12, 0.3, 1.0])
def test_refining_over_time_is_the_reference_in_one_pass(still: float) -> None:
    rng = np.random.default_rng(3)
    raw, share, moves, holds, alpha, before = rng.uniform(0, 1, (6, 40, 50)).astype(np.float32)
    for map in (share, moves, holds):
        map[rng.uniform(0, 1, map.shape) < 0.3] = 0
        map[rng.uniform(0, 1, map.shape) < 0.3] = 1
    kept = alpha.copy(), before.copy()
    whole = np.zeros((2, 60, 70), np.float32)
    whole[:, 5:45, 9:59] = alpha, before
    views = whole[:, 5:45, 9:59]
    expected = definition(blend_refined)(raw, share, moves, holds, still, *kept)
    made = blend_refined(raw, share, moves, holds, still, *views)
    for one, other in zip((*expected, *kept), (*made, *views), strict=True):
        np.testing.assert_allclose(other, one, atol=2e-6)
    assert whole[:, :5].max() == 0 and whole[:, :, 59:].max() == 0, "only the part is written to"


@pytest.mark.parametrize("format", ["yuv420p", "nv12", "gbrp"])
@pytest.mark.parametrize("size", [(30, 40), (60, 80), (41, 57)])
def test_the_crop_of_everything_is_the_whole(format: str, size: tuple[int, int]) -> None:
    """Bit by bit where planes shrink or stay, which goes one way; OpenCV enlarges whole planes."""
    frame, everything = random_frame(format, 60, 80), (0, size[0], 0, size[1])
    made, whole = crop_planes(frame, size, everything), small_planes(frame, *size)
    for one, other, plane in zip(made, whole, split_planes(frame), strict=False):
        if size[0] <= plane.shape[0] and size[1] <= plane.shape[1]:
            np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, other, atol=0.02)
    slope, offset = np.random.default_rng(0).uniform(0, 0.5, (2, *size)).astype(np.float32)
    made = upsample_crop(frame.planes[0], slope, offset, 255, everything, size)
    for one, other in zip(made, upsample_alpha(frame.planes[0], slope, offset, 255), strict=True):
        np.testing.assert_array_equal(one, other)
