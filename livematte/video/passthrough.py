"""Copy all other streams of a file: audio, subtitles, chapters, attachments and tags."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import av.error
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, DataStream, Discard, Disposition, Stream
from av.subtitles.stream import SubtitleStream

from livematte.errors import InputError
from livematte.video.attachments import attach, attach_cover
from livematte.video.audio_codecs import COPY, limited_players, ways_to_store
from livematte.video.clock_repair import ClockRepair, can_seek
from livematte.video.container import is_cover, open_container, video_stream
from livematte.video.hidden_sound import HiddenSound, add_delayed, hidden_sound
from livematte.video.notes import add_note
from livematte.video.read_check import ReadCheck
from livematte.video.sound_layouts import named_layout, use_named_layout
from livematte.video.tags import content_tags, has_coordinates, is_location
from livematte.video.timestamps import container_start_time
from livematte.video.transcode import (
    AudioTranscoder,
    HeaderOnly,
    StreamCopier,
    StreamWriter,
    SubtitleTranscoder,
)
from livematte.video.trial_mux import Make, TrialMuxer

if TYPE_CHECKING:
    from av.container.core import Chapter

_QUICKTIME = {"deu": "ger", "fre": "fra", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice",
              "zho": "chi", "sqi": "alb", "rum": "ron", "cze": "ces", "slo": "slk"}  # fmt: skip
"""Language codes that FFmpeg's QuickTime table uses instead of the ISO 639-2 ones."""


_EMPTY_SUBTITLE = b"\0\0"
"""The empty subtitle that MP4 stores between two subtitles. The muxer writes its own."""


