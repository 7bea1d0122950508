"""A frame composited plane by plane, with whatever functions composite one plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from livematte.frame import Array, Frame, PixelFormat
from livematte.kernels.color.matrices import encode_color

Colors = tuple[Array, Array]
"""Smooth foreground and background colours F̂ and B̂, (3, h, w) float32 each."""


@dataclass(frozen=True)
class PlaneKernels:
    """The functions for one plane, of the NumPy definition or of the CPU."""

    split_planes: Callable[[Frame], tuple[Array, ...]]
    join_planes: Callable[[tuple[Array, ...], PixelFormat], tuple[Array, ...]]
    mix_plane: Callable[..., Array]
    fuse_plane: Callable[..., Array]
    straight_plane: Callable[..., Array]
    masked_plane: Callable[..., Array]


def composite_planewise(
    kernels: PlaneKernels,
    frame: Frame,
    background: Frame | None,
    alpha: Array,
    kinds: Array,
    colors: Colors | None,
) -> tuple[Array, ...]:
    """:func:`livematte.kernels.composite.composite` with the functions ``kernels`` for each plane."""
    layout = frame.pixel_format
    behind = None if background is None else kernels.split_planes(background)
    black = encode_color((0, 0, 0), frame.color, layout) if background is None else (0, 0, 0)
    made = []
    for c, plane in enumerate(kernels.split_planes(frame)[:3]):
        chroma = layout.chroma if c else (0, 0)
        smooth = () if colors is None else (colors[0][c], colors[1][c])
        if behind is not None:
            blend = kernels.mix_plane if colors is None else kernels.fuse_plane
            made.append(blend(plane, behind[c], alpha, kinds, *smooth, chroma, layout.maximum))
        elif colors is None:
            made.append(kernels.masked_plane(plane, black[c], alpha, kinds, chroma))
        else:
            made.append(
                kernels.straight_plane(plane, black[c], alpha, kinds, *smooth, chroma, layout.maximum)
            )
    return kernels.join_planes(tuple(made), layout)
