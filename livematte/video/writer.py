"""A video file as a Sink: frames encoded, all else of the source taken along, safe against a cut."""

from __future__ import annotations

import contextlib
import math
import os
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

import av
import av.error
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.errors import OutputError, UsageError
from livematte.frame import Frame
from livematte.kernels.copies import OnCpu
from livematte.protocols import SourceInfo
from livematte.video.encoders import (
    ALPHA_ADVICE,
    CONTAINERS,
    ENCODERS,
    choose_encoder,
    encoder_options,
    stored_as,
)  # fmt: skip
from livematte.video.grey import grey_of
from livematte.video.images import STILLS, ImageSequenceSink, write_image
from livematte.video.landing import Landing, explain
from livematte.video.light import carry_light
from livematte.video.opening import PATTERN
from livematte.video.pixels import Converter, to_video_frame
from livematte.video.streams import CopiedStreams
from livematte.video.surfaces import CONTEXT_FORMAT, Surfaces, surfaces_for

__all__ = ["FileSink", "open_sink", "playable_frames", "write_image"]

Kind = Literal["picture", "alpha", "foreground"]
S = TypeVar("S", bound="FileSink")

_FRAGMENTS = {"movflags": "hybrid_fragmented+delay_moov+frag_keyframe"}
"""MP4 and MOV in pieces that play if the file is cut short; at the end it becomes an ordinary file.

A piece is from key frame to key frame: pieces cut by time (frag_duration) gave some sound packets of a stream
that begins late the time of their neighbour, and min_frag_duration ended the process (FFmpeg 8.1.2).
"""

_KEY_FRAMES = 2
"""Seconds between key frames at most: what a killed render loses, and how finely the file can be sought."""

_INTERLEAVE = {"max_interleave_delta": "2000000"}
"""Microseconds a sparse stream (subtitles) may hold the others back from the disk; FFmpeg's own are 10 s."""

_COMMON_TAGS = {"title", "artist", "album_artist", "composer", "album", "date", "comment", "genre",
                "copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id",
                "network", "keywords", "creation_time", "make", "model", "location", "track", "encoder",
                "timecode"}  # fmt: skip


def open_sink(
    path: str | Path, info: SourceInfo, *, kind: Kind = "picture", alpha: bool = False,
    codec: str | None = None, crf: int | None = None, preset: str | None = None,
    copy_streams_from: str | Path | None = None, start: float | None = None,
    end: float | None = None, threads: int = 0, gpu: int | None = None, card: int | None = None,
) -> FileSink | ImageSequenceSink:  # fmt: skip
    """Open a file to write frames to.

    Args:
        path: ``.mp4``, ``.m4v``, ``.mov``, ``.mkv``, ``.webm``; ``frames/%06d.png``, or ``frames/`` with its
            slash, for a folder of PNG.
        info: of the frames that will be written: size, format, time base, rate, colour.
        kind: 'picture' and 'foreground' write the frames' colours; 'alpha' writes their alpha plane (their
            luma where they have none) as a grey video in limited range: any editor shows 0 black and 1 white.
        alpha: carry straight alpha along; the frames have an alpha plane (yuva…, gbrap…).
        codec, crf, preset: see encoders.ENCODERS; by default x264 ``veryfast`` crf 18, WebM VP9, alpha
            ProRes 4444 (.mov), VP9 (.webm), FFV1 (.mkv).
        copy_streams_from: the source whose sound, subtitles, chapters, attachments and tags come along.
        start, end: as the reader was given: the times of picture and sound then begin at 0.
        threads: of the encoder; 0 leaves it to the encoder.
        gpu: the NVIDIA GPU that frames are worked on by: its own encoder takes them from there where it can;
            see :attr:`FileSink.takes_gpu_frames`.
        card: the NVIDIA GPU that encodes, where one does; by default ``gpu``, or the first that can.

    Raises:
        UsageError: a file type, codec, crf, preset or combination that cannot be; the target is the source.
        OutputError: the folder is missing or not writable, the target a directory, the encoder missing.
    """
    given, path = os.fspath(path), Path(path)
    if given.endswith(("/", os.sep)) or PATTERN.search(path.name):
        pattern = path if PATTERN.search(path.name) else path / "%06d.png"
        return ImageSequenceSink(pattern, info, alpha=alpha, grey=kind == "alpha")
    return open_file(
        FileSink, path, info, kind=kind, alpha=alpha, codec=codec, crf=crf, preset=preset,
        copy_streams_from=copy_streams_from, start=start, end=end, threads=threads, gpu=gpu, card=card,
    )  # fmt: skip


