"""Pixel shape (sample aspect ratio) of a stream's frames, and pictures fitted by their shape as shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from av.filter.graph import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame
from livematte.kernels.boxes import Box, chroma_box, place
from livematte.video.timestamps import as_fraction

WIDEST = 16
"""Largest sample aspect, and the inverse of the smallest; others are errors of the file."""

_WITHOUT_SHAPE = {"mpegts", "mpeg", "mpegvideo", "h264", "hevc", "vvc", "m4v"}
"""Containers that store no pixel shape. What FFmpeg gives for them is the codec's, as it was when opened."""

SAME_SHAPE = Fraction(1, 100)
"""Relative difference of two shapes that nobody sees: picture sizes are whole numbers."""


class PixelShape:
    """Sample aspect ratio of each frame of a stream.

    A stream may change it: a broadcast switches between 4:3 and 16:9, recordings are joined. The decoder
    reports the aspect of the picture that it decoded last, some frames ahead of the one that it returns.

    Args:
        decoder: of ``stream``, after it returned the frame ``first``.
        container: name of its format.
        packet: the beginning of its first packet.

    Attributes:
        declared: aspect of the first frame.
        notes: a line for the user if the file declares a shape that no picture can have.
    """

    def __init__(
        self,
        stream: VideoStream,
        decoder: VideoCodecContext,
        first: VideoFrame,
        container: str,
        packet: bytes = b"",
    ) -> None:
        self._decoder = decoder
        self._probe: _AspectProbe | None = None
        self._size, self._seen = (first.width, first.height), self._last_coded()
        at_opening = as_fraction(stream.sample_aspect_ratio)
        self._known = [self._seen, at_opening, None]
        self._changes = at_opening != self._seen
        self._coded = self._coded_aspect(first) if self._changes else self._seen
        self.notes: list[str] = []
        # The container's aspect has priority over the codec's, as in players.
        own = None if container in _WITHOUT_SHAPE else at_opening
        declared = own or self._coded or Fraction(1)
        if container == "image2" or container.endswith("_pipe"):
            declared = _of_still(declared, packet)
        if not Fraction(1, WIDEST) <= declared <= WIDEST:
            self.notes = [
                f"the file declares pixels of {declared.numerator}:{declared.denominator}: taken as square"
            ]
            declared = Fraction(1)
        self.declared = declared

    def _last_coded(self) -> Fraction | None:
        return as_fraction(self._decoder.sample_aspect_ratio)

    def __call__(self, frame: VideoFrame) -> Fraction:
        """Return the sample aspect of ``frame``, which is one of the stream, deinterlaced or not."""
        newest = self._last_coded()
        if newest != self._seen:
            self._changes, self._seen = True, newest
            if newest not in self._known:
                self._known.append(newest)
        coded = self._coded_aspect(frame) if self._changes else newest
        if (coded, (frame.width, frame.height)) == (self._coded, self._size):
            return self.declared
        found = coded or Fraction(1)
        return found if Fraction(1, WIDEST) <= found <= WIDEST else Fraction(1)

    def _coded_aspect(self, frame: VideoFrame) -> Fraction | None:
        """Return the aspect that the codec stores for this frame."""
        if not frame.format.components:  # on a GPU
            return self._seen
        if self._probe is None or not self._probe.accepts(frame):
            self._probe = _AspectProbe(frame)
        measured = self._probe(frame)
        nearest = min(self._known, key=lambda known: abs((known or 1) - measured))
        if abs((nearest or 1) - measured) > SAME_SHAPE * measured:
            return measured.limit_denominator(100)
        return nearest


def _of_still(aspect: Fraction, packet: bytes) -> Fraction:
    """Return the sample aspect of a picture for which FFmpeg says ``aspect``.

    PNG and JPEG store pixels per unit in x and y. FFmpeg takes x:y for the aspect, which is right only if
    there is no unit: then FFmpeg itself wrote it. Small differences are rounding.
    """
    png = packet.find(b"pHYs") if packet.startswith(b"\x89PNG") else -1
    jfif = packet.find(b"JFIF\0") if packet.startswith(b"\xff\xd8") else -1
    unit = packet[png + 12 : png + 13] if png > 0 else packet[jfif + 7 : jfif + 8] if jfif > 0 else b""
    found = 1 / aspect if unit not in (b"", b"\0") else aspect
    return found if abs(found - 1) > SAME_SHAPE else Fraction(1)


