"""Everything of a file but its picture: sound, subtitles, chapters, attachments and tags, taken along."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av.error
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, DataStream, Discard, Disposition, Stream
from av.subtitles.stream import SubtitleStream

from livematte.video.opening import open_container, video_stream
from livematte.video.recode import Copy, RecodedAudio, RecodedText, Recoder
from livematte.video.timing import origin_of

if TYPE_CHECKING:
    from av.container.core import Chapter

_STALE = ("encoder", "major_brand", "minor_version", "compatible_brands", "rotate", "vendor_id", "duration",
          "bps", "number_of_frames", "number_of_bytes", "alpha_mode")  # fmt: skip
"""Tags that describe the old file's making, not its content."""


_QUICKTIME = {"deu": "ger", "fre": "fra", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice",
              "zho": "chi", "sqi": "alb", "rum": "ron", "cze": "ces", "slo": "slk"}  # fmt: skip
"""FFmpeg's table of QuickTime's languages has these three letters for them."""


_GAP = b"\0\0"
"""An MP4's empty subtitle between two others; the muxer writes its own."""


def lasting(metadata: dict[str, str]) -> dict[str, str]:
    """The tags that are still true of the new file."""
    return {
        key: value for key, value in metadata.items()
        if key.lower().split("-")[0] not in _STALE and not key.startswith("_")
    }  # fmt: skip


