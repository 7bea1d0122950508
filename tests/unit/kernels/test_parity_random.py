"""Kernels give what their definitions give for pictures of random formats and sizes, within ``TOLERANCE``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livematte.frame import PIXEL_FORMATS, Array
from livematte.kernels.composite import (
    composite,
    fuse_plane,
    guided_composite,
    masked_plane,
    mix_plane,
    straight_plane,
)
from livematte.kernels.convert import (
    codes_from_rgb,
    planes_from_rgb,
    rgb_from_codes,
    small_both,
    small_planes,
    small_rgb,
    split_planes,
    to_rgb,
)
from livematte.kernels.foreground import estimate_colors
from livematte.kernels.kinds import soft_cells, tile_kinds
from livematte.kernels.resize import block_mean, resize
from livematte.kernels.upsample import guided_coefficients, upsample_alpha
from tests.unit.kernels.backends import BACKENDS, ON_GPU, Backend, definition, down, running
from tests.unit.kernels.pictures import COLORS, SOURCE_FORMATS, disc, random_frame
from tests.unit.kernels.test_parity import assert_close

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 90))
FORMATS = st.sampled_from(SOURCE_FORMATS)


@BACKENDS
@settings(max_examples=25, deadline=None)
@given(FORMATS, SIZES, SIZES, st.sampled_from([0, 7]))
def test_small_pictures(
    backend: Backend, format: str, size: tuple[int, int], small: tuple[int, int], padding: int
) -> None:
    frame = random_frame(format, *size, padding=padding)
    plane = frame.planes[0]
    with running(backend):
        there = backend.up(frame)
        for kernel in (small_planes, small_rgb):
            name = kernel.__name__
            expected = definition(kernel)(frame, *small)
            assert_close(kernel(there, *small), expected, name, plane.dtype)
        made = resize(there.planes[0], *small)
        assert_close(made, definition(resize)(plane, *small), "resize", plane.dtype)
        codes = definition(small_planes)(frame, *small)
        made = rgb_from_codes(backend.up(codes), frame)
        assert_close(made, definition(rgb_from_codes)(codes, frame), "small_rgb", plane.dtype)


@ON_GPU
def test_codes_and_rgb_come_from_one_pass(backend: Backend) -> None:
    frame = random_frame("nv12", 47, 62)
    with running(backend):
        codes, rgb = small_both(backend.up(frame), 12, 20)
    assert_close(codes, definition(small_planes)(frame, 12, 20), "small_planes", np.uint8)
    assert_close(rgb, definition(small_rgb)(frame, 12, 20), "small_rgb", np.uint8)


@BACKENDS
@pytest.mark.parametrize("size", [(9, 13), (30, 8)])
def test_floats_of_any_size(backend: Backend, size: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).uniform(0, 255, (21, 17)).astype(np.float32)
    with running(backend):
        made = resize(backend.up(plane), *size)
        assert_close(made, definition(resize)(plane, *size), "resize", np.float32)


@BACKENDS
@pytest.mark.parametrize("format", SOURCE_FORMATS)
def test_whole_pictures_to_rgb_and_back(backend: Backend, format: str) -> None:
    frame = random_frame(format, 37, 51)
    rgb = np.random.default_rng(1).integers(0, 256, (37, 51, 3), np.uint8)
    with running(backend):
        made = to_rgb(backend.up(frame))
        assert_close(made, definition(to_rgb)(frame), "small_rgb", frame.planes[0].dtype)
        for source in (rgb, rgb.astype(np.float32)):
            fast = planes_from_rgb(backend.up(source), format, frame.color)
            slow = definition(planes_from_rgb)(source, format, frame.color)
            assert_close(fast, slow, "planes_from_rgb", source.dtype)
            assert [x.shape for x in fast] == [x.shape for x in frame.planes]
            codes = codes_from_rgb(backend.up(source), frame.color, format)
            expected = definition(codes_from_rgb)(source, frame.color, format)
            assert_close(codes, expected, "codes_from_rgb", source.dtype)


@BACKENDS
@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("format", ["yuv420p", "nv12", "yuv444p12le"])
def test_every_matrix_and_range(backend: Backend, color: Any, format: str) -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (12, 18, 3), np.uint8)
    planes = definition(planes_from_rgb)(rgb, format, color)
    frame = random_frame(format, 12, 18).with_planes(planes)
    frame = type(frame)(planes, format, 0, frame.time_base, color=color)
    with running(backend):
        made = planes_from_rgb(backend.up(rgb), format, color)
        assert_close(made, planes, "planes_from_rgb", np.uint8)
        made = to_rgb(backend.up(frame))
        assert_close(made, definition(to_rgb)(frame), "small_rgb", planes[0].dtype)


@BACKENDS
@settings(max_examples=25, deadline=None)
@given(SIZES, st.integers(0, 1000), st.sampled_from([0.0, 0.08]))
def test_guided_coefficients(backend: Backend, size: tuple[int, int], seed: int, snap: float) -> None:
    alpha = disc(*size)
    luma = np.random.default_rng(seed).uniform(0, 1, size).astype(np.float32)
    with running(backend):
        fast = guided_coefficients(*backend.up((alpha, luma)), 1e-3, snap)
        slow = definition(guided_coefficients)(alpha, luma, 1e-3, snap)
        assert_close(fast, slow, "guided_coefficients", np.float32)


@BACKENDS
@settings(max_examples=25, deadline=None)
@given(SIZES, st.integers(0, 1000), st.integers(0, 4))
def test_soft_cells(backend: Backend, size: tuple[int, int], seed: int, radius: int) -> None:
    alpha = np.clip(np.random.default_rng(seed).normal(0.5, 3, size), 0, 1).astype(np.float32)
    with running(backend):
        for a in (alpha, disc(*size)):
            found = down(soft_cells(backend.up(a), 0.08, radius))
            assert (found == definition(soft_cells)(a, 0.08, radius)).all()


@BACKENDS
@settings(max_examples=20, deadline=None)
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(0, 1000), st.booleans())
def test_estimated_colors(backend: Backend, size: tuple[int, int], seed: int, own: bool) -> None:
    rng = np.random.default_rng(seed)
    planes = rng.uniform(0, 255, (3, *size)).astype(np.float32)
    foreground = rng.uniform(0, 255, (3, *size)).astype(np.float32) if own else None
    given = (planes, disc(*size), (4, 1), foreground)
    with running(backend):
        fast = estimate_colors(*backend.up(given))
        assert_close(fast, definition(estimate_colors)(*given), "estimate_colors", np.float32)


def random_coefficients(frame: Any, small: tuple[int, int]) -> tuple[Array, Array]:
    luma = definition(small_planes)(frame, *small)[0] / np.float32(frame.pixel_format.maximum)
    return definition(guided_coefficients)(disc(*small), luma, 1e-3, 0.08)


@BACKENDS
@settings(max_examples=40, deadline=None)
@given(FORMATS, SIZES, st.integers(0, 1000), st.sampled_from([0, 5]))
def test_full_size_planes(
    backend: Backend, format: str, size: tuple[int, int], seed: int, padding: int
) -> None:
    frame = random_frame(format, *size, seed=seed, padding=padding)
    behind = definition(split_planes)(random_frame(format, *size, seed=seed + 1))
    layout = PIXEL_FORMATS[format]
    small = max(1, size[0] // 4), max(1, size[1] // 4)
    coefficients = random_coefficients(frame, small)
    luma = frame.planes[0]
    alpha, kinds = definition(upsample_alpha)(luma, *coefficients, layout.maximum)
    rng = np.random.default_rng(seed)
    F, B = rng.uniform(0, layout.maximum, (2, *small)).astype(np.float32)
    with running(backend):
        made = upsample_alpha(*backend.up((luma, *coefficients)), layout.maximum)
        assert_close(made[0], alpha, "upsample_alpha", luma.dtype)
        assert (down(made[1]) == definition(tile_kinds)(down(made[0]), layout.maximum)).all()
        assert (down(tile_kinds(backend.up(alpha), layout.maximum)) == kinds).all()
        for c, plane in enumerate(definition(split_planes)(frame)[:3]):
            chroma = layout.chroma if c else (0, 0)
            tail = (chroma, layout.maximum)
            cases: dict[Any, tuple[Any, ...]] = {
                mix_plane: (plane, behind[c], alpha, kinds, *tail),
                fuse_plane: (plane, behind[c], alpha, kinds, F, B, *tail),
                straight_plane: (plane, 16, alpha, kinds, F, B, *tail),
                masked_plane: (plane, 16, alpha, kinds, chroma),
                block_mean: (plane, chroma),
            }
            for kernel, arguments in cases.items():
                fast = kernel(*backend.up(arguments))
                assert_close(fast, definition(kernel)(*arguments), "planes", plane.dtype)
                assert fast.flags.c_contiguous


@ON_GPU
@settings(max_examples=40, deadline=None)
@given(FORMATS, SIZES, st.integers(0, 1000), st.booleans(), st.booleans(), st.sampled_from([0, 5]))
@example("nv12", (50, 75), 0, True, False, 0)  # pairs of chroma, not all of which fill a thread's eight
@example("nv12", (50, 75), 0, False, False, 5)
@example("nv12", (64, 80), 0, True, True, 0)
@example("yuv420p10le", (64, 80), 0, True, False, 0)
def test_whole_frames_in_one_pass(
    backend: Backend, format: str, size: tuple[int, int], seed: int, fuse: bool, straight: bool, padding: int
) -> None:
    """What goes through memory once is what goes through it plane by plane, with and without stored alpha."""
    frame = random_frame(format, *size, seed=seed, padding=padding)
    background = None if straight else random_frame(format, *size, seed=seed + 1)
    small = max(1, size[0] // 3), max(1, size[1] // 5)
    coefficients = random_coefficients(frame, small)
    luma, maximum = frame.planes[0], frame.pixel_format.maximum
    rng = np.random.default_rng(seed)
    F, B = rng.uniform(0, maximum, (2, 3, *small)).astype(np.float32)
    colors = (F, B) if fuse else None
    with running(backend):
        there, behind, smooth = backend.up(frame), backend.up(background), backend.up(colors)
        alpha, kinds = upsample_alpha(there.planes[0], *backend.up(coefficients), maximum)
        expected = definition(composite)(frame, background, down(alpha), down(kinds), colors)
        assert_close(composite(there, behind, alpha, kinds, smooth), expected, "planes", luma.dtype)
        made = guided_composite(there, behind, *backend.up(coefficients), smooth)
        assert_close(made, expected, "planes", luma.dtype)


@BACKENDS
@pytest.mark.parametrize("view", ["upside down", "mirrored", "read-only", "every other column"])
def test_any_memory_layout(backend: Backend, view: str) -> None:
    plane = random_frame("yuv420p", 33, 50).planes[0]
    looked_at = {
        "upside down": plane[::-1],
        "mirrored": plane[:, ::-1],
        "read-only": plane.view(),
        "every other column": plane[:, ::2],
    }[view]
    if view == "read-only":
        looked_at.flags.writeable = False
    alpha, kinds = definition(upsample_alpha)(
        looked_at, *np.random.default_rng(0).normal(0, 1, (2, 5, 6)), 255
    )
    given = (looked_at, np.zeros_like(looked_at), alpha, kinds, (0, 0), 255)
    with running(backend):
        fast = mix_plane(*backend.up(given))
        assert_close(fast, definition(mix_plane)(*given), "planes", np.uint8)
