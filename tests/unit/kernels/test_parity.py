"""Every exported kernel gives what its NumPy definition gives, on every back-end, within ``TOLERANCE``.

The cases here are one of each; ``test_parity_random.py`` goes through formats, sizes and memory layouts.
"""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from livematte import kernels
from livematte.frame import Array, ColorInfo
from livematte.kernels import (
    accumulate,
    blur,
    components,
    composite,
    convert,
    foreground,
    fusion,
    hdr,
    kinds,
    resize,
    statistics,
    surface,
    temporal,
    upsample,
)
from tests.unit.kernels.backends import BACKENDS, Backend, definition, down, running
from tests.unit.kernels.pictures import COLORS, disc, random_frame

TOLERANCE: dict[str, dict[str, float]] = {
    # kernel: largest difference in codes, or as said, by the dtype of the samples that go in
    "add_weighted": {"float32": 1e-4},
    "area_crop": {"uint8": 0.02, "uint16": 0.32},  # codes of 12 bits are 16 times larger
    "blend_refined": {"float32": 1e-5},  # of 1
    "blend_weight": {"float32": 1e-6},
    "blur_background": {"uint8": 1, "uint16": 1},
    "clip_with_limits": {"float32": 0},
    "codes_from_rgb": {"uint8": 0.5, "float32": 0.5},  # of up to 4095
    "count_opacity": {"float32": 0},
    "crop_planes": {"uint8": 0.02, "uint16": 0.32},
    "enlarge_crop": {"float32": 1e-5},  # of 1
    "estimate_colors": {"float32": 0.05},
    "fuse_layers": {"uint8": 3e-5},  # of 1
    "guided_coefficients": {"float32": 2e-3},  # of alpha, and of alpha a unit of luma
    "join_planes": {"uint8": 0, "uint16": 0},
    "linear_crop": {"uint8": 0.02, "float32": 0.02},
    "planes": {"uint8": 1, "uint16": 1},
    "planes_from_rgb": {"uint8": 1, "float32": 1},
    "planes_from_surface": {"uint16": 0},
    "remove_small_components": {"float32": 0},
    "resize": {"uint8": 1, "uint16": 1, "float32": 0.02},
    "rgb_from_codes": {"float32": 1},
    "sdr_to_hdr": {"uint8": 0.2},
    "small_planes": {"uint8": 0.02, "uint16": 0.32},
    "small_rgb": {"uint8": 1, "uint16": 1},
    "soft_cells": {"float32": 0},
    "solve_background": {"float32": 0.02},
    "split_planes": {"uint8": 0, "uint16": 0},
    "surface_from_planes": {"uint16": 0},
    "tile_kinds": {"uint8": 0, "uint16": 0},
    "upsample_alpha": {"uint8": 1, "uint16": 1},
    "write_surface": {"uint16": 0},
}
"""float32 sums in another order, and rounding of what lies within 1e-4 of a half."""

ALIKE = {
    **dict.fromkeys(("mix_plane", "fuse_plane", "straight_plane", "masked_plane", "block_mean"), "planes"),
    **dict.fromkeys(("composite", "guided_composite"), "planes"),
    **dict.fromkeys(("to_rgb", "small_both"), "small_rgb"),
    "upsample_crop": "upsample_alpha",
}
"""Kernels with the tolerance of another."""


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
    assert worst <= TOLERANCE[ALIKE.get(kernel, kernel)][np.dtype(dtype).name], kernel


OPERATIONS = [
    import_module(f"livematte.kernels.{package.name}")
    for package in pkgutil.iter_modules(kernels.__path__)
    if package.ispkg and package.name not in ("_shared", "color")
]

EXPORTED = {
    name: (operation, function)
    for operation in OPERATIONS
    for name in operation.__all__
    if inspect.isfunction(function := getattr(operation, name)) and hasattr(function, "__wrapped__")
}
"""All that choose by where their arrays are."""


@pytest.mark.parametrize("name", sorted(EXPORTED))
def test_definition_cpu_and_gpu_have_one_signature(name: str) -> None:
    operation, function = EXPORTED[name]
    signature = inspect.signature(function)
    assert inspect.signature(getattr(import_module(f"{operation.__name__}.cuda"), name)) == signature
    if operation is not blur:  # whose definition is the CPU's
        assert inspect.signature(definition(function)) == signature


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_nothing_public_is_defined_that_is_not_exported(operation: Any) -> None:
    if find_spec(f"{operation.__name__}.reference"):
        reference = import_module(f"{operation.__name__}.reference")
        own = {
            n
            for n, f in inspect.getmembers(reference, inspect.isfunction)
            if f.__module__ == reference.__name__
        }
        helpers = {"cut", "extend"}
        assert {name for name in own if name[0] != "_"} - helpers <= set(operation.__all__)


FRAME, BEHIND = random_frame("nv12", 40, 70, padding=3), random_frame("nv12", 40, 70, seed=1)
LUMA = FRAME.planes[0]
RGB = np.random.default_rng(1).integers(0, 256, (40, 70, 3), np.uint8)
ALPHA, BOX = disc(10, 14), (2, 9, 3, 14)
CODES = definition(convert.small_planes)(FRAME, 10, 14)
MAPS = definition(upsample.guided_coefficients)(ALPHA, CODES[0] / np.float32(255), 1e-3, 0.08)
FULL = definition(upsample.upsample_alpha)(LUMA, *MAPS, 255)
F, B = np.random.default_rng(2).uniform(0, 255, (2, 3, 10, 14)).astype(np.float32)
UNIT = np.random.default_rng(3).uniform(0, 1, (6, 33, 47)).astype(np.float32)
LAYERS = np.random.default_rng(4).uniform(0, 1, (2, 40, 70, 3)).astype(np.float32)
DEEP = tuple(np.random.default_rng(5).integers(0, 1024, (3, 6, 10)).astype(np.uint16))
HDR = ColorInfo("bt2020", primaries=9, transfer=hdr.PQ)


