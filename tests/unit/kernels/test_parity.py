"""Every back-end's kernels say what the NumPy definition says, within the tolerances in ``TOLERANCE``."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from livematte.frame import PIXEL_FORMATS, Array
from livematte.kernels import cpu, cuda, cuda_frame, cuda_windows, fusion, reference, transfer, twins, windows
from tests.unit.kernels.backends import BACKENDS, ON_GPU, Backend, down, running
from tests.unit.kernels.pictures import COLORS, SOURCE_FORMATS, disc, random_frame

TOLERANCE = {
    # kernel: largest difference in codes, or as said, by the dtype of the samples that go in
    "resize": {"uint8": 1, "uint16": 1, "float32": 0.02},
    "small_planes": {"uint8": 0.02, "uint16": 0.32},  # codes of 12 bits are 16 times larger
    "small_rgb": {"uint8": 1, "uint16": 1},
    "codes_from_rgb": {"uint8": 0.5, "float32": 0.5},  # of up to 4095
    "planes_from_rgb": {"uint8": 1, "float32": 1},
    "guided_coefficients": {"float32": 2e-3},  # of alpha, and of alpha a unit of luma
    "upsample_alpha": {"uint8": 1, "uint16": 1},
    "estimate_colors": {"float32": 0.05},
    "planes": {"uint8": 1, "uint16": 1},
    "fuse_layers": {"float32": 3e-5},  # of 1
    "among_hdr": {"uint8": 0.2},
}
"""float32 sums in another order, and rounding of what lies within 1e-4 of a half."""

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 90))
FORMATS = st.sampled_from(SOURCE_FORMATS)

ELSEWHERE = {"fused_foreground", "refined_over_time", "share_of_new"}
"""A part of a definition; and what windows.py and temporal.py have the twins of."""


def assert_close(made: Any, slow: Any, kernel: str, dtype: Any) -> None:
    """Arrays, or tuples of them."""
    if isinstance(slow, tuple):
        for a, b in zip(made, slow, strict=True):
            assert_close(a, b, kernel, dtype)
        return
    fast: Array = down(made)
    assert fast.shape == slow.shape
    assert fast.dtype == slow.dtype
    worst = np.abs(fast.astype(np.float64) - slow.astype(np.float64)).max(initial=0)
    assert worst <= TOLERANCE[kernel][np.dtype(dtype).name], kernel


@pytest.mark.parametrize("module", [cpu, cuda, twins])
def test_every_reference_kernel_has_a_twin_with_the_same_signature(module: Any) -> None:
    for name, function in inspect.getmembers(reference, inspect.isfunction):
        public = function.__module__ == reference.__name__ and not name.startswith("_")
        if public and name not in ELSEWHERE:
            assert inspect.signature(getattr(module, name)) == inspect.signature(function), name


def test_every_kernel_of_windows_has_a_twin_on_the_gpu_with_the_same_signature() -> None:
    twinned = [(windows, name) for name in vars(windows)] + [(fusion, "fuse_layers"), (transfer, "among_hdr")]
    for module, name in twinned:
        function = getattr(module, name)
        own = inspect.isfunction(function) and function.__module__ == module.__name__
        if own and name[0] != "_" and name != "covered":  # which takes no array
            assert inspect.signature(getattr(cuda_windows, name)) == inspect.signature(function), name


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
        for name in ("small_planes", "small_rgb"):
            expected = getattr(reference, name)(frame, *small)
            assert_close(getattr(backend.cpu, name)(there, *small), expected, name, plane.dtype)
        made = backend.cpu.resize(there.planes[0], *small)
        assert_close(made, reference.resize(plane, *small), "resize", plane.dtype)
        codes = reference.small_planes(frame, *small)
        made = backend.cpu.rgb_from_codes(backend.up(codes), frame)
        assert_close(made, reference.rgb_from_codes(codes, frame), "small_rgb", plane.dtype)


@ON_GPU
def test_codes_and_rgb_come_from_one_pass(backend: Backend) -> None:
    frame = random_frame("nv12", 47, 62)
    with running(backend):
        codes, rgb = cuda.small_both(backend.up(frame), 12, 20)
    assert_close(codes, reference.small_planes(frame, 12, 20), "small_planes", np.uint8)
    assert_close(rgb, reference.small_rgb(frame, 12, 20), "small_rgb", np.uint8)


@BACKENDS
@pytest.mark.parametrize("size", [(9, 13), (30, 8)])
def test_floats_of_any_size(backend: Backend, size: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).uniform(0, 255, (21, 17)).astype(np.float32)
    with running(backend):
        made = backend.cpu.resize(backend.up(plane), *size)
        assert_close(made, reference.resize(plane, *size), "resize", np.float32)


@BACKENDS
@pytest.mark.parametrize("format", SOURCE_FORMATS)
def test_whole_pictures_to_rgb_and_back(backend: Backend, format: str) -> None:
    frame = random_frame(format, 37, 51)
    rgb = np.random.default_rng(1).integers(0, 256, (37, 51, 3), np.uint8)
    with running(backend):
        made = backend.cpu.to_rgb(backend.up(frame))
        assert_close(made, reference.to_rgb(frame), "small_rgb", frame.planes[0].dtype)
        for source in (rgb, rgb.astype(np.float32)):
            fast = backend.cpu.planes_from_rgb(backend.up(source), format, frame.color)
            slow = reference.planes_from_rgb(source, format, frame.color)
            assert_close(fast, slow, "planes_from_rgb", source.dtype)
            assert [x.shape for x in fast] == [x.shape for x in frame.planes]
            codes = backend.cpu.codes_from_rgb(backend.up(source), frame.color, format)
            expected = reference.codes_from_rgb(source, frame.color, format)
            assert_close(codes, expected, "codes_from_rgb", source.dtype)


@BACKENDS
@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("format", ["yuv420p", "nv12", "yuv444p12le"])
def test_every_matrix_and_range(backend: Backend, color: Any, format: str) -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (12, 18, 3), np.uint8)
    planes = reference.planes_from_rgb(rgb, format, color)
    frame = random_frame(format, 12, 18).with_planes(planes)
    frame = type(frame)(planes, format, 0, frame.time_base, color=color)
    with running(backend):
        made = backend.cpu.planes_from_rgb(backend.up(rgb), format, color)
        assert_close(made, planes, "planes_from_rgb", np.uint8)
        made = backend.cpu.to_rgb(backend.up(frame))
        assert_close(made, reference.to_rgb(frame), "small_rgb", planes[0].dtype)


@BACKENDS
@settings(max_examples=25, deadline=None)
@given(SIZES, st.integers(0, 1000), st.sampled_from([0.0, 0.08]))
def test_guided_coefficients(backend: Backend, size: tuple[int, int], seed: int, snap: float) -> None:
    alpha = disc(*size)
    luma = np.random.default_rng(seed).uniform(0, 1, size).astype(np.float32)
    with running(backend):
        fast = backend.cpu.guided_coefficients(*backend.up((alpha, luma)), 1e-3, snap)
        slow = reference.guided_coefficients(alpha, luma, 1e-3, snap)
        assert_close(fast, slow, "guided_coefficients", np.float32)


@BACKENDS
@settings(max_examples=25, deadline=None)
@given(SIZES, st.integers(0, 1000), st.integers(0, 4))
def test_soft_cells(backend: Backend, size: tuple[int, int], seed: int, radius: int) -> None:
    alpha = np.clip(np.random.default_rng(seed).normal(0.5, 3, size), 0, 1).astype(np.float32)
    with running(backend):
        for a in (alpha, disc(*size)):
            found = down(backend.cpu.soft_cells(backend.up(a), 0.08, radius))
            assert (found == reference.soft_cells(a, 0.08, radius)).all()


@BACKENDS
@settings(max_examples=20, deadline=None)
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(0, 1000), st.booleans())
def test_estimated_colors(backend: Backend, size: tuple[int, int], seed: int, own: bool) -> None:
    rng = np.random.default_rng(seed)
    planes = rng.uniform(0, 255, (3, *size)).astype(np.float32)
    foreground = rng.uniform(0, 255, (3, *size)).astype(np.float32) if own else None
    given = (planes, disc(*size), (4, 1), foreground)
    with running(backend):
        fast = backend.cpu.estimate_colors(*backend.up(given))
        assert_close(fast, reference.estimate_colors(*given), "estimate_colors", np.float32)


def coefficients_of(frame: Any, small: tuple[int, int]) -> tuple[Array, Array]:
    luma = reference.small_planes(frame, *small)[0] / np.float32(frame.pixel_format.maximum)
    return reference.guided_coefficients(disc(*small), luma, 1e-3, 0.08)


@BACKENDS
@settings(max_examples=40, deadline=None)
@given(FORMATS, SIZES, st.integers(0, 1000), st.sampled_from([0, 5]))
def test_full_size_planes(
    backend: Backend, format: str, size: tuple[int, int], seed: int, padding: int
) -> None:
    frame = random_frame(format, *size, seed=seed, padding=padding)
    behind = reference.split_planes(random_frame(format, *size, seed=seed + 1))
    layout = PIXEL_FORMATS[format]
    small = max(1, size[0] // 4), max(1, size[1] // 4)
    coefficients = coefficients_of(frame, small)
    luma = frame.planes[0]
    alpha, kinds = reference.upsample_alpha(luma, *coefficients, layout.maximum)
    rng = np.random.default_rng(seed)
    F, B = rng.uniform(0, layout.maximum, (2, *small)).astype(np.float32)
    with running(backend):
        made = backend.cpu.upsample_alpha(*backend.up((luma, *coefficients)), layout.maximum)
        assert_close(made[0], alpha, "upsample_alpha", luma.dtype)
        assert (down(made[1]) == reference.tile_kinds(down(made[0]), layout.maximum)).all()
        assert (down(backend.cpu.tile_kinds(backend.up(alpha), layout.maximum)) == kinds).all()
        for c, plane in enumerate(reference.split_planes(frame)[:3]):
            chroma = layout.chroma if c else (0, 0)
            tail = (chroma, layout.maximum)
            for name, arguments in {
                "mix_plane": (plane, behind[c], alpha, kinds, *tail),
                "fuse_plane": (plane, behind[c], alpha, kinds, F, B, *tail),
                "straight_plane": (plane, 16, alpha, kinds, F, B, *tail),
                "masked_plane": (plane, 16, alpha, kinds, chroma),
                "block_mean": (plane, chroma),
            }.items():
                fast = getattr(backend.cpu, name)(*backend.up(arguments))
                assert_close(fast, getattr(reference, name)(*arguments), "planes", plane.dtype)
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
    coefficients = coefficients_of(frame, small)
    luma, maximum = frame.planes[0], frame.pixel_format.maximum
    rng = np.random.default_rng(seed)
    F, B = rng.uniform(0, maximum, (2, 3, *small)).astype(np.float32)
    colors = (F, B) if fuse else None
    with running(backend):
        there, behind, smooth = backend.up(frame), backend.up(background), backend.up(colors)
        alpha, kinds = cuda.upsample_alpha(there.planes[0], *backend.up(coefficients), maximum)
        expected = twins.composite_with(reference, frame, background, down(alpha), down(kinds), colors)
        assert_close(twins.composite(there, behind, alpha, kinds, smooth), expected, "planes", luma.dtype)
        made = cuda_frame.guided_composite(there, behind, *backend.up(coefficients), smooth)
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
    alpha, kinds = reference.upsample_alpha(looked_at, *np.random.default_rng(0).normal(0, 1, (2, 5, 6)), 255)
    given = (looked_at, np.zeros_like(looked_at), alpha, kinds, (0, 0), 255)
    with running(backend):
        fast = backend.cpu.mix_plane(*backend.up(given))
        assert_close(fast, reference.mix_plane(*given), "planes", np.uint8)


@ON_GPU
@pytest.mark.parametrize("depth", [10, 12])
def test_a_p010_surface_becomes_planes_and_back(backend: Backend, depth: int) -> None:
    """Samples in the high bits, U and V in pairs, and a pitch that is not the width, as NVDEC gives them."""
    rng = np.random.default_rng(0)
    luma, chroma = (
        (rng.integers(0, 1 << depth, shape) << (16 - depth)).astype(np.uint16)
        for shape in ((12, 32), (6, 16, 2))
    )
    surface = luma[:, :20], chroma[:, :10]
    with running(backend):
        planes = cuda.planes_from_surface(*backend.up(surface), depth)
        expected = (surface[0], surface[1][..., 0], surface[1][..., 1])
        for made, high in zip(down(planes), expected, strict=True):
            assert (made == high >> (16 - depth)).all() and made.flags.c_contiguous
        for made, high in zip(down(cuda.surface_from_planes(planes, depth)), surface, strict=True):
            assert (made == high).all()


BOXES = [(0, 9, 0, 14), (2, 9, 3, 14), (4, 5, 0, 1)]


@BACKENDS
@pytest.mark.parametrize("format", ["yuv420p", "nv12", "yuv420p10le"])
@pytest.mark.parametrize("box", BOXES)
def test_windows(backend: Backend, format: str, box: windows.Box) -> None:
    frame = random_frame(format, 40, 70, padding=3)
    part = np.s_[box[0] : box[1], box[2] : box[3]]
    dtype = frame.planes[0].dtype
    rng = np.random.default_rng(0)
    with running(backend):
        there = backend.up(frame)
        made = backend.windows.window_planes(there, (9, 14), box)
        assert_close(made, reference.small_planes(frame, 9, 14)[(slice(None), *part)], "small_planes", dtype)
        small = rng.uniform(0, 255, (5, 6)).astype(np.float32)
        made = backend.windows.linear_window(backend.up(small), (9, 14), box)
        assert_close(made, reference.resize(small, 9, 14)[part], "resize", np.float32)
        map_ = rng.uniform(0, 1, (9, 14)).astype(np.float32)
        made = down(backend.windows.enlarged(backend.up(map_[part]), box, (9, 14), (40, 70)))
        np.testing.assert_allclose(made, windows.enlarged(map_[part], box, (9, 14), (40, 70)), atol=1e-5)
        slope, offset = coefficients_of(frame, (9, 14))
        whole = (18, 28)
        twice: windows.Box = (2 * box[0], 2 * box[1], 2 * box[2], 2 * box[3])
        piece = np.s_[twice[0] : twice[1], twice[2] : twice[3]]
        given = (frame.planes[0], slope[piece], offset[piece], frame.pixel_format.maximum, twice, whole)
        made = backend.windows.upsample_window(*backend.up(given))
        expected = windows.upsample_window(*given)
        assert_close(made[0], expected[0], "upsample_alpha", dtype)
        assert (down(made[1]) == reference.tile_kinds(down(made[0]), frame.pixel_format.maximum)).all()


@BACKENDS
def test_sums_of_windows(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    weight, share = rng.uniform(0, 1, (2, 7, 9)).astype(np.float32)
    given, front = rng.uniform(0, 255, (2, 3, 7, 9)).astype(np.float32)
    sums, weights = np.ones((3, 20, 30), np.float32), np.ones((20, 30), np.float32)
    with running(backend):
        there = backend.up((weight, given, sums, weights))
        backend.windows.add_weighted(*there[:2], there[2][:, 4:11, 5:14], there[3][4:11, 5:14])
        made, total = down(there[2]), down(there[3])
        background = backend.windows.explaining_background(*backend.up((given, front, share)), 255)
        expected = windows.explaining_background(given, front, share, 255)
        np.testing.assert_allclose(down(background), expected, atol=0.02)
    added, weighed = np.ones((3, 20, 30), np.float32), np.ones((20, 30), np.float32)
    added[:, 4:11, 5:14] += weight * given
    weighed[4:11, 5:14] += weight
    np.testing.assert_allclose(made, added, rtol=1e-6)
    np.testing.assert_allclose(total, weighed, rtol=1e-6)


@BACKENDS
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_layers_fused(backend: Backend, iterations: int) -> None:
    rng = np.random.default_rng(iterations)
    rgb = rng.integers(0, 256, (13, 17, 3), np.uint8)
    F, B = rng.uniform(0, 1, (2, 13, 17, 3)).astype(np.float32)
    alpha = np.clip(rng.uniform(-0.5, 1.5, (13, 17)), 0, 1).astype(np.float32)
    ratios = (iterations, 1.5, 0.5, 8.0)
    with running(backend):
        made = backend.fusion.fuse_layers(*backend.up((rgb, F, B, alpha)), *ratios)
        expected = fusion.fuse_layers_reference(rgb, F, B, alpha, *ratios)
        assert_close(made, expected, "fuse_layers", np.float32)


@ON_GPU
@pytest.mark.parametrize("code", [transfer.PQ, transfer.HLG])
@pytest.mark.parametrize("primaries", [1, 9])
def test_pictures_among_hdr(backend: Backend, code: int, primaries: int) -> None:
    color = type(COLORS[0])(matrix="bt2020", transfer=code, primaries=primaries)
    rgb = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    with running(backend):
        made = backend.transfer.among_hdr(backend.up(rgb), color)
        assert_close(made, transfer.among_hdr(rgb, color), "among_hdr", np.uint8)
