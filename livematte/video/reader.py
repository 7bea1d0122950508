"""Files, image sequences and single pictures as a Source of upright frames with their original timestamps."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path

import av.error
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.errors import DeviceError, InputError, UsageError
from livematte.frame import Frame
from livematte.protocols import SourceInfo
from livematte.video.clock_repair import ClockRepair, can_seek
from livematte.video.container import decoder_for, first_frame, open_container, video_stream
from livematte.video.deinterlace import progressive
from livematte.video.file_extent import notes_of_extent
from livematte.video.frame_builder import FrameBuilder
from livematte.video.hardware import HardwareDecoder, check_hwaccel, open_hardware
from livematte.video.hdr_metadata import without_hdr_metadata
from livematte.video.heif import decode_heif, read_heif
from livematte.video.notes import add_note, replace_note
from livematte.video.orientation import read_orientation
from livematte.video.picture_color import PictureColors, ProfileUse
from livematte.video.picture_sequence import PictureSequence, check_fps, find_sequence, is_sequence
from livematte.video.pixel_limit import pixel_limit, too_large
from livematte.video.pixel_shape import PixelShape
from livematte.video.probe import describe, describe_source, is_still
from livematte.video.read_check import ReadCheck
from livematte.video.repeats import RepeatedPictures
from livematte.video.timecode import with_timecode
from livematte.video.timestamps import (
    PtsNormalizer,
    as_fraction,
    container_start_time,
    declared_end,
    exact_seconds,
)
from livematte.video.tone_mapping import ToneMapper, is_hdr_frame

_END_TOLERANCE = Fraction(1, 2)
"""Seconds by which the video may end before its declared end: times and durations are often rounded."""

_HEAD = 4096
"""Bytes of the first packet that are kept: a still states its resolution there."""

_SEEK_MARGINS = (0.0, 2.0, 20.0)
"""Seconds to seek before the requested start; the next value is tried if a seek lands behind it."""


def open_video(
    path: str | Path,
    *,
    start: float | Fraction | None = None,
    end: float | Fraction | None = None,
    hwaccel: str = "none",
    gpu: int | None = None,
    card: int | None = None,
    sdr: bool = False,
    color_profile: ProfileUse = "convert",
    fps: float | Fraction | None = None,
    one_size: bool = True,
    like: SourceInfo | None = None,
) -> FileSource:
    """Open a file that FFmpeg supports: a video, a sequence of pictures, an animated GIF or one picture.

    The first frame is decoded immediately, so an undecodable file raises here and not later.

    Args:
        path: the file; or pictures as a folder, ``frames/*.png``, ``frames/%04d.png`` or ``frames/####.png``.
        start: seconds from the start of the file; earlier frames are skipped. A float is rounded to 1 µs.
        end: seconds from the start of the file; frames at or after it are skipped.
        hwaccel: one of :data:`livematte.video.hardware.HWACCELS`. ``auto`` is ``cuda`` if a GPU processes the
            frames, and falls back to the CPU with a note.
        gpu: index of the NVIDIA GPU that processes the frames; frames that it decodes stay on it as CuPy
            arrays. None returns NumPy arrays.
        card: index of the NVIDIA GPU that decodes if ``gpu`` is None; the first by default.
        sdr: True to tone-map HDR frames (PQ, HLG) to SDR.
        color_profile: ``convert`` converts pictures with an ICC profile to sRGB; ``keep`` gives the profile
            in ``frame.color.icc`` (but converts if it is not one of RGB); ``ignore`` uses the numbers as they
            are.
        fps: pictures a second of a sequence, 25 by default; other files have their own times.
        one_size: True to fit all frames into the size and pixel shape of the first, with bars where they have
            another shape; False to keep the size and pixel shape of each.
        like: size and pixel shape into which all frames are fitted, instead of those of the first.

    Raises:
        UsageError: ``start`` or ``end`` is negative, the range is empty, or ``hwaccel`` is unknown.
        DeviceError: the requested ``hwaccel`` does not decode this file.
        InputError: missing, a directory, empty, not a media file, without video, too large, or undecodable.
    """
    if start is not None and not 0 <= start < math.inf:
        raise UsageError(f"start {float(start):g} is invalid: use 0 or more seconds")
    if end is not None and not (start or 0) < end < math.inf:
        raise UsageError(
            f"end ({float(end):g} s) must be later than start ({float(start or 0):g} s); omit it to"
            " read to the end of the file"
        )
    check_hwaccel(hwaccel)
    sequence = is_sequence(path)
    pictures = find_sequence(path) if sequence else None
    container = open_container(path, fps=check_fps(fps))
    try:
        if fps is not None and not sequence:
            raise UsageError(f"fps is for pictures (a folder, *.png or %04d.png): {path} has its own times")
        stream = video_stream(container, path)
        return FileSource(
            path, container, stream, start, end, hwaccel, gpu, card, color_profile, pictures,
            one_size=one_size, like=like, sdr=sdr,
        )  # fmt: skip
    except BaseException:
        container.close()
        raise


class FileSource:
    """Frames of one file (protocols.Source). Created by :func:`open_video`.

    Attributes:
        info: size after rotation, format, colour, rate; ``details`` is printed by ``livematte probe``.
        damaged, notes: number of broken packets and frames so far; a line for each repair or change.
    """

    def __init__(
        self,
        path: str | Path,
        container: InputContainer,
        stream: VideoStream,
        start: float | Fraction | None,
        end: float | Fraction | None,
        hwaccel: str = "none",
        gpu: int | None = None,
        card: int | None = None,
        color_profile: ProfileUse = "convert",
        pictures: PictureSequence | None = None,
        *,
        one_size: bool = True,
        like: SourceInfo | None = None,
        sdr: bool = False,
    ) -> None:
        self.damaged = 0
        self.notes: list[str] = [] if pictures is None else list(pictures.notes)
        self._pictures, self._first_picture = pictures, 0
        self._path, self._container, self._stream = path, container, stream
        self._lock, self._check_read = threading.Lock(), ReadCheck(path)
        self._closed = self._started = False
        self._head = b""
        heif = read_heif(container, path)
        self._heif = heif if heif is not None and heif.is_composed else None
        self._hardware = None if self._heif else self._open_hardware(hwaccel, gpu, card)
        self._decoder = decoder_for(stream) if self._hardware is None else self._hardware.context
        self._tone_mapper = ToneMapper() if sdr else None
        self._picture_colors = PictureColors(container, path, color_profile, self.notes)
        self._clock = ClockRepair(container, stream, partial(replace_note, self.notes))
        for other in container.streams:
            if other not in self._clock.streams and self._heif is None:
                other.discard = Discard.all
        time_base = as_fraction(stream.time_base)
        if time_base is None:
            raise InputError(f"{path} has no time base: its frames cannot be ordered")
        self._time_base = time_base
        origin = container_start_time(container, stream)
        self._first_time = None if start is None else origin + exact_seconds(start)
        self._end_time = None if end is None else origin + exact_seconds(end)

        self._decoded, self._first_frame = self._decode_first(origin, hwaccel)
        described = self._first_frame
        hardware = self._hardware
        if hardware is not None and (hardware.container is None or is_still(container, stream, path)):
            # For side data: of the container, or of a photo on a GPU, whose EXIF hides the rest from PyAV.
            described = first_frame(path, stream.index)
        self._orientation = self._heif.orientation if self._heif else read_orientation(described)
        pixel_shape = PixelShape(stream, self._decoder, self._first_frame, container.format.name, self._head)
        self._frame = FrameBuilder(
            path, self._first_frame, self._picture_colors, self._orientation, pixel_shape, self._hardware,
            time_base, partial(add_note, self.notes), still=is_still(container, stream, path),
            one_size=one_size, like=like,
        )  # fmt: skip
        color, orientation = self._frame.color, self._orientation
        details = describe(container, stream, described, color, orientation, path=path, origin=origin)
        if name := self._picture_colors.profile_name(self._first_frame):
            details["color_profile"] = name
        if pictures is not None:
            details["first_number"] = pictures.numbers[0]
        info = describe_source(
            container, stream, path, self._frame.format, self._frame.size, color, start=start, end=end,
            sample_aspect=self._frame.sample_aspect, details=details, pictures=pictures,
        )  # fmt: skip
        info = without_hdr_metadata(info) if sdr else info
        self.info = with_timecode(info, container, stream, self._first_frame.pts, self.note)

    def _open_hardware(self, hwaccel: str, gpu: int | None, card: int | None) -> HardwareDecoder | None:
        if hwaccel == "none" or (hwaccel == "auto" and gpu is None):
            return None
        kind = "cuda" if hwaccel == "auto" else hwaccel
        found: HardwareDecoder | str = "a pipe can be read only once"
        if self._pictures is not None:
            if hwaccel == "auto":
                return None
            found = "a sequence of pictures is decoded on the CPU"
        elif not Path(self._path).is_fifo():
            found = open_hardware(self._path, self._stream, kind, gpu, card)
        if isinstance(found, HardwareDecoder):
            return found
        self._reject_hardware(hwaccel, found)
        return None

    def _decode_first(self, origin: Fraction, hwaccel: str) -> tuple[Iterator[VideoFrame], VideoFrame]:
        """Return the decoded frames and the first of them, from hardware if it works, else from the CPU."""
        hardware = self._hardware
        if hardware is None:
            return self._seek_and_decode(origin)
        try:
            found = self._seek_and_decode(origin)
            if hardware.is_active:
                return found
        except InputError:
            if hardware.is_active:
                raise
        codec = hardware.context.codec.canonical_name
        profile = f" of profile {self._stream.profile}" if self._stream.profile else ""
        self._reject_hardware(hwaccel, f"{hardware.kind} does not decode {codec}{profile}")
        hardware.close()
        self._hardware, self._decoder, self.damaged = None, decoder_for(self._stream), 0
        with suppress(av.error.FFmpegError):
            self._container.seek(int((origin - 1) / self._time_base), stream=self._stream)
        return self._seek_and_decode(origin)

    def _reject_hardware(self, hwaccel: str, why: str) -> None:
        if hwaccel != "auto":
            raise DeviceError(f"--hwaccel {hwaccel}: {why}; --hwaccel none decodes {self._path} on the CPU")
        self.note(f"decoded on the CPU: {why}")

    def _seek_and_decode(self, origin: Fraction) -> tuple[Iterator[VideoFrame], VideoFrame]:
        """Return the decoded frames from the requested start on, and the first of them."""
        if self._heif is not None:
            return iter(()), decode_heif(self._container, self._heif, self._path)
        pictures = self._pictures
        seeks = self._first_time is not None and pictures is None and can_seek(self._container, self._path)
        margins = _SEEK_MARGINS if seeks else (None,)
        if pictures is not None and self._first_time is not None:
            first_tick = math.ceil((self._first_time - origin) / self._time_base)
            self._first_picture = bisect_left(pictures.ticks, first_tick)
        for margin in (*margins, None):
            if self._first_time is not None and seeks:
                # The first picture of a broadcast is stored before its pts, so seek to an earlier position.
                wanted = origin - 1 if margin is None else max(origin, self._first_time - Fraction(margin))
                try:
                    self._container.seek(int(wanted / self._time_base), stream=self._stream)
                    self._decoder.flush_buffers()
                except av.error.FFmpegError:
                    pass  # the format does not support seeking: read from the start
            decoded = self._decode()
            first = next(decoded, None)
            if self._first_time is None or margin is None:
                break
            if (
                first is not None
                and first.pts is not None
                and first.pts * self._time_base <= self._first_time
            ):
                break
        while first is not None and self._before_start(first):
            first = next(decoded, None)
        if first is None:
            if self._first_time is not None and not self.damaged:
                begins = float(self._first_time - origin)
                raise InputError(f"{self._path} has no frame at or after {begins:g} s")
            why = too_large(pixel_limit())
            raise InputError(f"{self._path}: no frame of its video could be decoded (damaged, or {why})")
        return decoded, first

    def _before_start(self, frame: VideoFrame) -> bool:
        return (
            self._first_time is not None
            and frame.pts is not None
            and frame.pts * self._time_base < self._first_time
        )

    def _decode(self) -> Iterator[VideoFrame]:
        if self._pictures is not None:
            packets = self._pictures.packets(self._stream, self._first_picture)
        else:
            self._clock = ClockRepair(self._container, self._stream, partial(replace_note, self.notes))
            read = self._container.demux(*self._clock.streams)
            packets = self._clock.follow(self._check_read.follow(read))
        packet: Packet[VideoStream] | None
        repeats = RepeatedPictures()
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self._check_read(early=True)
                self.damaged += 1
                self.note(f"the file ends early: {getattr(error, 'strerror', None) or error}")
                packet = None
            if packet is not None:
                if packet.stream_index != self._stream.index:
                    continue
                self.damaged += packet.is_corrupt
                self._head = self._head or bytes(memoryview(packet)[:_HEAD])
                if not packet.size:
                    repeats.add(packet)
                    continue
                self._picture_colors.take(packet)
            try:
                frames = self._decoder.decode(packet)
            except av.error.EOFError:
                frames = []
            except (av.error.FFmpegError, ValueError):
                self.damaged += 1
                frames = []
            for frame in frames:
                if frame.is_corrupt:
                    self.damaged += 1
                if self._hardware is not None and self._hardware.is_active and frame.interlaced_frame:
                    frame = self._hardware.download(frame)  # the deinterlacer takes planar frames
                yield from repeats.then(self._to_sdr(frame))
            if packet is None:
                yield from repeats.rest()
                return

    def _to_sdr(self, frame: VideoFrame) -> VideoFrame:
        """Return the frame in SDR, if that is wanted."""
        if self._tone_mapper is None or not is_hdr_frame(frame):
            if self._tone_mapper is not None:
                self.note("--sdr changes nothing: the video is not HDR (PQ or HLG)")
            return frame
        surface = self._hardware is not None and self._hardware.is_surface(frame)
        return self._tone_mapper(self._hardware.download(frame) if surface and self._hardware else frame)

    def note(self, line: str) -> None:
        """Append a line to ``notes`` unless it is already there."""
        add_note(self.notes, line)

    def __iter__(self) -> Iterator[Frame]:
        """Yield upright frames of one size and format in presentation order. Planes are read-only.

        Raises:
            InputError: the source was already iterated, or the file cannot be read to its end or was changed.
        """
        if self._started:
            raise InputError(f"{self._path} can be iterated only once: open it again")
        self._started = True
        rate = self.info.average_rate
        clock = PtsNormalizer(self._time_base, rate, self.note)
        frames = progressive(self._first_frame, self._decoded, self._time_base, self.note)
        ended = Fraction(0)
        while True:
            with self._lock:  # close() may run in another thread and must not overlap with FFmpeg calls
                if self._closed:
                    return
                decoded = next(frames, None)
                if decoded is None:
                    self._check_end(ended)
                    return
                pts = clock.normalized_pts(decoded)
                if self._end_time is not None and pts * self._time_base >= self._end_time:
                    self._check_read(may_grow=True)
                    return
                frame = self._frame(decoded, pts)
                ended = (pts + decoded.duration) * self._time_base
            yield frame

    def _check_end(self, ended: Fraction) -> None:
        """Add a note if the video ends at ``ended``, earlier than the file declares. Raises InputError."""
        announced = None if self._clock.jumps else declared_end(self._container, self._stream)
        wanted = announced if announced is None or self._end_time is None else min(announced, self._end_time)
        early = wanted is not None and ended < wanted - _END_TOLERANCE
        self._check_read(early=early)
        if announced is not None and early:
            origin = container_start_time(self._container, self._stream)
            there, described = (f"{float(time - origin):.1f}" for time in (ended, announced))
            self.note(f"the end of {self._path} is missing: its video ends at {there} of {described} seconds")
        found = notes_of_extent(self._path, self._container.format.name, self._check_read.position, early)
        self.notes += [line for line in found if line not in self.notes]

    def close(self) -> None:
        """Release the file and end the iteration. Can be called twice and from any thread."""
        self._closed = True
        with self._lock:
            self._container.close()
            if self._hardware is not None:
                self._hardware.close()

    def __enter__(self) -> FileSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
