"""Parts of a video that were encoded apart become one file, without being encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.errors import OutputError
from livematte.frame import Frame
from livematte.protocols import SourceInfo
from livematte.video.landing import explain
from livematte.video.writer import FileSink, Kind, open_file

_BYTE_STREAMS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""How packets come back to what an encoder gives: containers store these two in another way."""


@dataclass(frozen=True)
class Part:
    """A file of consecutive pictures, the first of them a key frame.

    Attributes:
        times: pts and duration of each in the source's ticks, in order.
    """

    path: Path
    times: tuple[tuple[int, int], ...]


def open_joined(
    path: Path, info: SourceInfo, *, kind: Kind = "picture", alpha: bool = False, codec: str | None = None,
    crf: int | None = None, preset: str | None = None, copy_streams_from: str | Path | None = None,
    start: float | None = None, end: float | None = None,
) -> JoinedSink:  # fmt: skip
    """A file to append parts to. Arguments and errors as :func:`livematte.video.writer.open_sink`, which is
    to be given the same for the parts, less ``copy_streams_from``.
    """
    return open_file(
        JoinedSink, path, info, kind=kind, alpha=alpha, codec=codec, crf=crf, preset=preset,
        copy_streams_from=copy_streams_from, start=start, end=end, threads=1,
    )  # fmt: skip


class JoinedSink(FileSink):
    """A :class:`~livematte.video.writer.FileSink` that is given encoded parts instead of frames.

    Its own encoder is opened, since that says what stands in the file's header, and gets no picture.
    """

    _times: list[int]
    _ahead = 0

    def write(self, frame: Frame) -> None:
        """Not here: pictures come in parts."""
        raise OutputError(f"{self.path}: parts are joined here, not frames")

    def append(self, part: Part) -> None:
        """Add the next part; times rise from part to part.

        Raises:
            OutputError: the disk is full or fails, or the part is not what it is said to be.
        """
        if self._done:
            raise OutputError(f"{self.path} is already closed")
        if not part.times:
            return
        try:
            self._append(part)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise OutputError(explain(self._landing.file.error or error, self.path, self.frames)) from error

    def _append(self, part: Part) -> None:
        # The same picture comes at the same place in both orders of time: a part's own clock does not matter.
        order = [packet.pts for packet in _packets(part.path)]
        if len(order) != len(part.times) or None in order:
            raise OutputError(f"{self.path}: a part has {len(order)} pictures, {len(part.times)} were told")
        stored = cast(list[int], order)
        rank = {pts: place for place, pts in enumerate(sorted(stored))}
        late = max(number - rank[pts] for number, pts in enumerate(stored))
        if self.frames == 0:
            self._times = []
            self._begin(part.times[0][0])
            self._ahead = max(late, self._stream.codec_context.reorder_depth)
        elif late > self._ahead:
            raise OutputError(f"{self.path}: a part's pictures are in another order than those before it")
        first = self.frames
        self._times += [pts - self._shift for pts, _ in part.times]
        step = part.times[0][1] or 1
        for number, packet in enumerate(_packets(part.path)):
            assert packet.pts is not None
            place = rank[packet.pts]
            packet.pts, packet.duration = self._times[first + place], part.times[place][1]
            packet.dts = self._decoded_at(first + number, step)
            packet.time_base, packet.stream = self._time_base, self._stream
            self._mux(packet)
            self.frames += 1

    def _decoded_at(self, number: int, step: int) -> int:
        """What a decoder's clock shows: the times of the pictures, by as many earlier as it must be ahead."""
        place = number - self._ahead
        return self._times[place] if place >= 0 else self._times[0] + place * step

    def _encode(self, picture: VideoFrame | None) -> None:
        """Nothing is in the encoder, at the end neither."""


def _packets(path: Path) -> Iterator[Packet[VideoStream]]:
    """The pictures of a file in the order they are decoded in, as their encoder gave them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        name = _BYTE_STREAMS.get(stream.codec_context.codec.canonical_name)
        change = BitStreamFilterContext(name, stream) if name else None
        for packet in container.demux(stream):
            if packet.size:
                yield from change.filter(packet) if change else [packet]
