"""Between FFmpeg's frames and arrays: views of planes, the nearest format, exact conversion."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from livematte.errors import InputError
from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame
from livematte.video.color import SWS_OF_MATRIX, TAG_OF_MATRIX

RELABELLED = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}
"""The same planes under another name; the range is said by the colour."""

_ACCURATE_RND, _FULL_CHR_H_INT, _FULL_CHR_H_INP = 1 << 18, 1 << 13, 1 << 14
"""SWS_ACCURATE_RND and so on of swscale.h: PyAV 17, the last for Python 3.10, has no names for them."""

_EXACT = int(Interpolation.BICUBIC) | _ACCURATE_RND | _FULL_CHR_H_INT | _FULL_CHR_H_INP


def nearest_format(source: VideoFormat) -> str:
    """The key of PIXEL_FORMATS that holds a picture of ``source`` with nothing (or least) lost.

    RGB and palettes become gbrp, grey 4:2:0, 4:1:1 4:2:2, 4:4:0 4:4:4; 9 bits 10, and 14 to 32 bits 12.

    Raises:
        InputError: raw sensor or hardware formats, which are no pictures yet.
    """
    name = RELABELLED.get(source.name, source.name)
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
        return _held(f"yuv{letter}420p{suffix}")
    # Asked at 16 x 16: how much smaller the chroma planes are.
    wide, high = (
        VideoFormat(source.name, 16, 16).chroma_width(16),
        VideoFormat(source.name, 16, 16).chroma_height(16),
    )
    subsampling = "444" if wide == 16 else "422" if high == 16 else "420"
    return _held(f"yuv{letter}{subsampling}p{suffix}")


def _held(format: str) -> str:
    """The same, or the next finer format: there is no 4:2:0 with alpha at 12 bits."""
    return format if format in PIXEL_FORMATS else format.replace("420", "422")


def planes_of(frame: VideoFrame, format: str) -> tuple[Array, ...]:
    """The planes of ``frame`` as views, each (h, w) uint8 or uint16; NV12's second is (h, w, 2).

    No copy: the arrays keep the FFmpeg frame alive and are read-only, because a decoder may still predict
    from it. ``format`` is the PIXEL_FORMATS name of the same layout.
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
    """As :func:`planes_of` for a frame of our own that is still to be filled."""
    planes = planes_of(frame, format)
    for plane in planes:
        plane.flags.writeable = True
    return planes


def to_video_frame(frame: Frame, *, drop_alpha: bool = False) -> VideoFrame:
    """A copy of ``frame`` in FFmpeg's hands, with time, duration and tags; alpha left out on request."""
    name = frame.format
    if drop_alpha and frame.pixel_format.alpha:
        name = name.replace("yuva", "yuv").replace("gbrap", "gbrp")
    out = VideoFrame(frame.width, frame.height, name)
    for target, plane in zip(writable_planes(out, name), frame.planes, strict=False):
        np.copyto(target, plane)
    tag(out, frame)
    return out


def tag(out: VideoFrame, frame: Frame) -> None:
    """Give FFmpeg's frame the time, duration and colours of ``frame``."""
    out.pts = frame.pts
    out.time_base = frame.time_base
    out.duration = frame.duration
    color = frame.color
    out.colorspace = TAG_OF_MATRIX["rgb"] if frame.pixel_format.rgb else color.matrix_tag
    out.color_range = 2 if color.full_range else 1
    out.color_primaries, out.color_trc = color.primaries, color.transfer


_UNSPECIFIED = 2


class Converter:
    """swscale kept ready for one conversion, exact in matrix and range, in the calling thread only."""

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
        """``frame`` in another pixel format, colour meaning or ``(height, width)``."""
        height, width = size or (frame.height, frame.width)
        tags = frame.colorspace, frame.color_primaries, frame.color_trc
        # PyAV 17 knows BT.2020 by the tag only, and stops at reserved tags of what is not converted.
        if "bt2020" in (source.matrix, target.matrix):
            frame.colorspace = TAG_OF_MATRIX["bt2020"]
        frame.color_primaries = frame.color_trc = _UNSPECIFIED
        try:
            made = self._scaler.reformat(
                frame,
                width,
                height,
                format,
                src_colorspace=SWS_OF_MATRIX[source.matrix],
                dst_colorspace=SWS_OF_MATRIX[target.matrix],
                interpolation=_EXACT,
                src_color_range=2 if source.full_range else 1,
                dst_color_range=2 if target.full_range else 1,
                threads=1,
            )
        finally:
            frame.colorspace, frame.color_primaries, frame.color_trc = tags
        made.color_primaries, made.color_trc = tags[1:]
        return made