def open_file(
    make: type[S], path: Path, info: SourceInfo, *, kind: Kind, alpha: bool, codec: str | None,
    crf: int | None, preset: str | None, copy_streams_from: str | Path | None, start: float | None,
    end: float | None, threads: int, gpu: int | None = None, card: int | None = None,
) -> S:  # fmt: skip
    """A video file of a kind of sink. As :func:`open_sink`."""
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS and not path.is_dir():
        known = ", ".join(CONTAINERS)
        if suffix in STILLS:
            raise UsageError(
                f"{path} is one picture: write a video ({known}) or numbered pictures (name%06d.png)"
            )
        extra = f"; for transparency {ALPHA_ADVICE}" if suffix == ".gif" else ""
        raise UsageError(f"{path}: cannot write {suffix or 'a file without extension'}, only {known}{extra}")
    if alpha and kind != "picture":
        raise UsageError(f"a {kind} file carries no alpha of its own")
    if suffix not in CONTAINERS:
        suffix = ".mp4"  # a directory: Landing says so
    name = choose_encoder(codec, CONTAINERS[suffix], alpha=alpha)
    landing = Landing(path, copy_streams_from or info.details.get("path"))
    try:
        return make(
            landing, CONTAINERS[suffix], name, info, kind=kind, alpha=alpha, crf=crf, preset=preset,
            threads=threads, source=copy_streams_from, start=start, end=end, gpu=gpu, card=card,
        )  # fmt: skip
    except BaseException:
        landing.discard()
        raise


