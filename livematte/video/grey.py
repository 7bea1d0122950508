"""A matte as a grey video: black is background, white is foreground, in any editor."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from av.video.frame import VideoFrame

from livematte.frame import Array, ColorInfo, Frame, PixelFormat
from livematte.video.pixels import writable_planes


def grey_format(source: PixelFormat) -> PixelFormat:
    """4:2:0 of the same depth, which every player takes; its chroma is neutral."""
    return PixelFormat("yuv420p" + _suffix(source.depth), (1, 1), source.depth)


def grey_color(color: ColorInfo) -> ColorInfo:
    """Limited range, tagged so: what an untagged grey video would be taken for anyway."""
    matrix, tag = ("bt709", 1) if color.matrix == "rgb" else (color.matrix, color.matrix_tag)
    return replace(color, matrix=matrix, matrix_tag=tag, full_range=False, range_tag=1)


def alpha_of(frame: Frame) -> tuple[Array, bool]:
    """The matte's plane (h, w), and if it is full range: alpha or grey, else luma (of RGB green)."""
    if frame.pixel_format.alpha:
        return frame.planes[3], True
    if frame.pixel_format.gray:
        return frame.planes[0], True
    return frame.planes[0], frame.color.full_range or frame.pixel_format.rgb


def grey_of(frame: Frame) -> VideoFrame:
    """Luma 16 where alpha is 0 and 235 where it is 1 (times 4 or 16 at 10 or 12 bits), chroma neutral."""
    depth = frame.pixel_format.depth
    name = "yuv420p" + _suffix(depth)
    out = VideoFrame(frame.width, frame.height, name)
    luma, *chroma = writable_planes(out, name)
    alpha, full = alpha_of(frame)
    if full:
        np.take(_to_limited(depth), alpha, out=luma, mode="clip")
    else:
        np.copyto(luma, alpha)
    for plane in chroma:
        plane[...] = 1 << (depth - 1)
    out.pts, out.time_base, out.duration = frame.pts, frame.time_base, frame.duration
    return out


def _suffix(depth: int) -> str:
    return "" if depth == 8 else f"{depth}le"


@cache
def _to_limited(depth: int) -> Array:
    values = np.arange(1 << depth) / ((1 << depth) - 1)
    dtype = np.uint8 if depth == 8 else np.uint16
    return np.rint((16 + 219 * values) * (1 << (depth - 8))).astype(dtype)
