"""Copy or transcode one stream of a container to another container."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol, cast

import av.error
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container.output import OutputContainer
from av.filter.graph import Graph
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream

from livematte.video.audio_codecs import choose_audio_settings, configure
from livematte.video.sound_layouts import named_layout

TEXT_SUBTITLE_CODECS = {"subrip", "ass", "ssa", "mov_text", "webvtt", "text", "microdvd", "mpl2", "sami",
               "realtext", "stl"}  # fmt: skip
SUBTITLE_CODEC_BY_MUXER = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}


_JITTER = Fraction(1, 50)
"""Seconds by which the time of decoded sound may differ from the end of the sound before it."""


class StreamWriter(Protocol):
    """Accepts packets of a source stream and muxes the result.

    Attributes:
        moved: True if times that did not rise were moved after the previous ones.
    """

    moved: bool

    def write(self, packet: Packet[Stream], shift: Fraction) -> None:
        """Write the next packet, in source times; ``shift`` seconds are subtracted."""

    def flush(self) -> None:
        """Finish the stream after the last packet."""


def shift_packet(packet: Packet[Stream], shift: Fraction) -> Packet[Stream]:
    """Subtract ``shift`` seconds from the times of ``packet``, rounded to ticks. Return the packet."""
    ticks = round(shift / packet.time_base)
    if ticks:
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.dts = None if packet.dts is None else packet.dts - ticks
    return packet


class HeaderOnly:
    """A stream that the header holds whole, such as an attachment: there are no packets to write."""

    moved = False

    def write(self, packet: Packet[Stream], shift: Fraction) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""


class StreamCopier:
    """Copies packets bit-exactly."""

    def __init__(
        self, output: OutputContainer, stream: Stream, strip: BitStreamFilterContext | None = None
    ) -> None:
        self._output, self._stream, self._strip = output, stream, strip
        self._last: int | None = None
        self._next = 0
        self.moved = False

    def write(self, packet: Packet[Stream], shift: Fraction) -> None:
        """Mux the packet. A subtitle that starts before the cut is shortened to start at the cut."""
        try:
            packets = self._strip.filter(packet) if self._strip else [packet]
        except av.error.FFmpegError:
            return  # a broken packet
        for each in packets:
            self._mux(shift_packet(each, shift))

    def _mux(self, packet: Packet[Stream]) -> None:
        if isinstance(self._stream, SubtitleStream) and packet.pts is not None and packet.pts < 0:
            packet.duration = max(0, (packet.duration or 0) + packet.pts)
            packet.pts = packet.dts = 0
        self._keep_rising(packet)
        packet.stream = self._stream
        self._output.mux(packet)

    def _keep_rising(self, packet: Packet[Stream]) -> None:
        """Move a packet after the previous one if it is earlier: muxers refuse it. Subtitles may coincide."""
        if packet.dts is None:
            return
        together = isinstance(self._stream, SubtitleStream)
        if self._last is not None and (
            packet.dts < self._last or (packet.dts == self._last and not together)
        ):
            later = (self._last + 1 if together else self._next) - packet.dts
            packet.dts += later
            packet.pts = None if packet.pts is None else packet.pts + later
            self.moved = True
        self._last, self._next = packet.dts, packet.dts + max(1, packet.duration or 0)

    def flush(self) -> None:
        """Do nothing: no packets are buffered."""


class AudioTranscoder:
    """Transcodes audio: lossless to ALAC, or to AAC or Opus at a transparent bit rate.

    Args:
        order: the channels as they are stored, if that is not the order of their layout.

    Raises:
        ValueError: the encoder accepts no settings near those of the source.
    """

    def __init__(
        self, output: OutputContainer, source: AudioStream, codec: str, order: tuple[str, ...] | None = None
    ) -> None:
        self.settings = settings = choose_audio_settings(codec, source)
        self.codec = codec
        self._output, self._source = output, source
        stream = output.add_stream(settings.encoder, rate=settings.rate)
        assert isinstance(stream, AudioStream)
        self.stream = stream
        context = self.stream.codec_context
        assert isinstance(context, AudioCodecContext)
        configure(context, settings)
        context.time_base = Fraction(1, settings.rate)
        context.open()
        if source.layout.name != named_layout(source):
            source.codec_context.layout = named_layout(
                source
            )  # the resampler must know which channel is which
        self._context = context
        self._order, self._sorting = order, Graph()
        self._form: tuple[object, ...] | None = None
        self._end: Fraction | None = None
        self.moved = False
        self.undecoded = 0
        """Number of packets that could not be decoded."""
        self._resampler = self._new_resampler()

    def _new_resampler(self) -> AudioResampler:
        settings = self.settings
        return AudioResampler(
            settings.format, settings.layout, settings.rate, self._context.frame_size or None
        )

    def write(self, packet: Packet[Stream], shift: Fraction) -> None:
        """Decode, resample if needed, encode and mux. A broken packet becomes a short silence."""
        try:
            frames = self._source.codec_context.decode(packet)
        except (av.error.FFmpegError, ValueError):  # some decoders return error codes of their own
            self.undecoded += 1
            return
        for frame in frames:
            self._set_time(frame, shift)
            if self._order is not None:
                frame = self._sorted(frame, self._order)
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if self._form not in (None, form):  # a broadcast changes from stereo to 5.1
                self._encode(self._resampler.resample(None))
                self._resampler = self._new_resampler()
            self._form = form
            self._encode(self._resampler.resample(frame))

    def _sorted(self, frame: AudioFrame, order: tuple[str, ...]) -> AudioFrame:
        """Return a frame with the channels in the order of its layout."""
        layout = frame.layout.name
        if not self._sorting.configured:
            rate, base = frame.sample_rate, frame.time_base
            source = self._sorting.add_abuffer(
                sample_rate=rate, format=frame.format.name, layout=layout, time_base=base
            )
            places = "|".join(f"{channel}=c{number}" for number, channel in enumerate(order))
            pan, sink = self._sorting.add("pan", f"{layout}|{places}"), self._sorting.add("abuffersink")
            source.link_to(pan)
            pan.link_to(sink)
            self._sorting.configure()
        self._sorting.push(frame)
        return cast(AudioFrame, self._sorting.pull())

    def _set_time(self, frame: AudioFrame, shift: Fraction) -> None:
        """Set the time of a frame to the end of the previous one, unless it is clearly later.

        Times are rounded, in Matroska to 1 ms, and a frame of TrueHD is shorter than that.
        """
        if frame.pts is None or not frame.time_base:
            return
        time = frame.pts * frame.time_base - shift
        if self._end is not None and time < self._end + _JITTER:
            self.moved |= time < self._end - _JITTER
            time = self._end
        frame.time_base = Fraction(1, frame.sample_rate)
        frame.pts = round(time / frame.time_base)
        self._end = time + frame.samples * frame.time_base

    def _encode(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            self._output.mux(self.stream.encode(frame))

    @property
    def is_empty(self) -> bool:
        """True if no packet could be decoded: the track has no sound."""
        return self._form is None and self.undecoded > 0

    def flush(self) -> None:
        """Encode and mux the buffered samples."""
        if self._form is not None:
            self._encode(self._resampler.resample(None))
        self._output.mux(self.stream.encode(None))


class SubtitleTranscoder:
    """Transcodes text subtitles to the container's format. Styles are kept as far as it supports them."""

    def __init__(self, output: OutputContainer, source: SubtitleStream, codec: str) -> None:
        self.codec = codec
        self._output, self._source = output, source
        self._last = 0
        self.moved = False
        source.codec_context.open(strict=False)
        self.stream = output.add_stream(codec)
        self.stream.time_base = Fraction(1, 1000)
        context = self.stream.codec_context
        assert isinstance(context, SubtitleCodecContext)
        self._context = context
        context.time_base = Fraction(1, 1000)
        context.subtitle_header = source.codec_context.subtitle_header

    @classmethod
    def create(cls, output: OutputContainer, source: SubtitleStream, muxer: str) -> SubtitleTranscoder | None:
        """Return a transcoder for text subtitles, or None for picture subtitles."""
        if source.codec_context.codec.canonical_name not in TEXT_SUBTITLE_CODECS:
            return None
        return cls(output, source, SUBTITLE_CODEC_BY_MUXER[muxer])

    def write(self, packet: Packet[Stream], shift: Fraction) -> None:
        """Transcode and mux one subtitle with its time and duration."""
        pts, length, base = packet.pts, packet.duration or 0, packet.time_base
        try:
            text = self._source.codec_context.decode2(packet)
        except av.error.FFmpegError:
            return
        if text is None or not len(text) or pts is None:
            return
        encoded = self._context.encode_subtitle(text)
        begin = pts * base - shift
        end = begin + length * base
        begin = max(begin, Fraction(0))
        if begin < Fraction(self._last, 1000):
            begin, end = Fraction(self._last, 1000), Fraction(self._last, 1000) + length * base
            self.moved = True
        encoded.time_base = Fraction(1, 1000)
        encoded.pts = encoded.dts = self._last = round(begin * 1000)
        encoded.duration = max(0, round((end - begin) * 1000))
        encoded.stream = self.stream
        self._output.mux(encoded)

    def flush(self) -> None:
        """Do nothing: no packets are buffered."""
