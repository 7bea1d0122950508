"""The GPU kernels of one frame, and the bytes that each must read and write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.kernels import figure
from livematte.device.cuda import cupy
from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame
from livematte.inference.adapters import choose_size
from livematte.kernels.composite import composite, guided_composite
from livematte.kernels.convert import planes_from_rgb, small_both, to_rgb
from livematte.kernels.foreground import estimate_colors
from livematte.kernels.kinds import CLEAR, SOFT, SOLID
from livematte.kernels.resize import resize
from livematte.kernels.surface import planes_from_surface, surface_from_planes
from livematte.kernels.temporal.cuda import smooth_alpha
from livematte.kernels.upsample import guided_coefficients, upsample_alpha
from livematte.matting.upsampling import EPSILON, RADII, SNAP


@dataclass(frozen=True)
class Case:
    """A kernel with its arguments.

    Attributes:
        bytes: bytes that must be read or written once. Pixels that are not needed do not count: the
            background of solid tiles and the foreground of clear tiles.
        bound: True if the kernel processes the whole frame and has the bandwidth target.
    """

    run: Callable[[], Any]
    bytes: int
    bound: bool


@lru_cache(maxsize=4)
def picture(height: int, width: int, format: str, soft: bool, seed: int = 0) -> tuple[Frame, Array]:
    """Return a frame in host memory and its alpha at the size of the network.

    Args:
        soft: make all tiles soft, which is the maximum of work.
    """
    rng = np.random.default_rng(seed)
    room = resize(rng.integers(30, 220, (9, 16)).astype(np.float32), height, width)
    whole = figure(height, width)
    rgb = (whole * 160 + (1 - whole) * room)[..., None].repeat(3, -1)
    color = ColorInfo("rgb", full_range=True) if PIXEL_FORMATS[format].rgb else ColorInfo()
    planes = planes_from_rgb(rgb.astype(np.uint8), format, color)
    small = resize(whole, *choose_size(height, width))
    if soft:
        small = 0.3 + 0.4 * rng.random(small.shape, np.float32)
    return Frame(planes, format, 0, Fraction(1, 30), color=color), small.astype(np.float32)


def to_gpu(frame: Frame) -> Frame:
    """Copy a frame to GPU memory."""
    return frame.with_planes(tuple(cupy().asarray(plane) for plane in frame.planes))


def total_bytes(*arrays: Array) -> int:
    """Return the total size of the arrays in bytes."""
    return sum(int(array.nbytes) for array in arrays)


def cases(height: int, width: int, format: str, soft: bool = False) -> dict[str, Case]:
    """Return all kernels of a frame by name, with their own memory."""
    host, alpha = picture(height, width, format, soft)
    frame, background = to_gpu(host), to_gpu(picture(height, width, format, False, 1)[0])
    small = cupy().asarray(alpha)
    h, w = alpha.shape
    maximum = frame.pixel_format.maximum
    codes, rgb = small_both(frame, h, w)
    luma = codes[0] * np.float32(1 / maximum)
    maps = guided_coefficients(small, luma, EPSILON, SNAP)
    full, kinds = upsample_alpha(frame.planes[0], *maps, maximum)
    colors = estimate_colors(codes, small, RADII)
    before = smooth_alpha(small, rgb, None, 0.3)
    found = kinds.get()
    share = {kind: float((found == kind).mean()) for kind in (CLEAR, SOLID, SOFT)}
    unclear, unsolid = 1 - share[CLEAR], 1 - share[SOLID]
    planes = total_bytes(*frame.planes[:3])
    some_colors = round(total_bytes(*colors) * share[SOFT])
    over = round(planes * (1 + unclear + unsolid)) + some_colors
    some_luma = round(total_bytes(frame.planes[0]) * share[SOFT])
    some_alpha = round(total_bytes(full) * share[SOFT])
    shrunk = total_bytes(codes, rgb)
    kernels = {
        "small_both (decoded frame to the network's picture)": Case(
            lambda: small_both(frame, h, w), planes + shrunk, False
        ),
        "calmed (alpha over time)": Case(
            lambda: smooth_alpha(small, rgb, before, 0.3),
            total_bytes(small, rgb, *before) + total_bytes(small, before[2]),
            False,
        ),
        "guided_coefficients": Case(
            lambda: guided_coefficients(small, luma, EPSILON, SNAP),
            total_bytes(small, luma, *maps),
            False,
        ),
        "estimate_colors": Case(
            lambda: estimate_colors(codes, small, RADII), total_bytes(codes, small, *colors), False
        ),
        "upsample_alpha (refine)": Case(
            lambda: upsample_alpha(frame.planes[0], *maps, maximum),
            some_luma + total_bytes(full, kinds, *maps),
            True,
        ),
        "composite, alpha stored": Case(
            lambda: composite(frame, background, full, kinds, colors),
            over + some_alpha + total_bytes(kinds),
            True,
        ),
        "composite without colours": Case(
            lambda: composite(frame, background, full, kinds, None),
            over - some_colors + some_alpha + total_bytes(kinds),
            True,
        ),
        "refine and composite in one pass": Case(
            lambda: guided_composite(frame, background, *maps, colors),
            over + total_bytes(*maps),
            True,
        ),
        "to_rgb": Case(lambda: to_rgb(frame), planes + 3 * height * width, False),
    }
    if format == "yuv420p10le":
        surface = surface_from_planes(frame.planes, 10)
        kernels["planes_from_surface (P010)"] = Case(
            lambda: planes_from_surface(*surface, 10), 2 * total_bytes(*surface), False
        )
    return kernels