class CopiedStreams:
    """A second reading of the source beside the picture's; packets are muxed as the picture advances.

    Sound is copied bit by bit, its times shifted with the picture's and otherwise unchanged. Only what the
    container cannot hold is re-encoded (sound to AAC or Opus, text to the container's kind) or left out, and
    ``notes`` says so.

    Args:
        source: the file to read; its video stream, as the reader would choose it, is left out.
        output: not yet begun; streams are added to it.
        muxer: its name.
        end: seconds from the beginning of the source after which nothing is taken; None is all.
    """

    def __init__(self, source: str | Path, output: OutputContainer, muxer: str, end: float | None) -> None:
        self.notes: list[str] = []
        self._input = open_container(source)
        self._output, self._muxer = output, muxer
        self._begin: Fraction | None = None
        self._end = None if end is None else origin_of(self._input) + Fraction(end).limit_denominator(10**6)
        self._shift = Fraction(0)
        video = video_stream(self._input, source)
        self.video_metadata = lasting(video.metadata)
        self.metadata = lasting(self._input.metadata)
        self._ways: dict[int, Recoder] = {}
        for stream in self._input.streams:
            way = None if stream.index == video.index else self._way(stream)
            if way is None:
                stream.discard = Discard.all
            else:
                self._ways[stream.index] = way
        self._packets: Iterator[Packet[Stream]] = iter(())
        self._next: Packet[Stream] | None = None
        self._late: list[Packet[Stream]] = []

    def start(self, shift: Fraction, *, trimmed: bool) -> None:
        """Begin, with ``shift`` seconds taken off every time; ``trimmed`` leaves out what is earlier.

        Called before the first packet is muxed.
        """
        self._shift = shift
        self._begin = shift if trimmed else None
        self._output.set_chapters(self._chapters())
        if not self._ways:
            return
        if self._begin is not None:
            # Where seeking fails it is read from the beginning; earlier packets are left out anyway.
            with contextlib.suppress(av.error.FFmpegError):
                self._input.seek(max(0, int((self._begin - 1) * 1_000_000)))
        self._packets = self._input.demux(*[self._input.streams[index] for index in self._ways])
        self._advance()
        ahead = self._next
        if self._muxer in ("matroska", "webm") and ahead is not None and ahead.pts is not None:
            early = shift - ahead.pts * ahead.time_base
            # Opus says its lead-in, and so does whatever comes from Matroska.
            told_already = (
                "matroska" in self._input.format.name
                or (isinstance(self._ways[ahead.stream.index], RecodedAudio) and self._muxer == "webm")
                or (ahead.stream.type == "audio" and ahead.stream.codec_context.name in ("opus", "libopus"))
            )
            if early > 0 and self._begin is None and not told_already:
                # MP4 hides an encoder's lead-in by an edit list; Matroska has none and no negative times.
                told = f"all times are {round(early * 1000)} ms later: Matroska plays the sound's lead-in"
                self.notes.append(told)

    def mux_until(self, seconds: Fraction | None) -> None:
        """Mux all that is due up to ``seconds`` on the output's clock; None is all that is left."""
        while self._next is not None:
            packet = self._next
            stamp = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and stamp is not None and stamp * packet.time_base - self._shift > seconds:
                return
            if self._kept(packet):
                if self._muxer in ("mp4", "mov") and packet.stream.type == "subtitle":
                    if bytes(packet) != _GAP:
                        self._late.append(packet)
                else:
                    self._ways[packet.stream_index].take(packet, self._shift)
            self._advance()
        if seconds is None:
            self.mux_text()
            for way in self._ways.values():
                way.finish()

    def mux_text(self) -> None:
        """Mux the subtitles that were held back; nothing but these may follow.

        FFmpeg 8 gives text wrong times, or ends the process, where an MP4's pieces divide it.
        A few bytes a line, it all goes into the last piece.
        """
        for packet in self._late:
            self._ways[packet.stream_index].take(packet, self._shift)
        self._late.clear()

    def close(self) -> None:
        """Let go of the source."""
        self._packets, self._next = iter(()), None
        self._input.close()

    def _advance(self) -> None:
        try:
            self._next = next((packet for packet in self._packets if packet.size), None)
        except (av.error.FFmpegError, OSError) as error:
            self.notes.append(f"sound and subtitles break off: {getattr(error, 'strerror', None) or error}")
            self._next = None

    def _kept(self, packet: Packet[Stream]) -> bool:
        if packet.pts is None or packet.stream.disposition & Disposition.attached_pic:
            return True
        begins = packet.pts * packet.time_base
        ends = begins + (packet.duration or 0) * packet.time_base
        if self._end is not None and begins >= self._end:
            return False
        # Text that is still to be read at the cut stays; sound begins with its first whole packet.
        if isinstance(packet.stream, SubtitleStream):
            return self._begin is None or ends > self._begin
        return self._begin is None or begins >= self._begin

    def _way(self, stream: Stream) -> Recoder | None:
        label = f"{stream.type} stream {stream.index}"
        if isinstance(stream, AttachmentStream):
            if self._muxer == "matroska":
                self._output.add_stream_from_template(stream)
            else:
                self.notes.append(f"attachment {stream.name!r} left out: {self._muxer} has no attachments")
            return None
        if isinstance(stream, DataStream):
            if stream.name not in ("bin_data", None):  # a chapter track, written anew from the chapters
                self.notes.append(
                    f"{label} ({stream.name}) left out: only sound, text and pictures are taken along"
                )
            return None
        if getattr(stream, "codec_context", None) is None:
            self.notes.append(f"{label} left out: FFmpeg does not know its codec")
            return None
        cover = bool(stream.disposition & Disposition.attached_pic)
        if stream.type == "video" and not cover:
            self.notes.append(f"{label} left out: only the main picture is rendered")
            return None
        codec = stream.codec_context.codec.canonical_name
        try:
            copied = self._output.add_stream_from_template(stream, opaque=True)
        except ValueError:
            return self._recoded(stream, label, codec)
        self._label(copied, stream)
        # Sound of broadcasts carries its settings in every packet; other containers want them once.
        strip = codec == "aac" and not stream.codec_context.extradata
        return Copy(self._output, copied, BitStreamFilterContext("aac_adtstoasc", stream) if strip else None)

    def _recoded(self, stream: Stream, label: str, codec: str) -> Recoder | None:
        way: RecodedAudio | RecodedText | None = None
        if isinstance(stream, AudioStream):
            way = RecodedAudio(self._output, stream, self._muxer)
        elif isinstance(stream, SubtitleStream):
            way = RecodedText.if_text(self._output, stream, self._muxer)
        if way is None:
            self.notes.append(f"{label} ({codec}) left out: {self._muxer} cannot hold it")
            return None
        self.notes.append(
            f"{label} re-encoded from {codec} to {way.codec}: {self._muxer} cannot hold {codec}"
        )
        self._label(way.stream, stream)
        return way

    def _label(self, copied: Stream, stream: Stream) -> None:
        copied.metadata.update(lasting(stream.metadata))
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