class FileSink:
    """One video file in the making (protocols.Sink). Made by :func:`open_sink`.

    Call :meth:`close` after the last frame, or :meth:`abort` when it stops before: then what there is stays
    playable, under the target's name if that was free, else as ``<stem>.partial<ext>``.

    Attributes:
        path: the target.
        notes: one line for each thing that could not be kept as it was, and for what became of a cut file.
        frames: how many were written.
    """

    def __init__(
        self, landing: Landing, muxer: str, encoder: str, info: SourceInfo, *, kind: Kind, alpha: bool,
        crf: int | None, preset: str | None, threads: int, source: str | Path | None,
        start: float | None, end: float | None, gpu: int | None, card: int | None,
    ) -> None:  # fmt: skip
        self.path = landing.path
        self.notes: list[str] = []
        self.frames = 0
        self._landing, self._muxer, self._encoder = landing, muxer, encoder
        self._info, self._kind, self._alpha = info, kind, alpha
        self._time_base, self._trimmed = info.time_base, start is not None
        self._shift, self._last, self._done = 0, -(1 << 62), False
        self._durations: dict[int, int] = {}
        self._converter = Converter()
        self._surfaces: Surfaces | None = None
        self._format, self._color, told = stored_as(encoder, info, grey=kind == "alpha", alpha=alpha)
        self.notes += told
        options = _INTERLEAVE | (_FRAGMENTS if muxer in ("mp4", "mov") else {})
        self._container: OutputContainer | None = av.open(
            landing.file, "w", format=muxer, container_options=options, buffer_size=1 << 17
        )
        chosen = encoder_options(encoder, crf, preset, self._format)
        if kind != "alpha":
            self.notes += carry_light(encoder, chosen, info.details)
        if ENCODERS[encoder].instead:
            if gpu is not None and kind != "alpha":
                self._surfaces = surfaces_for(info, self._format, gpu)
            if (index := gpu if card is None else card) is not None:
                chosen["gpu"] = str(index)
        self._stream = self._open_encoder(chosen, threads)
        self._copied: CopiedStreams | None = None
        if source is not None:
            self._copied = CopiedStreams(source, self._container, muxer, end)
            self._stream.metadata.update(self._copied.video_metadata)
            self._container.metadata.update(self._copied.metadata)
            self.notes += self._copied.notes
        if muxer in ("mp4", "mov"):
            self._container.container_options["movie_timescale"] = str(_timescale(self._container))
        if muxer in ("mp4", "mov") and not _COMMON_TAGS.issuperset(
            key.lower() for key in self._container.metadata
        ):
            self._container.container_options["movflags"] += "+use_metadata_tags"
        if muxer in ("matroska", "webm") and (self._time_base * 1000).denominator != 1:
            self.notes.append("times are rounded to 1 ms: Matroska and WebM keep no finer ones")

    @property
    def takes_gpu_frames(self) -> bool:
        """Whether frames may be on the GPU: an encoder that is a part of it, and their format is its own."""
        return self._surfaces is not None

    def _open_encoder(self, options: dict[str, str], threads: int) -> VideoStream:
        info, color = self._info, self._color
        assert self._container is not None
        try:
            library = ENCODERS[self._encoder].library
            os.environ.setdefault("SVT_LOG", "1")  # errors only: it writes to stderr past FFmpeg's log
            stream = self._container.add_stream(library, rate=info.average_rate or 25, options=options)
            assert isinstance(stream, VideoStream)
            context = stream.codec_context
            context.width, context.height = info.width, info.height
            context.pix_fmt = self._format if self._surfaces is None else CONTEXT_FORMAT
            context.time_base = stream.time_base = self._time_base
            context.sample_aspect_ratio = info.sample_aspect
            context.colorspace = color.matrix_tag
            context.color_primaries, context.color_trc = color.primaries, color.transfer
            context.color_range = 2 if color.full_range else color.range_tag
            context.thread_count = threads
            if ENCODERS[self._encoder].crf is not None:
                context.gop_size = max(12, round(_KEY_FRAMES * (info.average_rate or 25)))
            if ENCODERS[self._encoder].tag and self._muxer in ("mp4", "mov"):
                context.codec_tag = ENCODERS[self._encoder].tag
            if self._alpha and self._encoder == "vp9":
                stream.metadata["alpha_mode"] = "1"
            if self._surfaces is None:  # otherwise the first picture brings what it is opened with
                context.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise self._not_taken(error) from error
        return stream

    def _not_taken(self, error: Exception) -> OutputError:
        what = f"{self._info.width}x{self._info.height} {self._format}"
        reason = getattr(error, "strerror", None) or error
        instead = ENCODERS[self._encoder].instead
        mend = f" (it may be that this GPU or its driver lacks it: --codec {instead} runs anywhere)"
        return OutputError(
            f"{self.path}: {self._encoder} does not take {what}: {reason}{mend if instead else ''}"
        )

    def write(self, frame: Frame) -> None:
        """Encode one frame; its planes are copied.

        Raises:
            OutputError: the disk is full or fails, or the frame is not of the announced size or time base,
                has no alpha where it is written, or does not come after the last one. Then close or abort.
        """
        if self._done:
            raise OutputError(f"{self.path} is already closed")
        if frame.size != (self._info.height, self._info.width):
            told = f"{self._info.width}x{self._info.height}"
            raise OutputError(
                f"{self.path}: a frame of {frame.width}x{frame.height} came, {told} was announced"
            )
        if frame.time_base != self._time_base:
            raise OutputError(
                f"{self.path}: a frame counted in {frame.time_base} s came, {self._time_base} s was announced"
            )
        if frame.pts <= self._last:
            raise OutputError(f"{self.path}: frame times must rise: {frame.pts} came after {self._last}")
        try:
            if self.frames == 0:
                self._begin(frame.pts)
            picture = self._picture(frame)
            picture.pts = frame.pts - self._shift
            self._durations[picture.pts] = frame.duration
            self._last = frame.pts
            self._encode(picture)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if not self._stream.codec_context.is_open:
                raise self._not_taken(error) from error
            raise OutputError(explain(self._landing.file.error or error, self.path, self.frames)) from error
        self.frames += 1

    def _begin(self, first: int) -> None:
        """Times begin at 0 where the source was cut or its clock begins anywhere; else they are kept."""
        if self._trimmed:
            self._shift = first
        elif self._info.details.get("arbitrary_clock"):
            self._shift = round(Fraction(self._info.details["origin"]) / self._time_base)
        if self._copied is not None:
            self._copied.start(self._shift * self._time_base, trimmed=self._trimmed)

    def _picture(self, frame: Frame) -> VideoFrame:
        if self._kind == "alpha":
            picture, color = grey_of(frame), self._color
        else:
            if self._alpha and not frame.pixel_format.alpha:
                raise ValueError(f"a frame without alpha ({frame.format}) came where alpha is written")
            if self._surfaces is not None:
                same = frame.color.full_range == self._color.full_range
                if same and frame.format == self._info.format:
                    return self._surfaces(frame)
                frame = OnCpu().up(frame)
            picture, color = to_video_frame(frame, drop_alpha=not self._alpha), frame.color
        if picture.format.name == self._format and color.full_range == self._color.full_range:
            return picture
        return self._converter(picture, self._format, color, self._color)

    def _encode(self, picture: VideoFrame | None) -> None:
        for packet in self._stream.encode(picture):
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, 0) or packet.duration or 0
            self._mux(packet)

    def _mux(self, packet: Packet[VideoStream]) -> None:
        assert self._container is not None
        if self._copied is not None and packet.dts is not None:
            self._copied.mux_until(packet.dts * self._time_base)
        self._container.mux(packet)

    def _finish(self, whole: bool) -> None:
        """Flush the encoder, the copied streams and the container."""
        assert self._container is not None
        self._encode(None)
        if self._copied is not None:
            if whole:
                self._copied.mux_until(None)
            self._copied.mux_text()
            self.notes += [line for line in self._copied.notes if line not in self.notes]
        self._container.close()

    def close(self) -> None:
        """Finish the file and put it in its place; after a failed write or without a frame as :meth:`abort`.

        Raises:
            OutputError: it could not be finished; what there is has been kept.
        """
        if self._done:
            return
        if self.frames == 0 or self._landing.file.error is not None:
            self.abort()
            return
        try:
            self._finish(whole=True)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            line = explain(self._landing.file.error or error, self.path, self.frames)
            self._keep()
            raise OutputError(line) from error
        except BaseException:  # Ctrl-C while the encoder hands out its last frames
            self._keep()
            raise
        self._let_go()
        self._landing.commit()

    def abort(self) -> None:
        """Stop here: finish what was written as far as that goes and keep it; ``notes`` says where."""
        if self._done:
            return
        try:
            if self.frames and self._landing.file.error is None:
                # What is on the disk already plays without its end.
                with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                    self._finish(whole=False)
        finally:
            self._keep()

    def _keep(self) -> None:
        self._let_go()
        playable = playable_frames(self._landing.temporary) if self.frames else 0
        if playable == 0:
            self._landing.discard()
            self.notes.append(f"{self.path}: stopped before anything playable was written; no file is left")
            return
        kept = self._landing.keep_partial()
        self.notes.append(f"stopped early: {kept} holds the first {playable} frames")

    def _let_go(self) -> None:
        self._done = True
        self._landing.file.close()  # first, so that FFmpeg writes nothing more
        if self._copied is not None:
            self._copied.close()
        self._container = None


def _timescale(container: OutputContainer) -> int:
    """Ticks a second in which MP4 says when its streams begin: fine enough to say it exactly for all of them.

    FFmpeg's 1000 would move sound that begins at 2.67 ms to 2 ms.
    """
    ticks = 1000
    for stream in container.streams:
        rate = stream.rate if isinstance(stream, AudioStream) else None
        both = math.lcm(ticks, rate or (stream.time_base.denominator if stream.time_base else 1))
        ticks = both if both <= 10_000_000 else ticks
    return ticks


def playable_frames(path: Path) -> int:
    """How many pictures of a file, perhaps cut short, can be read back."""
    try:
        with av.open(str(path)) as container:
            count = 0
            try:
                for packet in container.demux(video=0):
                    count += packet.size > 0 and not packet.is_corrupt
            except av.error.FFmpegError:
                pass  # the cut
            return count
    except (av.error.FFmpegError, IndexError, OSError):
        return 0
