"""Alpha as a grey video that any editor can open: black is background, white is foreground."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from av.video.frame import VideoFrame

from livematte.frame import Array, ColorInfo, Frame, PixelFormat
from livematte.video.color import HDR_TRANSFERS
from livematte.video.pixels import writable_planes


def grey_format(source: PixelFormat) -> PixelFormat:
    """Return 4:2:0 at the depth of ``source``, which every player supports. Its chroma is neutral."""
    return PixelFormat("yuv420p" + _suffix(source.depth), (1, 1), source.depth)


def grey_color(color: ColorInfo) -> ColorInfo:
    """Return ``color`` in limited range with tags. Players assume the same for an untagged grey video."""
    matrix, tag = ("bt709", 1) if color.matrix == "rgb" else (color.matrix, color.matrix_tag)
    if color.transfer in HDR_TRANSFERS:  # a player would tone-map alpha
        color = replace(color, transfer=1)
    return replace(color, matrix=matrix, matrix_tag=tag, full_range=False, range_tag=1)


def extract_alpha(frame: Frame) -> tuple[Array, bool]:
    """Return the alpha plane (h, w), else the luma plane (green for RGB), and True if it is full range."""
    if frame.pixel_format.alpha:
        return frame.planes[3], True
    if frame.pixel_format.gray:
        return frame.planes[0], True
    return frame.planes[0], frame.color.full_range or frame.pixel_format.rgb


def to_grey_frame(frame: Frame) -> VideoFrame:
    """Return alpha as a grey picture with neutral chroma.

    Luma is 16 for alpha 0 and 235 for alpha 1, times 4 or 16 at 10 or 12 bits.
    """
    depth = frame.pixel_format.depth
    name = "yuv420p" + _suffix(depth)
    out = VideoFrame(frame.width, frame.height, name)
    luma, *chroma = writable_planes(out, name)
    alpha, full = extract_alpha(frame)
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
