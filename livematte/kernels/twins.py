"""The kernels of whatever an array lives on: those of :mod:`~livematte.kernels.cpu` for NumPy's arrays, those
of :mod:`~livematte.kernels.cuda` for CuPy's.

What works on frames imports this as it would import ``cpu``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar, cast

from livematte.frame import Array, Frame
from livematte.kernels import blur, cpu, fusion, transfer, windows
from livematte.kernels.color import code_of
from livematte.kernels.cuda_launch import on_gpu

F = TypeVar("F", bound=Callable[..., Any])


def _twin(function: F, module: str = "cuda") -> F:
    """``function``, or the one of that name in ``module`` where the first array is on a GPU: that
    of a frame, or of several planes.
    """
    name = function.__name__

    @wraps(function)
    def chosen(first: Any, *rest: Any, **named: Any) -> Any:
        planes = first.planes if isinstance(first, Frame) else first
        if not on_gpu(planes[0] if isinstance(planes, tuple) else planes):
            return function(first, *rest, **named)
        return getattr(import_module(f"livematte.kernels.{module}"), name)(first, *rest, **named)

    return cast(F, chosen)


resize = _twin(cpu.resize)
split_planes = _twin(cpu.split_planes)
join_planes = _twin(cpu.join_planes)
small_planes = _twin(cpu.small_planes)
small_rgb = _twin(cpu.small_rgb)
to_rgb = _twin(cpu.to_rgb)
rgb_from_codes = _twin(cpu.rgb_from_codes)
codes_from_rgb = _twin(cpu.codes_from_rgb)
planes_from_rgb = _twin(cpu.planes_from_rgb)
block_mean = _twin(cpu.block_mean)
soft_cells = _twin(cpu.soft_cells)
guided_coefficients = _twin(cpu.guided_coefficients)
upsample_alpha = _twin(cpu.upsample_alpha)
tile_kinds = _twin(cpu.tile_kinds)
estimate_colors = _twin(cpu.estimate_colors)
mix_plane = _twin(cpu.mix_plane)
fuse_plane = _twin(cpu.fuse_plane)
straight_plane = _twin(cpu.straight_plane)
masked_plane = _twin(cpu.masked_plane)

window_planes = _twin(windows.window_planes, "cuda_windows")
area_window = _twin(windows.area_window, "cuda_windows")
linear_window = _twin(windows.linear_window, "cuda_windows")
enlarged = _twin(windows.enlarged, "cuda_windows")
upsample_window = _twin(windows.upsample_window, "cuda_windows")
add_weighted = _twin(windows.add_weighted, "cuda_windows")
refined_over_time = _twin(windows.refined_over_time, "cuda_windows")
explaining_background = _twin(windows.explaining_background, "cuda_windows")
fuse_layers = _twin(fusion.fuse_layers, "cuda_windows")
among_hdr = _twin(transfer.among_hdr, "cuda_windows")
blurred = _twin(blur.blurred, "cuda_blur")


def small_both(frame: Frame, height: int, width: int) -> tuple[Array, Array]:
    """:func:`small_planes` and :func:`small_rgb`, on a GPU in one pass over the frame."""
    if on_gpu(frame.planes[0]):
        from livematte.kernels import cuda

        return cuda.small_both(frame, height, width)
    planes = cpu.small_planes(frame, height, width)
    return planes, cpu.rgb_from_codes(planes, frame)


def composite(
    frame: Frame,
    background: Frame | None,
    alpha: Array,
    kinds: Array,
    colors: tuple[Array, Array] | None,
) -> tuple[Array, ...]:
    """The compositing equation on a whole frame.

    Args:
        background: of the frame's size and format, its own alpha left out; None for the straight foreground,
            black where alpha is 0.
        alpha, kinds: as :func:`upsample_alpha` gives them.
        colors: F̂ and B̂ of :func:`estimate_colors`, (3, h, w) float32; None where the picture itself is the
            foreground.

    Returns:
        New planes of the frame's format, less its alpha.
    """
    if on_gpu(alpha):
        from livematte.kernels import cuda_frame

        return cuda_frame.composite(frame, background, alpha, kinds, colors)
    return composite_with(cpu, frame, background, alpha, kinds, colors)


def composite_with(
    kernels: Any,
    frame: Frame,
    background: Frame | None,
    alpha: Array,
    kinds: Array,
    colors: tuple[Array, Array] | None,
) -> tuple[Array, ...]:
    """:func:`composite`, plane by plane with ``kernels``, a module such as ``cpu`` or ``reference``."""
    layout = frame.pixel_format
    behind = None if background is None else kernels.split_planes(background)
    black = code_of((0, 0, 0), frame.color, layout) if background is None else (0, 0, 0)
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
    joined: tuple[Array, ...] = kernels.join_planes(tuple(made), layout)
    return joined
