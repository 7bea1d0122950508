""":mod:`livematte.kernels.composite` on NVIDIA GPUs."""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.device.cuda import contiguous, empty
from livematte.device.launch import launch_patches, launch_runs, plane_arguments
from livematte.frame import Array, Frame
from livematte.kernels._shared.sources import cuda_source
from livematte.kernels.color.matrices import encode_color
from livematte.kernels.composite.planewise import Colors
from livematte.kernels.convert.cuda import new_planes, split_planes

SOURCE = cuda_source("upsample/guide.cu", "composite/composite.cu")

MIX, FUSE, STRAIGHT, MASKED = range(4)
"""Modes, numbered as in ``composite.cu``."""


def mix_plane(
    plane: Array, background: Array, alpha: Array, kinds: Array, chroma: tuple[int, int], maximum: int
) -> Array:
    """αI + (1-α)·background on one plane: the picture itself is the foreground."""
    return _blend_plane(MIX, plane, background, 0, alpha, kinds, None, chroma, maximum)


def fuse_plane(
    plane: Array,
    background: Array,
    alpha: Array,
    kinds: Array,
    F_hat: Array,
    B_hat: Array,
    chroma: tuple[int, int],
    maximum: int,
) -> Array:
    """:func:`mix_plane` with the foreground freed of the old background: αF + (1-α)·background."""
    return _blend_plane(FUSE, plane, background, 0, alpha, kinds, (F_hat, B_hat), chroma, maximum)


def straight_plane(
    plane: Array,
    black: int,
    alpha: Array,
    kinds: Array,
    F_hat: Array,
    B_hat: Array,
    chroma: tuple[int, int],
    maximum: int,
) -> Array:
    """The straight foreground F of :func:`fuse_plane`, and the code ``black`` where alpha is 0."""
    return _blend_plane(STRAIGHT, plane, plane, black, alpha, kinds, (F_hat, B_hat), chroma, maximum)


def masked_plane(plane: Array, black: int, alpha: Array, kinds: Array, chroma: tuple[int, int]) -> Array:
    """The plane itself, and the code ``black`` where alpha is 0."""
    return _blend_plane(MASKED, plane, plane, black, alpha, kinds, None, chroma, 1)


def _blend_plane(
    mode: int,
    plane: Array,
    behind: Array,
    black: int,
    alpha: Array,
    kinds: Array,
    colors: tuple[Array, Array] | None,
    chroma: tuple[int, int],
    maximum: int,
) -> Array:
    out = empty(plane.shape, plane.dtype)
    height, width = plane.shape
    given = (
        mode, *plane_arguments(plane), *plane_arguments(behind), black, contiguous(alpha, plane.dtype),
        contiguous(kinds, np.uint8), *alpha.shape, *_color_arguments(colors), *chroma, maximum, out,
    )  # fmt: skip
    launch_runs(SOURCE, "blend_plane", (height, width), *given, sample=plane.dtype.name)
    return out


def _color_arguments(colors: tuple[Array, Array] | None) -> tuple[Any, ...]:
    """F̂ and B̂ and their size as arguments of a kernel; an array of one number if there are none."""
    if colors is None:
        nothing = empty((1,), np.float32)
        return nothing, nothing, 1, 1
    F, B = (contiguous(x, np.float32) for x in colors)
    return F, B, *F.shape[-2:]


def composite(
    frame: Frame,
    background: Frame | None,
    alpha: Array,
    kinds: Array,
    colors: Colors | None,
) -> tuple[Array, ...]:
    """The compositing equation on a whole frame, all planes in one pass."""
    return _blend_frame(frame, background, (alpha, kinds), None, colors)


def guided_composite(
    frame: Frame, background: Frame | None, slope: Array, offset: Array, colors: Colors | None
) -> tuple[Array, ...]:
    """:func:`composite` with the alpha of the coefficients, which is never stored."""
    return _blend_frame(frame, background, None, (slope, offset), colors)


def _blend_frame(
    frame: Frame,
    background: Frame | None,
    alpha: tuple[Array, Array] | None,
    coefficients: tuple[Array, Array] | None,
    colors: Colors | None,
) -> tuple[Array, ...]:
    layout, dtype = frame.pixel_format, frame.planes[0].dtype
    planes = split_planes(frame)[:3]
    if background is None:
        mode = MASKED if colors is None else STRAIGHT
        behind, black = planes, encode_color((0, 0, 0), frame.color, layout)
    else:
        mode = MIX if colors is None else FUSE
        behind, black = split_planes(background)[:3], (0, 0, 0)
    made, chroma = new_planes(frame.size, layout, dtype)
    numbers, bytes_ = empty((1, 1), np.float32), empty((1,), np.uint8)
    full, kinds = (
        (made[0], bytes_) if alpha is None else (contiguous(alpha[0], dtype), contiguous(alpha[1], np.uint8))
    )
    slope, offset = (
        (numbers, numbers) if coefficients is None else (contiguous(x, np.float32) for x in coefficients)
    )
    given = [argument for plane in (*planes, *behind) for argument in plane_arguments(plane)]
    launch_patches(
        SOURCE, "blend_frame", frame.size, mode, *given, *black, alpha is not None, full, kinds, slope,
        offset, *slope.shape, *_color_arguments(colors), *layout.chroma,
        layout.maximum, made[0], *chroma, *plane_arguments(chroma[0])[1:], sample=dtype.name,
    )  # fmt: skip
    return made
