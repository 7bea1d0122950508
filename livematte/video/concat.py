"""Concatenate video segments that were encoded separately, without encoding them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.stream import VideoStream

from livematte.errors import OutputError
from livematte.protocols import SourceInfo
from livematte.video.atomic_file import describe_write_error
from livematte.video.container import ffmpeg_name
from livematte.video.writer import FileSink, Kind, open_file_sink

_ANNEX_B_FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""Bitstream filters that convert packets of a container back to the encoder's format."""


@dataclass(frozen=True)
class EncodedPart:
    """A file of consecutive pictures that starts with a key frame.

    Attributes:
        times: pts and duration of each picture in source ticks, in order.
    """

    path: Path
    times: tuple[tuple[int, int], ...]


def open_concat(
    path: Path, info: SourceInfo, *, kind: Kind = "picture", alpha: bool = False, codec: str | None = None,
    crf: int | None = None, preset: str | None = None, copy_streams_from: str | Path | None = None,
    start: float | Fraction | None = None, end: float | Fraction | None = None,
    **output: Any,
) -> ConcatSink:  # fmt: skip
    """Open a file to which encoded parts are appended.

    Arguments and errors are those of :func:`livematte.video.writer.open_sink`; ``output`` are further ones.
    Encode the parts with the same arguments, but without ``copy_streams_from``.
    """
    file = open_file_sink(
        path, info, kind=kind, alpha=alpha, codec=codec, crf=crf, preset=preset,
        copy_streams_from=copy_streams_from, start=start, end=end, threads=1,
        **output,
    )  # fmt: skip
    return ConcatSink(file)


class ConcatSink:
    """A video file that takes encoded parts instead of frames.

    It has a :class:`~livematte.video.writer.FileSink`, which it gives packets. That sink's encoder is open,
    because its parameters are written to the file header, but it encodes no frame.
    """

    def __init__(self, file: FileSink) -> None:
        """Take the file; it is closed with this sink."""
        self._file = file
        self._pts: list[int] = []
        self._reorder_delay = 0

    @property
    def path(self) -> Path:
        """The target."""
        return self._file.path

    @property
    def notes(self) -> list[str]:
        """See :class:`~livematte.video.writer.FileSink`."""
        return self._file.notes

    @property
    def frames(self) -> int:
        """The number of pictures written."""
        return self._file.frames

    def append(self, part: EncodedPart) -> None:
        """Append the next part. Times must rise from part to part.

        Raises:
            OutputError: the disk is full or fails, or the part does not match its description.
        """
        if self._file.closed:
            raise OutputError(f"{self.path} is already closed")
        if not part.times:
            return
        try:
            self._append(part)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise OutputError(describe_write_error(error, self.path, self.frames)) from error

    def _append(self, part: EncodedPart) -> None:
        # Presentation order is independent of the clock of the part, so only the rank of each pts is used.
        order = [packet.pts for packet in _packets(part.path)]
        if len(order) != len(part.times) or None in order:
            raise OutputError(f"{self.path}: a part has {len(order)} pictures, expected {len(part.times)}")
        stored = cast(list[int], order)
        rank = {pts: place for place, pts in enumerate(sorted(stored))}
        reorder = max(number - rank[pts] for number, pts in enumerate(stored))
        if self.frames == 0:
            self._reorder_delay = max(reorder, self._file.reorder_depth)
        elif reorder > self._reorder_delay:
            raise OutputError(f"{self.path}: a part reorders its pictures by more frames than the first part")
        first = self.frames
        self._pts += [pts for pts, _ in part.times]
        step = part.times[0][1] or 1
        for number, packet in enumerate(_packets(part.path)):
            assert packet.pts is not None
            place = rank[packet.pts]
            packet.pts, packet.duration = self._pts[first + place], part.times[place][1]
            packet.dts = self._decode_time(first + number, step)
            self._file.write_packet(packet)

    def _decode_time(self, number: int, step: int) -> int:
        """The dts: the sequence of all pts, delayed by the reordering depth of the decoder."""
        place = number - self._reorder_delay
        return self._pts[place] if place >= 0 else self._pts[0] + place * step

    def close(self) -> None:
        """See :meth:`livematte.video.writer.FileSink.close`."""
        self._file.close()

    def abort(self) -> None:
        """See :meth:`livematte.video.writer.FileSink.abort`."""
        self._file.abort()


def _packets(path: Path) -> Iterator[Packet[VideoStream]]:
    """The packets of a file in decoding order, in the encoder's form."""
    with av.open(ffmpeg_name(path)) as container:
        stream = container.streams.video[0]
        name = _ANNEX_B_FILTERS.get(stream.codec_context.codec.canonical_name)
        bitstream_filter = BitStreamFilterContext(name, stream) if name else None
        for packet in container.demux(stream):
            if packet.size:
                yield from bitstream_filter.filter(packet) if bitstream_filter else [packet]
