"""Write a video file as a Sink: encode frames, copy other streams, survive interruption."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import av.error
from av.container.output import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.device.execution import CpuContext
from livematte.errors import OutputError, UsageError
from livematte.frame import Frame
from livematte.protocols import SourceInfo
from livematte.video import timecode
from livematte.video.alpha_video import to_grey_frame
from livematte.video.atomic_file import AtomicFile, count_playable_frames, describe_write_error
from livematte.video.container import require_rereadable
from livematte.video.cuda_surfaces import CONTEXT_FORMAT, SurfacePool, open_surface_pool
from livematte.video.default_codecs import COMMON_DEPTH, choose_container, default_codec
from livematte.video.encoders import (
    ENCODERS,
    choose_encoder,
    choose_output_format,
    encoder_options,
    open_context,
    unsupported_format,
    with_storable_pixels,
)  # fmt: skip
from livematte.video.hdr_metadata import set_hdr_options
from livematte.video.images import ImageSequenceSink, is_numbered, write_image
from livematte.video.mp4_boxes import FirstIndex, hide_empty_video_tracks, write_index_first
from livematte.video.muxer_options import muxer_options, set_options_for_streams
from livematte.video.output_stream import STREAM, OutputStream
from livematte.video.passthrough import PassthroughStreams
from livematte.video.pixel_shape import square_pixels
from livematte.video.pixels import Converter, to_video_frame, with_color_tags

__all__ = ["FileSink", "open_sink", "write_image"]

Kind = Literal["picture", "alpha", "foreground"]
_KEY_FRAME_SECONDS = 2
"""Maximum distance of key frames: the loss when a render is killed, and the seek granularity."""


def open_sink(
    path: str | Path, info: SourceInfo, *, kind: Kind = "picture", alpha: bool = False,
    codec: str | None = None, crf: int | None = None, preset: str | None = None, format: str | None = None,
    copy_streams_from: str | Path | None = None, start: float | Fraction | None = None,
    end: float | Fraction | None = None, threads: int = 0, gpu: int | None = None, card: int | None = None,
    keep_location: bool = False,
) -> FileSink | ImageSequenceSink:  # fmt: skip
    """Open a file to write frames to.

    Args:
        path: a video; ``frames/%06d.png`` (or ``.exr``, ``.tiff`` ...); ``-`` for standard output, with
            ``format``.
        info: properties of the frames to write: size, format, time base, rate, colour.
        kind: 'picture' and 'foreground' write colours; 'alpha' writes alpha (luma without one) in grey.
        alpha: True to write straight alpha; the frames must have it.
        codec, crf, preset: see encoders.ENCODERS; default: :mod:`livematte.video.default_codecs`.
        format: container, a key of encoders.FORMATS; by default that of the extension.
        copy_streams_from: source of the audio, subtitles, chapters, attachments and tags to copy.
        keep_location: True to copy tags that say where the video was recorded, too.
        start, end: as for the reader; video and audio times then start at 0.
        threads: encoder threads; 0 uses the encoder's default.
        gpu: index of the NVIDIA GPU that processes the frames; see :attr:`FileSink.takes_gpu_frames`.
        card: index of the NVIDIA GPU that encodes; by default ``gpu``, or the first suitable one.

    Raises:
        UsageError: an invalid file type, codec, crf, preset or combination, or the target is the source.
        OutputError: the folder is missing or not writable, the target is a directory, the encoder is missing.
    """
    path = Path(path)
    if is_numbered(path):
        return ImageSequenceSink(path, info, alpha=alpha, grey=kind == "alpha")
    return open_file_sink(
        path, info, kind=kind, alpha=alpha, codec=codec, crf=crf, preset=preset, format=format,
        copy_streams_from=copy_streams_from, start=start, end=end, threads=threads, gpu=gpu, card=card,
        keep_location=keep_location,
    )  # fmt: skip


def open_file_sink(
    path: Path, info: SourceInfo, *, kind: Kind, alpha: bool, codec: str | None, crf: int | None,
    preset: str | None, copy_streams_from: str | Path | None, start: float | Fraction | None,
    end: float | Fraction | None, threads: int, gpu: int | None = None, card: int | None = None,
    format: str | None = None, keep_location: bool = False,
) -> FileSink:  # fmt: skip
    """Create a sink for a video file. Arguments and errors as :func:`open_sink`."""
    muxer = choose_container(path, format)
    if alpha and kind != "picture":
        raise UsageError(f"a {kind} file cannot have an alpha channel")
    name = choose_encoder(codec or default_codec(muxer, info, kind, alpha=alpha), muxer, alpha=alpha)
    if copy_streams_from is not None:
        require_rereadable(copy_streams_from, "audio and subtitles are read beside the video")
    original = copy_streams_from or info.details.get("path")
    file = OutputStream() if str(path) == STREAM else AtomicFile(path, original)
    try:
        return FileSink(
            file, muxer, name, info, kind=kind, alpha=alpha, crf=crf, preset=preset, threads=threads,
            source=copy_streams_from, start=start, end=end, gpu=gpu, card=card,
            common_depth=None if codec else COMMON_DEPTH.get((muxer, name)), keep_location=keep_location,
        )  # fmt: skip
    except BaseException:
        file.discard()
        raise


class FileSink:
    """A video file that is being written, from frames (protocols.Sink) or from encoded packets.

    Call :meth:`close` after the last frame, or :meth:`abort` to stop earlier and keep the playable part,
    under the target's name if that is free, else as ``<stem>.partial<ext>``. ``notes`` has a line for each
    lost or changed property, and for an incomplete file; ``frames`` is the number of frames written.
    """

    def __init__(
        self, file: AtomicFile | OutputStream, muxer: str, encoder: str, info: SourceInfo, *, kind: Kind,
        alpha: bool, crf: int | None, preset: str | None, threads: int, source: str | Path | None,
        start: float | Fraction | None, end: float | Fraction | None, gpu: int | None, card: int | None,
        common_depth: int | None = None, keep_location: bool = False,
    ) -> None:  # fmt: skip
        self.path, self.frames = file.path, 0
        self.notes: list[str] = []
        given, info = info, with_storable_pixels(info, muxer, encoder, self.notes)
        self._squares = info is not given
        self._file, self._muxer, self._encoder = file, muxer, encoder
        self._info, self._kind, self._alpha = info, kind, alpha
        self._time_base, self._trimmed = info.time_base, start is not None
        self._shift, self._last_pts, self._done, self._encoding = 0, -(1 << 62), False, False
        self._durations: dict[int, int] = {}
        self._converter = Converter()
        self._surfaces: SurfacePool | None = None
        self._format, self._color, notes = choose_output_format(
            encoder, info, grey=kind == "alpha", alpha=alpha, common_depth=common_depth
        )
        self.notes += notes
        options = muxer_options(muxer, streamed=file.temporary is None)
        self._container: OutputContainer | None = av.open(
            file.file, "w", format=muxer, container_options=options, buffer_size=1 << 17
        )
        if crf is None and kind == "alpha":
            crf = ENCODERS[encoder].matte_crf
        chosen = encoder_options(encoder, crf, preset, self._format)
        if kind != "alpha":
            self.notes += set_hdr_options(encoder, chosen, info.details)
        if ENCODERS[encoder].fallback:
            if gpu is not None and kind != "alpha" and not self._squares:
                self._surfaces = open_surface_pool(info, self._format, gpu)
            if (index := gpu if card is None else card) is not None:
                chosen["gpu"] = str(index)
        self._stream = self._open_encoder(chosen, threads)
        self._passthrough: PassthroughStreams | None = None
        if source is not None:
            self._passthrough = PassthroughStreams(
                source, self._container, muxer, options, end, keep_location, trimmed=self._trimmed
            )
            self._stream.metadata.update(self._passthrough.video_metadata)
            self._stream.disposition = self._passthrough.video_disposition
            self._container.metadata.update(self._passthrough.metadata)
            self.notes += self._passthrough.notes
            file.file.patch = FirstIndex() if muxer == "mp4" and self._passthrough.copies_cover else None
        if "timecode" in info.details:  # MP4 and MOV get a timecode track from it
            self._stream.metadata[timecode.TAG] = info.details["timecode"]
        if muxer in ("mp4", "mov"):
            set_options_for_streams(self._container)
        if muxer in ("matroska", "webm") and (self._time_base * 1000).denominator != 1:
            self.notes.append("times are rounded to 1 ms, the resolution of Matroska and WebM")

    @property
    def takes_gpu_frames(self) -> bool:
        """True if frames may be on the GPU: a GPU encoder supports their format."""
        return self._surfaces is not None

    def _open_encoder(self, options: dict[str, str], threads: int) -> VideoStream:
        info, color = self._info, self._color
        assert self._container is not None
        try:
            library = ENCODERS[self._encoder].library
            os.environ.setdefault("SVT_LOG", "1")  # errors only: it bypasses FFmpeg's log
            rate = info.average_rate or Fraction(25)
            # Only a hint for rate control: the times of the frames are kept.
            rate = min(rate, Fraction(ENCODERS[self._encoder].max_rate or rate))
            stream = self._container.add_stream(library, rate=rate, options=options)
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
                context.gop_size = max(12, round(_KEY_FRAME_SECONDS * rate))
            if ENCODERS[self._encoder].codec_tag and self._muxer in ("mp4", "mov"):
                context.codec_tag = ENCODERS[self._encoder].codec_tag
            if self._alpha and self._encoder == "vp9":
                stream.metadata["alpha_mode"] = "1"
            if self._surfaces is None:  # otherwise it is opened with the first frame
                open_context(context)
        except (av.error.FFmpegError, ValueError) as error:
            raise OutputError(
                f"{self.path}: {unsupported_format(self._encoder, self._info, self._format, error)}"
            ) from error
        return stream

    def write(self, frame: Frame) -> None:
        """Encode one frame; its planes are copied.

        Raises:
            OutputError: the disk is full or fails, or the frame does not have the declared size or time base,
                has no alpha although alpha is written, or is not later than the previous one. Then close or
                abort.
        """
        if self._done:
            raise OutputError(f"{self.path} is already closed")
        if self._squares:
            frame = square_pixels(CpuContext().upload(frame))
        if frame.size != (self._info.height, self._info.width):
            expected = f"{self._info.width}x{self._info.height}"
            raise OutputError(f"{self.path}: the frame is {frame.width}x{frame.height}, expected {expected}")
        if frame.time_base != self._time_base:
            raise OutputError(
                f"{self.path}: the frame's time base is {frame.time_base} s, expected {self._time_base} s"
            )
        if frame.pts <= self._last_pts:
            raise OutputError(f"{self.path}: frame times must rise: {frame.pts} came after {self._last_pts}")
        try:
            if self.frames == 0:
                self._start_timeline(frame.pts)
            picture = self._picture(frame)
            picture.pts = frame.pts - self._shift
            self._durations[picture.pts] = frame.duration
            self._last_pts, self._encoding = frame.pts, True
            self._encode(picture)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if not self._stream.codec_context.is_open:
                raise OutputError(
                    f"{self.path}: {unsupported_format(self._encoder, self._info, self._format, error)}"
                ) from error
            raise OutputError(
                describe_write_error(self._file.file.error or error, self.path, self.frames)
            ) from error
        self.frames += 1

    @property
    def closed(self) -> bool:
        """True after :meth:`close` or :meth:`abort`."""
        return self._done

    @property
    def reorder_depth(self) -> int:
        """The number of frames by which the open encoder may reorder pictures."""
        return int(self._stream.codec_context.reorder_depth)

    def write_packet(self, packet: Packet[VideoStream]) -> None:
        """Write an encoded picture, instead of :meth:`write`; the first must be first in time too.

        Its pts, dts and duration are in the source's ticks; they are changed. Raises OutputError if the disk
        is full or fails.
        """
        assert packet.pts is not None and packet.dts is not None
        try:
            if self.frames == 0:
                self._start_timeline(packet.pts)
            packet.pts, packet.dts = packet.pts - self._shift, packet.dts - self._shift
            packet.time_base, packet.stream = self._time_base, self._stream
            self._mux(packet)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise OutputError(
                describe_write_error(self._file.file.error or error, self.path, self.frames)
            ) from error
        self.frames += 1

    def _start_timeline(self, first: int) -> None:
        """Start times at 0 if the source was trimmed or its clock starts anywhere; otherwise keep them."""
        if self._trimmed:
            self._shift = first
        elif self._info.details.get("arbitrary_clock"):
            self._shift = round(Fraction(self._info.details["origin"]) / self._time_base)
        if self._passthrough is not None:
            self._passthrough.start(self._shift * self._time_base, trimmed=self._trimmed)

    def _picture(self, frame: Frame) -> VideoFrame:
        if self._kind == "alpha":
            picture, color = to_grey_frame(frame), self._color
        else:
            if self._alpha and not frame.pixel_format.alpha:
                raise ValueError(
                    f"the frame has no alpha (pixel format {frame.format}), but alpha is required"
                )
            if self._surfaces is not None:
                same = frame.color.full_range == self._color.full_range
                if same and frame.format == self._info.format:
                    return self._surfaces(frame)
                frame = CpuContext().upload(frame)
            picture, color = to_video_frame(frame, drop_alpha=not self._alpha), frame.color
        if picture.format.name != self._format or color.full_range != self._color.full_range:
            picture = self._converter(picture, self._format, color, self._color)
        return with_color_tags(picture, self._color)  # some encoders write the tags of the frame

    def _encode(self, picture: VideoFrame | None) -> None:
        for packet in self._stream.encode(picture):
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, 0) or packet.duration or 0
            self._mux(packet)

    def _mux(self, packet: Packet[VideoStream]) -> None:
        assert self._container is not None
        if self._passthrough is not None and packet.dts is not None:
            self._passthrough.mux_until(packet.dts * self._time_base)
        self._container.mux(packet)

    def _finish(self, complete: bool) -> None:
        """Flush the encoder, the copied streams and the container."""
        assert self._container is not None
        if self._encoding:
            self._encode(None)
        if self._passthrough is not None:
            if complete:
                self._passthrough.mux_until(None)
            self._passthrough.mux_subtitles()
            self.notes += [line for line in self._passthrough.notes if line not in self.notes]
        self._container.close()
        copied, written = self._passthrough, self._file.temporary
        if self._muxer == "mp4" and written is not None and copied is not None and copied.copies_cover:
            with open(written, "r+b") as file:
                hide_empty_video_tracks(file)
        if complete and self._passthrough is not None and self._passthrough.failure is not None:
            raise self._passthrough.failure

    def close(self) -> None:
        """Finish the file and move it to its target.

        After a failed write or without frames, do as :meth:`abort`. Raises OutputError if it could not be
        finished; the playable part was kept.
        """
        if self._done:
            return
        if self.frames == 0 or self._file.file.error is not None:
            self.abort()
            return
        try:
            self._finish(complete=True)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            line = describe_write_error(self._file.file.error or error, self.path, self.frames)
            self._finish_partial()
            raise OutputError(line) from error
        except BaseException:  # Ctrl-C while the encoder is flushed
            self._finish_partial()
            raise
        self._release()
        if self._muxer in ("mp4", "mov") and not self._file.rewrite(write_index_first):
            self.notes.append("the index stays at the end of the file: the disk has no room for a copy")
        self._file.commit()
        self.notes += self._file.notes

    def abort(self) -> None:
        """Stop, finish what was written if possible and keep it; ``notes`` names the file."""
        if self._done:
            return
        try:
            if self.frames and self._file.file.error is None:
                # The fragments on disk are playable even if this fails.
                with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                    self._finish(complete=False)
        finally:
            self._finish_partial()

    def _finish_partial(self) -> None:
        self._release()
        if self._file.temporary is None:
            self._file.discard()
            self.notes.append(f"stopped early: standard output got the first {self.frames} frames")
            return
        playable = count_playable_frames(self._file.temporary) if self.frames else 0
        if playable == 0:
            self._file.discard()
            self.notes.append(f"{self.path}: stopped before anything playable was written; no file was kept")
            return
        partial = self._file.keep_partial()
        self.notes.append(f"stopped early: {partial} holds the first {playable} frames")

    def _release(self) -> None:
        self._done = True
        self._file.file.close()  # first, so that FFmpeg cannot write any more
        if self._passthrough is not None:
            self._passthrough.close()
        self._container = None
