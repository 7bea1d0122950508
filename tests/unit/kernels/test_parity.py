"""The fast kernels say what the NumPy definition says, within the tolerances in ``TOLERANCE``."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livematte.frame import PIXEL_FORMATS, Array
from livematte.kernels import cpu, reference
from tests.unit.kernels.pictures import SOURCE_FORMATS, disc, random_frame

TOLERANCE = {
    # function: largest difference, in codes (of 8, 10 or 12 bits alike) or as said
    "resize": 1,
    "small_planes": 0.02,
    "small_rgb": 1,
    "planes_from_rgb": 1,
    "slope": 2e-3,  # of alpha a unit of luma
    "offset": 2e-3,  # of alpha
    "alpha": 1,
    "colors": 0.05,
    "plane": 1,
}
"""float32 sums in another order, and rounding of what lies within 1e-4 of a half."""

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 90))
FORMATS = st.sampled_from(SOURCE_FORMATS)


def assert_close(fast: Array, slow: Array, tolerance: float) -> None:
    assert fast.shape == slow.shape
    assert fast.dtype == slow.dtype
    assert np.abs(fast.astype(np.float64) - slow.astype(np.float64)).max(initial=0) <= tolerance


def test_every_reference_kernel_has_a_twin_with_the_same_signature() -> None:
    for name, function in inspect.getmembers(reference, inspect.isfunction):
        public = function.__module__ == reference.__name__ and not name.startswith("_")
        if public and name != "fused_foreground":
            assert inspect.signature(getattr(cpu, name)) == inspect.signature(function), name


@settings(max_examples=25, deadline=None)
@given(FORMATS, SIZES, SIZES, st.sampled_from([0, 7]))
def test_small_pictures(format: str, size: tuple[int, int], small: tuple[int, int], padding: int) -> None:
    frame = random_frame(format, *size, padding=padding)
    codes = cpu.small_planes(frame, *small)
    # Codes of 10 and 12 bits are 4 and 16 times larger, and so is what float32 leaves of them.
    scale = frame.pixel_format.maximum / 255
    assert_close(codes, reference.small_planes(frame, *small), TOLERANCE["small_planes"] * scale)
    assert_close(cpu.small_rgb(frame, *small), reference.small_rgb(frame, *small), TOLERANCE["small_rgb"])
    plane = frame.planes[0]
    assert_close(cpu.resize(plane, *small), reference.resize(plane, *small), TOLERANCE["resize"])


@pytest.mark.parametrize("format", SOURCE_FORMATS)
def test_whole_pictures_to_rgb_and_back(format: str) -> None:
    frame = random_frame(format, 37, 51)
    assert_close(cpu.to_rgb(frame), reference.to_rgb(frame), TOLERANCE["small_rgb"])
    rgb = np.random.default_rng(1).integers(0, 256, (37, 51, 3), np.uint8)
    fast = cpu.planes_from_rgb(rgb, format, frame.color)
    slow = reference.planes_from_rgb(rgb, format, frame.color)
    for a, b, like in zip(fast, slow, frame.planes, strict=True):
        assert_close(a, b, TOLERANCE["planes_from_rgb"])
        assert a.shape == like.shape
        assert a.dtype == like.dtype


@settings(max_examples=25, deadline=None)
@given(SIZES, st.integers(0, 1000), st.sampled_from([0.0, 0.08]))
def test_guided_coefficients(size: tuple[int, int], seed: int, snap: float) -> None:
    rng = np.random.default_rng(seed)
    alpha = disc(*size)
    luma = rng.uniform(0, 1, size).astype(np.float32)
    fast = cpu.guided_coefficients(alpha, luma, 1e-3, snap)
    slow = reference.guided_coefficients(alpha, luma, 1e-3, snap)
    assert_close(fast[0], slow[0], TOLERANCE["slope"])
    assert_close(fast[1], slow[1], TOLERANCE["offset"])


@settings(max_examples=25, deadline=None)
@given(SIZES, st.integers(0, 1000), st.integers(0, 4))
def test_soft_cells(size: tuple[int, int], seed: int, radius: int) -> None:
    alpha = np.clip(np.random.default_rng(seed).normal(0.5, 3, size), 0, 1).astype(np.float32)
    for a in (alpha, disc(*size)):
        assert (cpu.soft_cells(a, 0.08, radius) == reference.soft_cells(a, 0.08, radius)).all()


@settings(max_examples=20, deadline=None)
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(0, 1000), st.booleans())
def test_estimated_colors(size: tuple[int, int], seed: int, own: bool) -> None:
    rng = np.random.default_rng(seed)
    planes = rng.uniform(0, 255, (3, *size)).astype(np.float32)
    foreground = rng.uniform(0, 255, (3, *size)).astype(np.float32) if own else None
    fast = cpu.estimate_colors(planes, disc(*size), (4, 1), foreground)
    slow = reference.estimate_colors(planes, disc(*size), (4, 1), foreground)
    for a, b in zip(fast, slow, strict=True):
        assert_close(a, b, TOLERANCE["colors"])


@settings(max_examples=40, deadline=None)
@given(FORMATS, SIZES, st.integers(0, 1000), st.sampled_from([0, 5]))
def test_full_size_planes(format: str, size: tuple[int, int], seed: int, padding: int) -> None:
    frame = random_frame(format, *size, seed=seed, padding=padding)
    behind = cpu.split_planes(random_frame(format, *size, seed=seed + 1))
    layout = PIXEL_FORMATS[format]
    small = max(1, size[0] // 4), max(1, size[1] // 4)
    coefficients = reference.guided_coefficients(
        disc(*small), reference.small_planes(frame, *small)[0] / np.float32(layout.maximum), 1e-3, 0.08
    )
    alpha, kinds = reference.upsample_alpha(frame.planes[0], *coefficients, layout.maximum)
    fast_alpha, fast_kinds = cpu.upsample_alpha(frame.planes[0], *coefficients, layout.maximum)
    assert_close(fast_alpha, alpha, TOLERANCE["alpha"])
    assert (fast_kinds == reference.tile_kinds(fast_alpha, layout.maximum)).all()
    assert (cpu.tile_kinds(alpha, layout.maximum) == kinds).all()

    rng = np.random.default_rng(seed)
    F, B = rng.uniform(0, layout.maximum, (2, *small)).astype(np.float32)
    for c, plane in enumerate(cpu.split_planes(frame)[:3]):
        chroma = layout.chroma if c else (0, 0)
        tail = (chroma, layout.maximum)
        for name, arguments in {
            "mix_plane": (plane, behind[c], alpha, kinds, *tail),
            "fuse_plane": (plane, behind[c], alpha, kinds, F, B, *tail),
            "straight_plane": (plane, 16, alpha, kinds, F, B, *tail),
            "masked_plane": (plane, 16, alpha, kinds, chroma),
            "block_mean": (plane, chroma),
        }.items():
            fast, slow = getattr(cpu, name)(*arguments), getattr(reference, name)(*arguments)
            assert_close(fast, slow, TOLERANCE["plane"])
            assert fast.flags.c_contiguous


@pytest.mark.parametrize("view", ["upside down", "mirrored", "read-only", "every other column"])
def test_any_memory_layout(view: str) -> None:
    plane = random_frame("yuv420p", 33, 50).planes[0]
    looked_at = {
        "upside down": plane[::-1],
        "mirrored": plane[:, ::-1],
        "read-only": plane.view(),
        "every other column": plane[:, ::2],
    }[view]
    if view == "read-only":
        looked_at.flags.writeable = False
    alpha, kinds = reference.upsample_alpha(looked_at, *np.random.default_rng(0).normal(0, 1, (2, 5, 6)), 255)
    behind = np.zeros_like(looked_at)
    fast = cpu.mix_plane(looked_at, behind, alpha, kinds, (0, 0), 255)
    assert_close(fast, reference.mix_plane(looked_at, behind, alpha, kinds, (0, 0), 255), TOLERANCE["plane"])
