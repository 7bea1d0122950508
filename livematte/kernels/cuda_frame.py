"""Whole frames in one pass on the GPU: what saves reading and writing what lies between two kernels.

:func:`livematte.kernels.twins.composite` calls these where frames are on a GPU, and the kernels one after
another elsewhere.
"""

from __future__ import annotations

import numpy as np

from livematte.frame import Array, Frame
from livematte.kernels.color import code_of
from livematte.kernels.cuda import FUSE, MASKED, MIX, STRAIGHT, _new_planes, small_colors, split_planes
from livematte.kernels.cuda_launch import as_plane, empty, over_spots, whole

Colors = tuple[Array, Array]


def composite(
    frame: Frame,
    background: Frame | None,
    alpha: Array,
    kinds: Array,
    colors: Colors | None,
) -> tuple[Array, ...]:
    """All planes in one pass; see :func:`livematte.kernels.twins.composite`."""
    return _blend(frame, background, (alpha, kinds), None, colors)


def guided_composite(
    frame: Frame, background: Frame | None, slope: Array, offset: Array, colors: Colors | None
) -> tuple[Array, ...]:
    """:func:`composite` with the alpha that ``upsample_alpha`` would make of the coefficients, which is never
    stored.
    """
    return _blend(frame, background, None, (slope, offset), colors)


def _blend(
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
        behind, black = planes, code_of((0, 0, 0), frame.color, layout)
    else:
        mode = MIX if colors is None else FUSE
        behind, black = split_planes(background)[:3], (0, 0, 0)
    made, chroma = _new_planes(frame.size, layout, dtype)
    numbers, bytes_ = empty((1, 1), np.float32), empty((1,), np.uint8)
    full, kinds = (made[0], bytes_) if alpha is None else (whole(alpha[0], dtype), whole(alpha[1], np.uint8))
    slope, offset = (
        (numbers, numbers) if coefficients is None else (whole(x, np.float32) for x in coefficients)
    )
    given = [argument for plane in (*planes, *behind) for argument in as_plane(plane)]
    over_spots(
        "composite", "blend_frame", frame.size, mode, *given, *black, alpha is not None, full, kinds, slope,
        offset, *slope.shape, *small_colors(colors), *layout.chroma,
        layout.maximum, made[0], *chroma, *as_plane(chroma[0])[1:], sample=dtype.name,
    )  # fmt: skip
    return made