class PassthroughStreams:
    """Reads the source a second time and muxes its packets in step with the video.

    Audio is copied bit-exactly with shifted times. Streams that the container does not take, when
    tried, are transcoded (audio: see :mod:`livematte.video.audio_codecs`; text to the container's subtitle
    format) or dropped, with a line in ``notes``.

    Args:
        source: the file to read; the video stream that the reader selects is skipped.
        output: the output container before its header is written; streams are added to it.
        muxer: name of its muxer.
        options: its options, with which streams are tried.
        end: seconds from the start of the source at which copying stops; None copies everything.
        keep_location: copy tags that say where the video was recorded, too.
        trimmed: the beginning of the source is left out.

    Attributes:
        failure: why the source could not be read to its end; what was read until there is written.
    """

    def __init__(
        self,
        source: str | Path,
        output: OutputContainer,
        muxer: str,
        options: dict[str, str],
        end: float | Fraction | None,
        keep_location: bool = False,
        *,
        trimmed: bool = False,
    ) -> None:
        self.notes: list[str] = []
        self._keep_location, self._locations_dropped = keep_location, False
        self.failure: InputError | None = None
        self._input, self._check_read = open_container(source), ReadCheck(source)
        self._output, self._muxer = output, muxer
        self._begin: Fraction | None = None
        self._end = (
            None
            if end is None
            else container_start_time(self._input) + Fraction(end).limit_denominator(10**6)
        )
        self._shift = Fraction(0)
        video = video_stream(self._input, source)
        self.video_metadata, self.video_disposition = self._tags(video.metadata), video.disposition
        self.metadata = self._tags(self._input.metadata)
        self._writers: dict[int, StreamWriter] = {}
        self._hidden: dict[int, HiddenSound] = {}
        self._matroska, self._trimmed = muxer in ("matroska", "webm"), trimmed
        self._path, self._clock = source, ClockRepair(self._input, video)
        self._trial = TrialMuxer(source, video.index, muxer, options)
        try:
            for stream in self._input.streams:
                writer = None if stream.index == video.index else self._add_stream(stream)
                if isinstance(writer, HeaderOnly) or (writer is None and stream not in self._clock.streams):
                    stream.discard = Discard.all
                elif writer is not None:
                    self._writers[stream.index] = writer
        finally:
            self._trial.close()
        if self._locations_dropped:
            self.notes.append("the place of recording is left out; --keep-location keeps it")
        self._origin = container_start_time(self._input)
        self._packets: Iterator[Packet[Stream]] = iter(())
        self._next: Packet[Stream] | None = None
        self._subtitles: list[Packet[Stream]] = []

    def _tags(self, metadata: dict[str, str]) -> dict[str, str]:
        """Return the tags to copy."""
        tags = content_tags(metadata)
        if self._keep_location:
            return tags
        kept = {key: value for key, value in tags.items() if not is_location(key)}
        self._locations_dropped |= len(kept) < len(tags)
        return kept

    @property
    def copies_cover(self) -> bool:
        """True if a cover picture is copied as a stream."""
        return any(self._input.streams[index].type == "video" for index in self._writers)

    def start(self, shift: Fraction, *, trimmed: bool) -> None:
        """Start copying, with ``shift`` seconds subtracted from all times.

        ``trimmed`` drops everything earlier. Called before the first packet is muxed.
        """
        self._shift = shift
        self._begin = shift if trimmed else None
        self._output.set_chapters(self._chapters())
        if not self._writers:
            return
        if self._begin is not None and can_seek(self._input, self._path):
            # If seeking fails, read from the start; earlier packets are skipped anyway.
            with contextlib.suppress(av.error.FFmpegError):
                self._input.seek(max(0, int((self._begin - 1) * 1_000_000)))
        needed = self._writers.keys() | {stream.index for stream in self._clock.streams}
        read = self._input.demux(*[self._input.streams[index] for index in sorted(needed)])
        self._packets = self._clock.follow(self._check_read.follow(read))
        self._advance()
        while self._next is not None and self._is_hidden(self._next):
            self._advance()

    def mux_until(self, seconds: Fraction | None) -> None:
        """Mux all packets that are due up to ``seconds`` on the output clock; None muxes all the rest."""
        while self._next is not None:
            packet = self._next
            stamp = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and stamp is not None and stamp * packet.time_base - self._shift > seconds:
                return
            if self._hides_place([packet], packet.stream):
                add_note(
                    self.notes,
                    "subtitles with the place of recording are left out; --keep-location keeps them",
                )
            elif self._is_in_range(packet) and not self._is_hidden(packet):
                if self._muxer in ("mp4", "mov") and packet.stream.type == "subtitle":
                    if bytes(packet) != _EMPTY_SUBTITLE:
                        self._subtitles.append(packet)
                else:
                    self._writers[packet.stream_index].write(packet, self._shift)
            self._advance()
        if seconds is None:
            self.mux_subtitles()
            for index, writer in self._writers.items():
                writer.flush()
                if writer.moved:
                    self.notes.append(
                        f"{self._input.streams[index].type} stream {index}: some timestamps were not rising: "
                        "they were moved after the previous packet"
                    )
                if isinstance(writer, AudioTranscoder) and writer.undecoded:
                    lost = "all its packets" if writer.is_empty else f"{writer.undecoded} of its packets"
                    self.notes.append(f"audio stream {index}: {lost} could not be decoded: silence")

    def mux_subtitles(self) -> None:
        """Mux the subtitles that were held back. Only subtitles may follow.

        FFmpeg 8 writes wrong times for subtitles, or crashes, if an MP4 fragment boundary separates them.
        Subtitles are small, so all of them go to the last fragment.
        """
        for packet in self._subtitles:
            self._writers[packet.stream_index].write(packet, self._shift)
        self._subtitles.clear()

    def close(self) -> None:
        """Release the source."""
        self._packets, self._next = iter(()), None
        self._input.close()

    def _advance(self) -> None:
        early = False
        try:
            found = (each for each in self._packets if each.size and each.stream_index in self._writers)
            self._next = next(found, None)
        except (av.error.FFmpegError, OSError) as error:
            early = True
            self.notes.append(f"audio and subtitles end early: {getattr(error, 'strerror', None) or error}")
            self._next = None
        if self._next is not None:
            return
        self._packets = iter(())
        try:
            self._check_read(early=early)
        except InputError as error:
            self.failure = self.failure or error

    def _is_hidden(self, packet: Packet[Stream]) -> bool:
        """Return True for sound that an edit list hides and no decoder needs.

        MP4 and MOV hide what is before 0 in their turn, Matroska what :class:`HiddenSound` says.
        """
        copies = isinstance(self._writers[packet.stream_index], StreamCopier)
        if not copies or packet.stream.type != "audio" or packet.pts is None or not packet.is_discard:
            return False  # a decoder leaves it out itself
        if (hidden := self._hidden.get(packet.stream_index)) is not None:
            return packet.pts < hidden.first or packet.pts * packet.time_base >= self._origin
        return self._origin <= packet.pts * packet.time_base

    def _hides_place(self, packets: Iterable[Packet[Stream]], stream: Stream) -> bool:
        """Return True for subtitles that say where the video was recorded, if that is to be left out."""
        if self._keep_location or not isinstance(stream, SubtitleStream):
            return False
        return any(has_coordinates(bytes(packet)) for packet in packets)

    def _is_in_range(self, packet: Packet[Stream]) -> bool:
        if packet.pts is None or is_cover(packet.stream):
            return True
        begins = packet.pts * packet.time_base
        ends = begins + (packet.duration or 0) * packet.time_base
        if self._end is not None and begins >= self._end:
            return False
        # A subtitle that is visible at the cut is kept; audio starts with its first complete packet.
        if isinstance(packet.stream, SubtitleStream):
            return self._begin is None or ends > self._begin
        # Of a copy in Matroska, as much is hidden as at the beginning of the source.
        hidden = self._hidden.get(packet.stream_index) if self._begin is not None else None
        lead = Fraction(0) if hidden is None else hidden.seconds
        return self._begin is None or begins >= self._begin - lead

    def _add_stream(self, stream: Stream) -> StreamWriter | None:
        """Add a stream in the first way that the container accepts. Add a note if that is not a copy."""
        label = f"{stream.type} stream {stream.index}"
        codec_context = getattr(stream, "codec_context", None)
        if isinstance(stream, AttachmentStream):
            label = f"attachment {stream.name!r}"
        elif isinstance(stream, DataStream):
            # FFmpeg discards a chapter track; chapters and timecode are written from tags.
            chapters = stream.discard == Discard.all and bool(self._input.chapters())
            if not chapters and "timecode" not in stream.metadata:
                named = None if stream.name == "bin_data" else stream.name
                what = named or stream.metadata.get("handler_name") or "of an unknown kind"
                self.notes.append(
                    f"{label} ({what}) dropped: only audio, subtitles, attachments and covers are copied"
                )
            return None
        elif codec_context is None:
            self.notes.append(f"{label} dropped: FFmpeg does not support its codec")
            return None
        elif stream.type == "video" and not is_cover(stream):
            self.notes.append(f"{label} dropped: only the main video stream is rendered")
            return None
        elif stream.type == "video":
            label = f"cover picture {stream.index}"
        elif self._hides_place(self._trial.packets(stream.index), stream):
            self.notes.append(f"{label} dropped: it holds the place of recording; --keep-location keeps it")
            return None
        codec = "" if codec_context is None else codec_context.codec.canonical_name
        for way in self._ways(stream, codec):
            if self._trial.accepts(stream.index, way):
                writer = way(self._output, stream)
                break
        else:
            what = label if not codec else f"{label} ({codec})"
            self.notes.append(f"{what} dropped: {self._muxer} cannot store it")
            return None
        if lost := self._trial.lost_roles.get(stream.index):
            self.notes.append(f"{label}: {self._muxer} does not store that it is {_role_names(lost)}")
        if isinstance(writer, StreamCopier) and isinstance(stream, AudioStream):
            self.notes += self._notes_of_copy(label, codec, stream)
        if isinstance(writer, AudioTranscoder | SubtitleTranscoder):
            self.notes.append(_transcoding_note(label, codec, stream, writer, self._muxer))
        return writer

    def _notes_of_copy(self, label: str, codec: str, stream: AudioStream) -> Iterator[str]:
        if players := limited_players(codec, self._muxer):
            yield f"{label} ({codec}) copied: {players} may not play {codec} in {self._muxer}"
        if stored := self._trial.changed_layouts.get(stream.index):
            what = f"{named_layout(stream)} becomes {stored}"
            yield f"{label} ({codec}) copied: {what}, {self._muxer} stores no channel layout for {codec}"

    def _ways(self, stream: Stream, codec: str) -> list[Make]:
        """Return the ways to store a stream, the best one first."""
        if isinstance(stream, AttachmentStream):
            return [attach]
        if isinstance(stream, AudioStream):
            ways = ways_to_store(codec, self._muxer)
            if self._matroska and codec.startswith("pcm_") and self._order(stream) is not None:
                ways = ("flac", "opus")  # Matroska stores no order for PCM
            return [self._copy if way == COPY else partial(self._transcode_audio, codec=way) for way in ways]
        if isinstance(stream, SubtitleStream):
            return [self._copy, self._transcode_subtitle]
        return [partial(attach_cover, data=self._trial.first_packet(stream.index)), self._copy]

    def _copy(self, output: OutputContainer, stream: Stream) -> StreamWriter:
        if isinstance(stream, AudioStream) and stream.layout.name != (layout := named_layout(stream)):
            stream.codec_context.layout = layout
        copied: Stream | None = None
        if isinstance(stream, AudioStream) and self._matroska:
            hidden = hidden_sound(self._path, stream)
            has_delay = "matroska" in self._input.format.name  # its parameters say what is hidden
            if hidden is not None and (has_delay or not self._trimmed):
                self._hidden[stream.index] = hidden
                copied = None if has_delay else add_delayed(output, stream, hidden.seconds)
        copied = copied or output.add_stream_from_template(stream, opaque=True)
        self._copy_tags(copied, stream)
        # Broadcast AAC repeats its configuration in every packet (ADTS); other containers store it once.
        context = stream.codec_context
        strip = context.codec.canonical_name == "aac" and not context.extradata
        return StreamCopier(
            output, copied, BitStreamFilterContext("aac_adtstoasc", stream) if strip else None
        )

    def _transcode_audio(self, output: OutputContainer, stream: Stream, codec: str) -> StreamWriter:
        assert isinstance(stream, AudioStream)
        writer = AudioTranscoder(output, stream, codec, self._order(stream))
        self._copy_tags(writer.stream, stream)
        return writer

    def _order(self, stream: AudioStream) -> tuple[str, ...] | None:
        """Return the channels of a track as they are stored, if that is not the order of their layout."""
        with open_container(self._path, named_layouts=False) as raw:
            return next(use_named_layout(each) for each in raw.streams.audio if each.index == stream.index)

    def _transcode_subtitle(self, output: OutputContainer, stream: Stream) -> StreamWriter:
        assert isinstance(stream, SubtitleStream)
        writer = SubtitleTranscoder.create(output, stream, self._muxer)
        if writer is None:
            raise ValueError("picture subtitles cannot become text")
        self._copy_tags(writer.stream, stream)
        return writer

    def _copy_tags(self, copied: Stream, stream: Stream) -> None:
        copied.metadata.update(self._tags(stream.metadata))
        if self._muxer == "mov" and (language := copied.metadata.get("language")) in _QUICKTIME:
            copied.metadata["language"] = _QUICKTIME[language]
        copied.disposition = stream.disposition

    def _chapters(self) -> list[Chapter]:
        chapters = []
        for chapter in self._input.chapters():
            base = chapter["time_base"] or Fraction(1, 1000)
            begin, end = chapter["start"] * base, chapter["end"] * base
            if (self._begin is not None and end <= self._begin) or (
                self._end is not None and begin >= self._end
            ):
                continue
            begin = max(begin, self._begin if self._begin is not None else begin)
            end = min(end, self._end if self._end is not None else end)
            moved = (round((begin - self._shift) / base), round((end - self._shift) / base))
            chapters.append(chapter | {"start": moved[0], "end": moved[1], "time_base": base})
        return chapters


def _role_names(roles: Disposition) -> str:
    return ", ".join(str(role.name).replace("_", " ") for role in Disposition if role in roles)


def _transcoding_note(
    label: str, codec: str, stream: Stream, writer: AudioTranscoder | SubtitleTranscoder, muxer: str
) -> str:
    changes = []
    if isinstance(writer, AudioTranscoder) and isinstance(stream, AudioStream):
        settings = writer.settings
        if settings.rate != stream.rate:
            changes.append(f"{stream.rate} Hz becomes {settings.rate} Hz")
        if settings.layout != named_layout(stream):
            changes.append(f"{stream.layout.name} becomes {settings.layout}")
        if writer.codec == "flac":
            changes.append(f"{muxer} stores no order of channels for {codec}")
        elif COPY not in ways_to_store(codec, muxer):
            changes.append(f"most players do not read {codec} in {muxer}")
        else:
            changes.append(f"{muxer} cannot store {codec}")
    else:
        changes.append(f"{muxer} cannot store {codec}")
    return f"{label} re-encoded from {codec} to {writer.codec}: {', '.join(changes)}"
