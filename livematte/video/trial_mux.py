"""Try in memory whether a container takes a stream, instead of predicting it.

Muxers and encoders refuse late: at the header, or at the first packet. So the first packets of a stream are
written to a container in memory, with the same code and options as later to the file, and read back.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from livematte.video.container import is_cover, open_container
from livematte.video.mp4_boxes import hide_empty_video_tracks
from livematte.video.sound_layouts import named_layout, same_channels, use_named_layout
from livematte.video.transcode import HeaderOnly, StreamWriter

_PACKETS = 8
"""Packets of each stream to try: some muxers need several before they can write their header."""

_LOOKAHEAD = 200
"""Packets to read in search of them; sparse subtitles may have none there, then only the header is tried."""

_ROLES = (
    Disposition.forced | Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.comment
    | Disposition.original | Disposition.dub
)  # fmt: skip
"""Roles of a stream whose loss is noted; whether one is the default, players decide anyway."""

Make = Callable[[OutputContainer, Stream], StreamWriter]
"""Adds a stream to a container and returns its writer. Raises ValueError or FFmpegError if it is refused."""


class TrialMuxer:
    """Tries the streams of ``source`` in a container in memory. Close it after use.

    Attributes:
        changed_layouts: the channel layout that a copy of a stream has, by its index, if it is another one.
        lost_roles: what the container does not store of the role of an accepted stream, by its index.
    """

    def __init__(self, source: str | Path, video: int, muxer: str, options: dict[str, str]) -> None:
        self.lost_roles: dict[int, Disposition] = {}
        self.changed_layouts: dict[int, str] = {}
        self._muxer, self._options = muxer, options
        self._input = open_container(source)
        self._packets: dict[int, list[Packet[Stream]]] = {
            stream.index: [] for stream in self._input.streams if stream.index != video
        }
        self._input.streams[video].discard = Discard.all
        self._read()

    def _read(self) -> None:
        wanted = [self._input.streams[index] for index in self._packets]
        wanted = [stream for stream in wanted if stream.type in ("audio", "subtitle", "video")]
        if not wanted:
            return
        try:
            for number, packet in enumerate(self._input.demux(*wanted)):
                # Some demuxers give packets of streams that were not asked for.
                found = self._packets.get(packet.stream_index)
                if found is not None and packet.size and len(found) < _PACKETS:
                    found.append(packet)
                full = all(
                    self._packets[stream.index] if is_cover(stream)
                    else len(self._packets[stream.index]) == _PACKETS
                    for stream in wanted
                )  # fmt: skip
                if full or number >= _LOOKAHEAD:
                    return
        except (av.error.FFmpegError, OSError):
            return  # the file ends early; what was read is tried

    def packets(self, index: int) -> list[Packet[Stream]]:
        """Return the first packets of a stream."""
        return self._packets[index]

    def first_packet(self, index: int) -> bytes:
        """Return the data of the first packet of a stream; empty if there is none."""
        return next((bytes(packet) for packet in self._packets[index]), b"")

    def accepts(self, index: int, make: Make) -> bool:
        """Return True if the container holds the stream ``index`` as ``make`` writes it."""
        stream, file = self._input.streams[index], io.BytesIO()
        options = dict(self._options)
        try:
            with av.open(file, "w", format=self._muxer, container_options=options) as scratch:
                writer = make(scratch, stream)
                header_only = isinstance(writer, HeaderOnly)
                if header_only:
                    self._add_silence(scratch)
                scratch.start_encoding()
                packets = [_copy(packet) for packet in self._packets[index]]
                shift = next((p.pts * p.time_base for p in packets if p.pts is not None), Fraction(0))
                for packet in packets:
                    writer.write(packet, shift)
                writer.flush()
            if self._muxer == "mp4" and is_cover(stream):
                hide_empty_video_tracks(file)
            file.seek(0)
            if header_only:
                return _holds_attachment(file)
            if not packets:
                return True
            if not _holds_only(stream, file):
                return False
            file.seek(0)
            with av.open(file) as made:
                lost = stream.disposition & _ROLES & ~made.streams[0].disposition
                self._compare_layouts(stream, made.streams[0])
            self.lost_roles[index] = lost
            return True
        except (av.error.FFmpegError, ValueError, OSError, IndexError):
            return False

    def _compare_layouts(self, stream: Stream, made: Stream) -> None:
        if not isinstance(stream, AudioStream) or not isinstance(made, AudioStream):
            return
        use_named_layout(made)
        usual, stored = named_layout(stream), named_layout(made)
        if stream.channels == made.channels and not same_channels(usual, stored):
            self.changed_layouts[stream.index] = stored

    def _add_silence(self, scratch: OutputContainer) -> None:
        """Add one packet of sound: a file without packets cannot be read back."""
        codec = "aac" if self._muxer in ("mp4", "mov") else "libopus"
        sound = scratch.add_stream(codec, rate=48000)
        assert isinstance(sound, AudioStream)
        context = sound.codec_context
        context.layout, context.time_base = "mono", Fraction(1, 48000)
        context.open()
        frame = AudioFrame(context.format.name, "mono", context.frame_size)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = 48000, 0
        scratch.mux(sound.encode(frame))
        scratch.mux(sound.encode(None))

    def close(self) -> None:
        """Release the source."""
        self._input.close()


def _holds_only(stream: Stream, file: io.BytesIO) -> bool:
    """Return True if the file holds exactly one stream, with a codec and the role of ``stream``."""
    with av.open(file) as made:
        found = made.streams[0]
        return (
            len(made.streams) == 1
            and getattr(found, "codec_context", None) is not None
            and (found.type, is_cover(found)) == (stream.type, is_cover(stream))
        )


def _holds_attachment(file: io.BytesIO) -> bool:
    with av.open(file) as made:
        return any(stream.type == "attachment" or is_cover(stream) for stream in made.streams)


def _copy(packet: Packet[Stream]) -> Packet[Stream]:
    """Return a copy: writing changes the times of a packet and its stream."""
    copy: Packet[Stream] = Packet(bytes(packet))
    copy.stream, copy.time_base = packet.stream, packet.time_base
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.is_keyframe = packet.is_keyframe
    return copy