def surface_room() -> tuple[Array, ...]:
    """Views of one surface that is wider than the picture."""
    return tuple(np.zeros((3, 6, 16), np.uint16)[:, :, :10])


CASES: dict[Any, tuple[Any, ...]] = {
    accumulate.add_weighted: (UNIT[0], UNIT[:3], UNIT[3:].copy(), UNIT[1].copy()),
    blur.blur_background: (FRAME, ALPHA, (20, 35), 2.5),
    components.remove_small_components: (disc(40, 60), 0.15, 0.5, 3, 200, 3),
    composite.composite: (FRAME, BEHIND, *FULL, (F, B)),
    composite.guided_composite: (FRAME, BEHIND, *MAPS, (F, B)),
    composite.fuse_plane: (LUMA, BEHIND.planes[0], *FULL, F[0], B[0], (0, 0), 255),
    composite.masked_plane: (LUMA, 16, *FULL, (0, 0)),
    composite.mix_plane: (LUMA, BEHIND.planes[0], *FULL, (0, 0), 255),
    composite.straight_plane: (LUMA, 16, *FULL, F[0], B[0], (0, 0), 255),
    convert.codes_from_rgb: (RGB, COLORS[2], "yuv420p"),
    convert.crop_planes: (FRAME, (9, 14), BOX),
    convert.join_planes: (definition(convert.split_planes)(FRAME), FRAME.pixel_format),
    convert.planes_from_rgb: (RGB, "nv12", COLORS[2]),
    convert.rgb_from_codes: (CODES, FRAME),
    convert.small_both: (FRAME, 10, 14),
    convert.small_planes: (FRAME, 10, 14),
    convert.small_rgb: (FRAME, 10, 14),
    convert.split_planes: (FRAME,),
    convert.to_rgb: (FRAME,),
    foreground.estimate_colors: (CODES, ALPHA, (4, 1)),
    foreground.solve_background: (CODES, F, ALPHA, 255),
    fusion.fuse_layers: (RGB, *LAYERS, disc(40, 70), 2, 1.5, 0.5, 8.0),
    hdr.sdr_to_hdr: (RGB, HDR),
    kinds.soft_cells: (ALPHA, 0.08, 2),
    kinds.tile_kinds: (FULL[0], 255),
    resize.area_crop: (LUMA, (9, 14), BOX),
    resize.block_mean: (LUMA, (1, 1)),
    resize.enlarge_crop: (ALPHA[2:9, 3:14], BOX, (10, 14), (40, 70)),
    resize.linear_crop: (CODES[0], (20, 31), BOX),
    resize.resize: (LUMA, 13, 90),
    statistics.clip_with_limits: (UNIT * 3 - 1,),
    statistics.count_opacity: (UNIT[0], 0.5, 0.1, 0.9),
    surface.planes_from_surface: (DEEP[0] << 6, np.stack(DEEP[1:], -1) << 6, 10),
    surface.surface_from_planes: (DEEP, 10),
    surface.write_surface: (DEEP, 10, surface_room()),
    temporal.blend_refined: (*UNIT[:4], 0.3, UNIT[4].copy(), UNIT[5].copy()),
    temporal.blend_weight: (*UNIT[:4], 0.3),
    upsample.guided_coefficients: (ALPHA, CODES[0] / np.float32(255), 1e-3, 0.08),
    upsample.upsample_alpha: (LUMA, *MAPS, 255),
    upsample.upsample_crop: (LUMA, MAPS[0][4:18, 6:28], MAPS[1][4:18, 6:28], 255, (4, 18, 6, 28), (20, 28)),
}


def test_every_exported_kernel_has_a_case() -> None:
    assert {kernel.__name__ for kernel in CASES} == set(EXPORTED)


def samples(x: Any) -> Any:
    """The dtype of the first samples in arguments."""
    x = x[0] if isinstance(x, tuple) else x
    return samples(x) if isinstance(x, tuple) else (x.planes[0] if hasattr(x, "planes") else x).dtype


@BACKENDS
@pytest.mark.parametrize("kernel", CASES, ids=lambda kernel: kernel.__name__)
def test_kernels_give_what_their_definitions_give(backend: Backend, kernel: Any) -> None:
    """So do the arguments that a kernel writes to."""
    given = CASES[kernel]
    ours = tuple(x.copy() if isinstance(x, np.ndarray) else x for x in given)
    slow = (kernel if kernel is blur.blur_background else definition(kernel))(*ours)
    with running(backend):
        there = tuple(backend.up(x.copy() if isinstance(x, np.ndarray) else x) for x in given)
        fast = kernel(*there)
        name = kernel.__name__
        if slow is not None:
            assert_close(fast, slow, name, samples(given))
        for one, other in zip(there, ours, strict=True):
            if isinstance(other, np.ndarray):
                np.testing.assert_allclose(down(one), other, atol=1e-4)
            elif kernel is surface.write_surface and isinstance(other, tuple):
                np.testing.assert_array_equal(down(one), other)
