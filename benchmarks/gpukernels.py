"""Each GPU kernel on a frame, and the bytes that it cannot do without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.kernels import figure
from livematte.adapters import choose_size
from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame
from livematte.kernels import cpu, cuda, cuda_frame, cuda_launch, cuda_temporal, reference
from livematte.refine import EPSILON, RADII, SNAP


@dataclass(frozen=True)
class Case:
    """A kernel with its arguments.

    Attributes:
        bytes: that have to be read and written once. Of a picture only what is looked at counts: no
            background behind a solid tile, no person in a clear one.
        bound: held to the card's copy bandwidth, being a pass over the whole frame.
    """

    run: Callable[[], Any]
    bytes: int
    bound: bool


@lru_cache(maxsize=4)
def picture(height: int, width: int, format: str, soft: bool, seed: int = 0) -> tuple[Frame, Array]:
    """A frame in the computer's memory, and the small alpha of it.

    Args:
        soft: nothing is surely person or room, which is the most work there can be.
    """
    rng = np.random.default_rng(seed)
    room = cpu.resize(rng.integers(30, 220, (9, 16)).astype(np.float32), height, width)
    whole = figure(height, width)
    rgb = (whole * 160 + (1 - whole) * room)[..., None].repeat(3, -1)
    color = ColorInfo("rgb", full_range=True) if PIXEL_FORMATS[format].rgb else ColorInfo()
    planes = cpu.planes_from_rgb(rgb.astype(np.uint8), format, color)
    small = cpu.resize(whole, *choose_size(height, width))
    if soft:
        small = 0.3 + 0.4 * rng.random(small.shape, np.float32)
    return Frame(planes, format, 0, Fraction(1, 30), color=color), small.astype(np.float32)


def on_card(frame: Frame) -> Frame:
    """Uploaded."""
    return frame.with_planes(tuple(cuda_launch.cupy().asarray(plane) for plane in frame.planes))


def size_of(*arrays: Array) -> int:
    """Bytes of all of them."""
    return sum(int(array.nbytes) for array in arrays)


def cases(height: int, width: int, format: str, soft: bool = False) -> dict[str, Case]:
    """Every kernel that a frame passes through, on memory of its own."""
    host, alpha = picture(height, width, format, soft)
    frame, behind = on_card(host), on_card(picture(height, width, format, False, 1)[0])
    small = cuda_launch.cupy().asarray(alpha)
    h, w = alpha.shape
    maximum = frame.pixel_format.maximum
    codes, rgb = cuda.small_both(frame, h, w)
    luma = codes[0] * np.float32(1 / maximum)
    maps = cuda.guided_coefficients(small, luma, EPSILON, SNAP)
    full, kinds = cuda.upsample_alpha(frame.planes[0], *maps, maximum)
    colors = cuda.estimate_colors(codes, small, RADII)
    before = cuda_temporal.calmed(small, rgb, None, 0.3)
    found = kinds.get()
    share = {
        kind: float((found == kind).mean()) for kind in (reference.CLEAR, reference.SOLID, reference.SOFT)
    }
    unclear, unsolid = 1 - share[reference.CLEAR], 1 - share[reference.SOLID]
    planes = size_of(*frame.planes[:3])
    some_colors = round(size_of(*colors) * share[reference.SOFT])
    over = round(planes * (1 + unclear + unsolid)) + some_colors
    some_luma = round(size_of(frame.planes[0]) * share[reference.SOFT])
    some_alpha = round(size_of(full) * share[reference.SOFT])
    shrunk = size_of(codes, rgb)
    made = {
        "small_both (decoded frame to the network's picture)": Case(
            lambda: cuda.small_both(frame, h, w), planes + shrunk, False
        ),
        "calmed (alpha over time)": Case(
            lambda: cuda_temporal.calmed(small, rgb, before, 0.3),
            size_of(small, rgb, *before) + size_of(small, before[2]),
            False,
        ),
        "guided_coefficients": Case(
            lambda: cuda.guided_coefficients(small, luma, EPSILON, SNAP), size_of(small, luma, *maps), False
        ),
        "estimate_colors": Case(
            lambda: cuda.estimate_colors(codes, small, RADII), size_of(codes, small, *colors), False
        ),
        "upsample_alpha (refine)": Case(
            lambda: cuda.upsample_alpha(frame.planes[0], *maps, maximum),
            some_luma + size_of(full, kinds, *maps),
            True,
        ),
        "composite, alpha stored": Case(
            lambda: cuda_frame.composite(frame, behind, full, kinds, colors),
            over + some_alpha + size_of(kinds),
            True,
        ),
        "composite without colours": Case(
            lambda: cuda_frame.composite(frame, behind, full, kinds, None),
            over - some_colors + some_alpha + size_of(kinds),
            True,
        ),
        "refine and composite in one pass": Case(
            lambda: cuda_frame.guided_composite(frame, behind, *maps, colors), over + size_of(*maps), True
        ),
        "to_rgb": Case(lambda: cuda.to_rgb(frame), planes + 3 * height * width, False),
    }
    if format == "yuv420p10le":
        surface = cuda.surface_from_planes(frame.planes, 10)
        made["planes_from_surface (P010)"] = Case(
            lambda: cuda.planes_from_surface(*surface, 10), 2 * size_of(*surface), False
        )
    return made
