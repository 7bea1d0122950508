"""Conversion between FFmpeg frames and arrays: plane views, nearest format, exact colour conversion."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from livematte.errors import InputError
from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame
from livematte.video.color import SWS_BY_MATRIX, TAG_BY_MATRIX

JPEG_RANGE_FORMATS = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}
"""Deprecated FFmpeg names of full-range formats, by layout. The range is in ColorInfo."""

_ACCURATE_RND, _FULL_CHR_H_INT, _FULL_CHR_H_INP = 1 << 18, 1 << 13, 1 << 14
"""SWS_ACCURATE_RND etc. of swscale.h: PyAV 17, the last version for Python 3.10, does not name them."""

_EXACT = int(Interpolation.BICUBIC) | _ACCURATE_RND | _FULL_CHR_H_INT | _FULL_CHR_H_INP


def nearest_format(source: VideoFormat) -> str:
    """Return the key of PIXEL_FORMATS that stores a picture of format ``source`` with the least loss.

    RGB and palettes become gbrp, grey 4:2:0, 4:1:1 4:2:2, 4:4:0 4:4:4; 9 bits become 10, and 14 to 32 bits
    12.

    Raises:
        InputError: ``source`` is a raw sensor format or a hardware format.
    """
    name = JPEG_RANGE_FORMATS.get(source.name, source.name)
    if name in PIXEL_FORMATS and not PIXEL_FORMATS[name].gray:
        return name
    components = source.components
    if source.is_bayer or not components:
        raise InputError(
            f"pixel format {source.name!r} is raw sensor or hardware data: convert the file with FFmpeg"
        )
    bits = max(component.bits for component in components)
    suffix = "" if bits <= 8 else "10le" if bits <= 10 else "12le"
    letter = "a" if any(component.is_alpha for component in components) or source.name == "pal8" else ""
    colours = len(components) - (1 if letter else 0)
    if source.is_rgb or source.has_palette or source.name == "xyz12le":
        return f"gbr{letter}p{suffix}"
    if colours <= 1:
        return _supported_format(f"yuv{letter}420p{suffix}")
    # The chroma size at 16 x 16 shows the subsampling.
    chroma_width, chroma_height = (
        VideoFormat(source.name, 16, 16).chroma_width(16),
        VideoFormat(source.name, 16, 16).chroma_height(16),
    )
    subsampling = "444" if chroma_width == 16 else "422" if chroma_height == 16 else "420"
    return _supported_format(f"yuv{letter}{subsampling}p{suffix}")


def _supported_format(format: str) -> str:
    """Return ``format`` or the next finer one: 4:2:0 with alpha at 12 bits does not exist."""
    return format if format in PIXEL_FORMATS else format.replace("420", "422")


def view_planes(frame: VideoFrame, format: str) -> tuple[Array, ...]:
    """Return views of the planes of ``frame``, each (h, w) uint8 or uint16; NV12 chroma is (h, w, 2).

    The views keep the FFmpeg frame alive. They are read-only, because the decoder may still use the frame as
    a reference. ``format`` is the PIXEL_FORMATS name of the same layout.
    """
    layout = PIXEL_FORMATS[format]
    dtype = np.dtype(np.uint8 if layout.depth == 8 else np.uint16)
    planes: list[Array] = []
    for plane in frame.planes:
        step = abs(plane.line_size)
        shape: tuple[int, ...] = (plane.height, plane.width)
        strides: tuple[int, ...] = (step, dtype.itemsize)
        if layout.interleaved and planes:
            shape, strides = (*shape, 2), (step, 2, 1)
        view: Array = np.ndarray(shape, dtype, cast(Any, plane), strides=strides)
        if plane.line_size < 0:
            view = np.ascontiguousarray(view[::-1])
        view.flags.writeable = False
        planes.append(view)
    return tuple(planes)


def writable_planes(frame: VideoFrame, format: str) -> tuple[Array, ...]:
    """Return writable views as :func:`view_planes`, to fill a new frame."""
    planes = view_planes(frame, format)
    for plane in planes:
        plane.flags.writeable = True
    return planes


def to_video_frame(frame: Frame, *, drop_alpha: bool = False) -> VideoFrame:
    """Copy ``frame`` to an FFmpeg frame with time, duration and tags.

    ``drop_alpha`` omits the alpha plane.
    """
    name = frame.format
    if drop_alpha and frame.pixel_format.alpha:
        name = name.replace("yuva", "yuv").replace("gbrap", "gbrp")
    out = VideoFrame(frame.width, frame.height, name)
    for target, plane in zip(writable_planes(out, name), frame.planes, strict=False):
        np.copyto(target, plane)
    set_frame_properties(out, frame)
    return out


def set_frame_properties(out: VideoFrame, frame: Frame) -> None:
    """Copy time, duration and colour tags of ``frame`` to the FFmpeg frame ``out``."""
    out.pts = frame.pts
    out.time_base = frame.time_base
    out.duration = frame.duration
    color = frame.color
    out.colorspace = TAG_BY_MATRIX["rgb"] if frame.pixel_format.rgb else color.matrix_tag
    out.color_range = 2 if color.full_range else 1
    out.color_primaries, out.color_trc = color.primaries, color.transfer


def with_color_tags(out: VideoFrame, color: ColorInfo) -> VideoFrame:
    """Set matrix, primaries and transfer of a YUV frame and return it; an RGB frame is not changed."""
    if color.matrix != "rgb":
        out.colorspace = color.matrix_tag
        out.color_primaries, out.color_trc = color.primaries, color.transfer
    return out


_UNSPECIFIED = 2


class Converter:
    """A reusable swscale context with exact matrix and range. It runs in the calling thread."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def __call__(
        self,
        frame: VideoFrame,
        format: str,
        source: ColorInfo,
        target: ColorInfo,
        size: tuple[int, int] | None = None,
    ) -> VideoFrame:
        """Return ``frame`` in another pixel format, colour interpretation or ``(height, width)``."""
        height, width = size or (frame.height, frame.width)
        tags = frame.colorspace, frame.color_primaries, frame.color_trc
        # PyAV 17 detects BT.2020 only by the tag, and raises for reserved tags that it does not convert.
        if "bt2020" in (source.matrix, target.matrix):
            frame.colorspace = TAG_BY_MATRIX["bt2020"]
        frame.color_primaries = frame.color_trc = _UNSPECIFIED
        try:
            converted = self._scaler.reformat(
                frame,
                width,
                height,
                format,
                src_colorspace=SWS_BY_MATRIX[source.matrix],
                dst_colorspace=SWS_BY_MATRIX[target.matrix],
                interpolation=_EXACT,
                src_color_range=2 if source.full_range else 1,
                dst_color_range=2 if target.full_range else 1,
                threads=1,
            )
        finally:
            frame.colorspace, frame.color_primaries, frame.color_trc = tags
        converted.color_primaries, converted.color_trc = tags[1:]
        return converted
