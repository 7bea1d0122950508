from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livematte.errors import UsageError
from livematte.frame import Matte
from livematte.kernels.convert import small_planes
from livematte.kernels.kinds import tile_kinds
from livematte.matting import upsampling
from tests.unit.kernels.pictures import SOURCE_FORMATS, disc, random_frame


@pytest.mark.parametrize("format", SOURCE_FORMATS)
@pytest.mark.parametrize("method", upsampling.METHODS)
def test_the_inside_is_opaque_and_the_outside_clear_in_every_format(format: str, method: str) -> None:
    frame = random_frame(format, 97, 131)
    if frame.pixel_format.alpha:
        whole = np.full_like(frame.planes[3], frame.pixel_format.maximum)
        frame = frame.with_planes((*frame.planes[:3], whole))
    full = upsampling.upsample_alpha(frame, disc(24, 32), method=method)
    assert full.shape == frame.size
    assert full.dtype == np.uint8
    assert (full[disc(97, 131, radius=0.15, softness=1e-6) == 1] == 255).all()
    assert (full[disc(97, 131, radius=0.46, softness=1e-6) == 0] == 0).all()


def test_plain_interpolation_ignores_the_picture() -> None:
    frame = random_frame("yuv420p", 64, 64)
    flat = frame.with_planes((np.full_like(frame.planes[0], 90), *frame.planes[1:]))
    alpha = disc(16, 16)
    assert (
        upsampling.upsample_alpha(frame, alpha, method="none")
        == upsampling.upsample_alpha(flat, alpha, method="none")
    ).all()


def test_what_the_frame_says_is_transparent_stays_so() -> None:
    frame = random_frame("yuva420p", 40, 40)
    own = np.full((40, 40), 255, np.uint8)
    own[:, 20:] = 0
    own[:, 19] = 128
    frame = frame.with_planes((*frame.planes[:3], own))
    full = upsampling.full_alpha(frame, np.ones((10, 10), np.float32))
    assert (full.plane == own).all()
    assert (full.kinds == tile_kinds(own, 255)).all()


def test_a_models_own_foreground_is_used() -> None:
    frame = random_frame("yuv444p", 32, 32)
    small = small_planes(frame, 8, 8)
    red = np.zeros((8, 8, 3), np.float32)
    red[..., 0] = 1
    F, _ = upsampling.colors(frame, Matte(disc(8, 8), red), small)
    assert np.abs(F[:, 4, 4] - [63, 102, 240]).max() < 1


def test_depth_changes_the_alpha_by_its_rounding_only() -> None:
    frame = random_frame("yuv420p", 60, 80)
    planes = tuple(np.rint(p * (4095 / 255)).astype(np.uint16) for p in frame.planes)
    deep = replace(frame, format="yuv420p12le", planes=planes)
    alpha = disc(15, 20)
    difference = upsampling.upsample_alpha(frame, alpha).astype(int) - upsampling.upsample_alpha(deep, alpha)
    assert np.abs(difference).max() <= 2


def test_an_unknown_method_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(UsageError, match=r"'sharp'.*guided, none"):
        upsampling.upsample_alpha(random_frame("yuv420p", 8, 8), disc(4, 4), method="sharp")