class _AspectProbe:
    """Reads a frame's sample aspect. PyAV has no attribute for it, but FFmpeg's filter ``scale`` uses it."""

    _HEIGHT = 1000

    def __init__(self, frame: VideoFrame) -> None:
        self._layout = frame.width, frame.height, frame.format.name
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
        wanted = f"w=16:h=clip(round({self._HEIGHT}/sar)\\,16\\,16384):eval=frame:flags=neighbor"
        self._graph.link_nodes(
            source, self._graph.add("scale", wanted), self._graph.add("buffersink")
        ).configure()

    def accepts(self, frame: VideoFrame) -> bool:
        """Return True if ``frame`` has the size and format of the first frame."""
        return self._layout == (frame.width, frame.height, frame.format.name)

    def __call__(self, frame: VideoFrame) -> Fraction:
        """Return the sample aspect of ``frame``; 1 if it has none."""
        self._graph.vpush(frame)
        return Fraction(self._HEIGHT, self._graph.vpull().height)


@dataclass(frozen=True)
class Canvas:
    """The (height, width) and sample aspect of the first frame of a stream, into which all are fitted."""

    size: tuple[int, int]
    aspect: Fraction

    def box(self, size: tuple[int, int], aspect: Fraction, note: Callable[[str], None]) -> Box:
        """Return the place of a frame of another size or shape.

        Args:
            note: called with a line for the user at a change.
        """
        height, width = self.size
        whole = (0, height, 0, width)
        if (size, aspect) == (self.size, self.aspect):
            return whole
        shape = (size[1] * aspect / size[0]) / (width * self.aspect / height)
        if abs(shape - 1) < SAME_SHAPE:
            if size != self.size:
                note(f"the picture size changes: scaled to {width}x{height}")
            return whole
        note(f"the picture's shape changes: fitted into {width}x{height} with bars")
        return place(size, self.size, "contain", aspect / self.aspect, align=2).filled


def in_bars(
    planes: tuple[Array, ...], format: str, color: ColorInfo, box: Box, size: tuple[int, int]
) -> tuple[Array, ...]:
    """Return planes of ``size`` that are black, or transparent if they have alpha, around a picture.

    Args:
        planes: the picture, of the size of ``box``.
        box: its place; it begins at even rows and columns.
    """
    from livematte.kernels.convert import planes_from_rgb  # OpenCV: only for such videos

    layout = PIXEL_FORMATS[format]
    black = planes_from_rgb(np.zeros((1, 1, 3), np.uint8), format, color)
    chroma = layout.chroma_size(*size)
    out = []
    for number, (plane, code) in enumerate(zip(planes, black, strict=True)):
        small = number in (1, 2)
        canvas = np.empty((*(chroma if small else size), *plane.shape[2:]), plane.dtype)
        canvas[...] = 0 if number == 3 else code[0, 0]
        top, bottom, left, right = chroma_box(box, layout.chroma) if small else box
        canvas[top:bottom, left:right] = plane
        out.append(canvas)
    return tuple(out)


def square_pixels(frame: Frame) -> Frame:
    """Return ``frame`` with square pixels, enlarged to its :attr:`~livematte.frame.Frame.display_size`.

    A frame whose pixels are square is returned itself.
    """
    if frame.sample_aspect == 1:
        return frame
    import cv2  # only for such pictures

    size, layout = frame.display_size, frame.pixel_format
    planes = []
    for number, plane in enumerate(frame.planes):
        height, width = layout.chroma_size(*size) if number in (1, 2) else size
        enlarged = cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC)
        planes.append(np.minimum(enlarged, layout.maximum).astype(plane.dtype, copy=False))
    return replace(frame, planes=tuple(planes), sample_aspect=Fraction(1))
