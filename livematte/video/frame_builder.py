"""Frames from decoded pictures: upright, in one pixel format, and fitted into one size and pixel shape."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from livematte.frame import PIXEL_FORMATS, ColorInfo, Frame
from livematte.protocols import SourceInfo
from livematte.video.color import read_color_info
from livematte.video.hardware import HardwareDecoder
from livematte.video.orientation import Orientation
from livematte.video.picture_color import PictureColors
from livematte.video.pixel_limit import check_size, pixel_limit
from livematte.video.pixel_shape import Canvas, PixelShape, in_bars
from livematte.video.pixels import JPEG_RANGE_FORMATS, Converter, nearest_format, view_planes


class FrameBuilder:
    """Converts the decoded pictures of one file.

    Attributes:
        format: pixel format of all frames.
        color: colour interpretation of the first.
        size: (height, width) of upright frames.
        sample_aspect: pixel shape of upright frames.
    """

    def __init__(
        self,
        path: str | Path,
        first: VideoFrame,
        colors: PictureColors,
        orientation: Orientation,
        pixel_shape: PixelShape,
        hardware: HardwareDecoder | None,
        time_base: Fraction,
        note: Callable[[str], None],
        *,
        still: bool,
        one_size: bool,
        like: SourceInfo | None,
    ) -> None:
        """Choose format, size and pixel shape by the first decoded picture.

        Args:
            still: the file is one picture.
            one_size, like: as for :func:`livematte.video.reader.open_video`.
            note: called with lines for the user.

        Raises:
            InputError: the picture is too large.
        """
        self._path, self._colors, self._orientation = path, colors, orientation
        self._pixel_shape, self._hardware, self._time_base = pixel_shape, hardware, time_base
        self._note, self._still, self._one_size = note, still, one_size
        self._converter = Converter()
        format, self.color = colors.describe(first, *self._decoded_format(first))
        if orientation.transpose and PIXEL_FORMATS[format].chroma == (0, 1):
            format = format.replace("422", "444")  # transposed 4:2:2 is 4:4:0, which is rarely supported
        self.format, self._stored = format, (first.height, first.width)
        self._most = pixel_limit()
        check_size(first.width, first.height, path)
        self._canvas = Canvas(self._stored, pixel_shape.declared)
        if like is not None:
            self._stored = (like.width, like.height) if orientation.transpose else (like.height, like.width)
            self._canvas = Canvas(self._stored, self._upright_aspect(like.sample_aspect))
        self.size = self._stored[::-1] if orientation.transpose else self._stored
        self.sample_aspect = self._upright_aspect(self._canvas.aspect)
        for line in pixel_shape.notes:
            note(line)

    def __call__(self, decoded: VideoFrame, pts: int) -> Frame:
        """Return a decoded picture as a frame; its planes are read-only."""
        own = self._decoded_format(decoded)
        format, color = self._colors.describe(decoded, *own)
        size, aspect = (decoded.height, decoded.width), self._pixel_shape(decoded)
        if (format, color) != own:
            decoded = self._colors.convert(self._downloaded(decoded), own[1])
        box, shown = (0, size[0], 0, size[1]), aspect
        if self._one_size:
            box, shown = self._canvas.box(size, aspect, self._note), self._canvas.aspect
        elif size != self._stored:
            check_size(*size[::-1], self._path, self._most)
        fitted = box[1] - box[0], box[3] - box[2]
        bars = self._one_size and fitted != self._stored
        if format != self.format and not self._orientation.transpose:
            self._note(f"the pixel format changes: converted to {self.format}")
        target = color if PIXEL_FORMATS[self.format].rgb == PIXEL_FORMATS[format].rgb else self.color
        if self._hardware is not None and self._hardware.is_surface(decoded):
            if (format, size) == (self.format, fitted) and self._orientation.is_identity and not bars:
                planes = self._hardware.planes(decoded)
                return Frame(planes, format, pts, self._time_base, decoded.duration, target, False, shown)
            decoded = self._hardware.download(decoded)
        picture = decoded
        name = JPEG_RANGE_FORMATS.get(decoded.format.name, decoded.format.name)
        if name != self.format or size != fitted:
            picture = self._converter(decoded, self.format, color, target, fitted)
        planes = view_planes(picture, self.format)
        if bars:
            planes = in_bars(planes, self.format, target, box, self._stored)
        if not self._orientation.is_identity:
            planes = tuple(self._orientation(plane) for plane in planes)
        shown = self._upright_aspect(shown)
        return Frame(planes, self.format, pts, self._time_base, decoded.duration, target, False, shown)

    def _downloaded(self, decoded: VideoFrame) -> VideoFrame:
        """Return the picture in the computer's memory."""
        if self._hardware is not None and self._hardware.is_surface(decoded):
            return self._hardware.download(decoded)
        return decoded

    def _decoded_format(self, frame: VideoFrame) -> tuple[str, ColorInfo]:
        """Return the nearest format of a decoded frame and its own colour interpretation."""
        surface = self._hardware is not None and self._hardware.is_surface(frame)
        source = VideoFormat(self._hardware.sw_format) if surface and self._hardware else frame.format
        format = nearest_format(source)
        full = source.name.startswith("yuvj") or (source.name.startswith(("gray", "ya")) and self._still)
        rgb, size = PIXEL_FORMATS[format].rgb, (frame.height, frame.width)
        return format, read_color_info(frame, rgb=rgb, full_range_default=full, size=size)

    def _upright_aspect(self, aspect: Fraction) -> Fraction:
        return 1 / aspect if self._orientation.transpose else aspect
