"""Files, image sequences and single pictures as a Source of upright frames with their own times."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av.error
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.errors import DeviceError, InputError, UsageError
from livematte.frame import PIXEL_FORMATS, ColorInfo, Frame
from livematte.protocols import SourceInfo
from livematte.video.color import color_of
from livematte.video.deinterlace import Deinterlacer
from livematte.video.hardware import HardwareDecoder, check_hwaccel, open_hardware
from livematte.video.opening import check_size, decoder_for, first_frame, open_container, video_stream
from livematte.video.orientation import orientation_of
from livematte.video.pixels import RELABELLED, Converter, nearest_format, planes_of
from livematte.video.probe import describe, is_still
from livematte.video.timing import Clock, announced_end, exactly, origin_of

_MISSING = Fraction(1, 2)
"""Seconds by which pictures may end before the file's own word of it: times and lengths are often rounded."""

_STEPS_BACK = (0.0, 2.0, 20.0)
"""Seconds to seek before the wanted start, when the first try landed behind it."""


def open_video(
    path: str | Path,
    *,
    start: float | Fraction | None = None,
    end: float | Fraction | None = None,
    hwaccel: str = "none",
    gpu: int | None = None,
    card: int | None = None,
) -> FileSource:
    """Open whatever FFmpeg reads: a video file, ``frames/%04d.png``, an animated GIF or one picture.

    The first frame is decoded at once, so that what cannot be played is refused here and not later.

    Args:
        path: the file, or a printf pattern of numbered pictures.
        start: seconds from the beginning of the file; earlier frames are left out. A Fraction is meant
            exactly, a float to the microsecond.
        end: seconds from the beginning; frames at or after it are left out.
        hwaccel: one of :data:`livematte.video.hardware.HWACCELS`; ``auto`` is ``cuda`` where a GPU works on
            the frames, and falls back to the CPU with a note.
        gpu: the NVIDIA GPU that works on the frames: what its decoder decodes stays there, as CuPy's arrays.
            None hands out NumPy's.
        card: the NVIDIA GPU whose decoder ``cuda`` is, where none works on the frames; the first by default.

    Raises:
        UsageError: ``start`` or ``end`` is negative or they leave nothing; no such ``hwaccel``.
        DeviceError: the ``hwaccel`` that was asked for is not there, or does not decode this.
        InputError: missing, a directory, empty, no media file, without video, too large, or undecodable.
    """
    if start is not None and not 0 <= start < math.inf:
        raise UsageError(f"start must be 0 or more seconds, not {float(start):g}")
    if end is not None and not (start or 0) < end < math.inf:
        raise UsageError(
            f"end ({float(end):g} s) must be later than start ({float(start or 0):g} s); without an end all"
            " is taken"
        )
    check_hwaccel(hwaccel)
    container = open_container(path)
    try:
        return FileSource(path, container, video_stream(container, path), start, end, hwaccel, gpu, card)
    except BaseException:
        container.close()
        raise


class FileSource:
    """Frames of one file (protocols.Source). Made by :func:`open_video`.

    Attributes:
        info: size after turning, format, colour, rate; ``details`` is what ``livematte probe`` prints.
        damaged: packets and frames so far that were broken; grows while iterating.
        notes: one line for each thing that was repaired or changed, as it is met.
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
    ) -> None:
        self.damaged = 0
        self.notes: list[str] = []
        self._path, self._container, self._stream = path, container, stream
        self._lock = threading.Lock()
        self._closed = self._started = False
        self._hardware = self._find_hardware(hwaccel, gpu, card)
        self._decoder = decoder_for(stream) if self._hardware is None else self._hardware.context
        self._converter = Converter()
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        if stream.time_base is None:
            raise InputError(f"{path} says nothing about time: it cannot be played in order")
        self._time_base = stream.time_base
        origin = origin_of(container, stream)
        self._first_time = None if start is None else origin + exactly(start)
        self._end_time = None if end is None else origin + exactly(end)

        self._decoded, self._held = self._first(origin, hwaccel)
        told = self._held
        if self._hardware is not None and self._hardware.container is None:
            told = first_frame(path, stream.index)  # what the container says of it
        self._orientation = orientation_of(told, path)
        format, self._color = self._target(self._held)
        if self._orientation.transpose and PIXEL_FORMATS[format].chroma == (0, 1):
            format = format.replace("422", "444")  # 4:2:2 on its side is 4:4:0, which nothing else takes
        self._format, self._stored = format, (self._held.height, self._held.width)
        height, width = self._stored[::-1] if self._orientation.transpose else self._stored
        check_size(width, height, path)
        self.info = self._describe(told, height, width, start, end, origin)

    def _find_hardware(self, hwaccel: str, gpu: int | None, card: int | None) -> HardwareDecoder | None:
        if hwaccel == "none" or (hwaccel == "auto" and gpu is None):
            return None
        kind = "cuda" if hwaccel == "auto" else hwaccel
        found: HardwareDecoder | str = "a pipe can be read once only"
        if not Path(self._path).is_fifo():
            found = open_hardware(self._path, self._stream, kind, gpu, card)
        if isinstance(found, HardwareDecoder):
            return found
        self._not_decoded_by(hwaccel, found)
        return None

    def _first(self, origin: Fraction, hwaccel: str) -> tuple[Iterator[VideoFrame], VideoFrame]:
        """The decoded frames and the first of them, by hardware if it does it, else by the CPU."""
        hardware = self._hardware
        if hardware is None:
            return self._open_at(origin)
        try:
            found = self._open_at(origin)
            if hardware.in_use:
                return found
        except InputError:
            if hardware.in_use:
                raise
        codec = hardware.context.codec.canonical_name
        profile = f" of profile {self._stream.profile}" if self._stream.profile else ""
        self._not_decoded_by(hwaccel, f"{hardware.kind} does not decode {codec}{profile}")
        hardware.close()
        self._hardware, self._decoder, self.damaged = None, decoder_for(self._stream), 0
        with suppress(av.error.FFmpegError):
            self._container.seek(int((origin - 1) / self._time_base), stream=self._stream)
        return self._open_at(origin)

    def _not_decoded_by(self, hwaccel: str, why: str) -> None:
        if hwaccel != "auto":
            raise DeviceError(f"--hwaccel {hwaccel}: {why}; --hwaccel none decodes {self._path} on the CPU")
        self.note(f"decoded on the CPU: {why}")

    def _describe(
        self,
        told: VideoFrame,
        height: int,
        width: int,
        start: float | Fraction | None,
        end: float | Fraction | None,
        origin: Fraction,
    ) -> SourceInfo:
        stream, container = self._stream, self._container
        still = is_still(container, stream, self._path)
        rate = stream.average_rate or stream.guessed_rate
        seconds = stream.duration * self._time_base if stream.duration else None
        if seconds is None and container.duration:
            seconds = Fraction(container.duration, 1_000_000)
        frames = stream.frames or (round(seconds * rate) if seconds and rate else None)
        if seconds is not None and (start or end):
            kept = max(Fraction(0), min(seconds, Fraction(end or seconds)) - Fraction(start or 0))
            frames = None if frames is None else round(frames * kept / seconds)
            seconds = kept.limit_denominator(10**6)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return SourceInfo(
            name=Path(self._path).name,
            height=height,
            width=width,
            format=self._format,
            time_base=self._time_base,
            average_rate=None if still else rate,
            frames=1 if still else frames,
            seconds=None if still else seconds,
            color=self._color,
            sample_aspect=1 / aspect if self._orientation.transpose else aspect,
            details=describe(
                container, stream, told, self._color, self._orientation, path=self._path, origin=origin
            ),
        )

    def _open_at(self, origin: Fraction) -> tuple[Iterator[VideoFrame], VideoFrame]:
        """The decoded frames from the wanted start on, and the first of them."""
        tries = _STEPS_BACK if self._first_time is not None else (None,)
        for step in (*tries, None):
            if self._first_time is not None:
                # A broadcast's first picture is sent before it is shown, and found only from before that.
                wanted = origin - 1 if step is None else max(origin, self._first_time - Fraction(step))
                try:
                    self._container.seek(int(wanted / self._time_base), stream=self._stream)
                    self._decoder.flush_buffers()
                except av.error.FFmpegError:
                    pass  # a format without seeking is read from where it stands, its beginning
            decoded = self._decode()
            first = next(decoded, None)
            if self._first_time is None or step is None:
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
                raise InputError(
                    f"{self._path} has no frame at or after {float(self._first_time - origin):g} s"
                )
            why = "damaged, or larger than FFmpeg decodes"
            raise InputError(f"{self._path}: not one frame of its video could be decoded ({why})")
        return decoded, first

    def _before_start(self, frame: VideoFrame) -> bool:
        return (
            self._first_time is not None
            and frame.pts is not None
            and frame.pts * self._time_base < self._first_time
        )

    def _decode(self) -> Iterator[VideoFrame]:
        packets: Iterator[Packet[VideoStream]] = self._container.demux(self._stream)
        while True:
            packet: Packet[VideoStream] | None
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError) as error:
                self.damaged += 1
                self.note(f"the file breaks off: {getattr(error, 'strerror', None) or error}")
                packet = None
            if packet is not None and packet.is_corrupt:
                self.damaged += 1
            try:
                frames = self._decoder.decode(packet if packet is not None and packet.size else None)
            except av.error.EOFError:
                frames = []
            except (av.error.FFmpegError, ValueError):
                self.damaged += 1
                frames = []
            for frame in frames:
                if frame.is_corrupt:
                    self.damaged += 1
                if self._hardware is not None and self._hardware.in_use and frame.interlaced_frame:
                    frame = self._hardware.downloaded(frame)  # the deinterlacer takes planar frames
                yield frame
            if packet is None:
                return

    def note(self, line: str) -> None:
        """Add a line to ``notes``, once."""
        if line not in self.notes:
            self.notes.append(line)

    def __iter__(self) -> Iterator[Frame]:
        """Frames in presentation order, once; read-only planes, upright, of one size and format.

        Raises:
            InputError: iterated a second time.
        """
        if self._started:
            raise InputError(f"{self._path} is read once only: open it again")
        self._started = True
        rate = self.info.average_rate
        clock = Clock(self._time_base, rate, self.note)
        frames = self._progressive()
        ended = Fraction(0)
        while True:
            with self._lock:  # close() may come from another thread; FFmpeg must not be inside the file then
                if self._closed:
                    return
                decoded = next(frames, None)
                if decoded is None:
                    self._missing_end(ended)
                    return
                pts = clock.time_of(decoded)
                if self._end_time is not None and pts * self._time_base >= self._end_time:
                    return
                frame = self._frame(decoded, pts)
                ended = (pts + decoded.duration) * self._time_base
            yield frame

    def _missing_end(self, ended: Fraction) -> None:
        """Say so when the pictures stop at ``ended`` and the file announces more."""
        announced = announced_end(self._container, self._stream)
        if announced is None:
            return
        wanted = announced if self._end_time is None else min(announced, self._end_time)
        if ended < wanted - _MISSING:
            origin = origin_of(self._container, self._stream)
            there, told = (f"{float(time - origin):.1f}" for time in (ended, announced))
            self.note(f"the end of {self._path} is missing: its picture stops at {there} of {told} seconds")

    def _progressive(self) -> Iterator[VideoFrame]:
        """The decoded frames, deinterlaced from the first interlaced one on."""
        deinterlacer: Deinterlacer | None = None
        frame: VideoFrame | None = self._held
        while frame is not None:
            if deinterlacer is not None and not deinterlacer.takes(frame):
                yield from deinterlacer.push(None)
                deinterlacer = None
            if deinterlacer is None and frame.interlaced_frame:
                self.note("interlaced: deinterlaced with bwdif, one frame for each frame")
                deinterlacer = Deinterlacer(frame, self._time_base)
            if deinterlacer is None:
                yield frame
            else:
                yield from deinterlacer.push(frame)
            frame = next(self._decoded, None)
        if deinterlacer is not None:
            yield from deinterlacer.push(None)

    def _target(self, frame: VideoFrame) -> tuple[str, ColorInfo]:
        """The format a decoded frame is handed out in, and its colours there."""
        surface = self._hardware is not None and self._hardware.is_surface(frame)
        source = VideoFormat(self._hardware.held) if surface and self._hardware else frame.format
        format = nearest_format(source)
        rgb = PIXEL_FORMATS[format].rgb
        still = is_still(self._container, self._stream, self._path)
        full = source.name.startswith("yuvj") or (source.name.startswith(("gray", "ya")) and still)
        color = color_of(frame, rgb=rgb, full_range_default=full, height=frame.height)
        return format, color

    def _frame(self, decoded: VideoFrame, pts: int) -> Frame:
        format, color = self._target(decoded)
        size = (decoded.height, decoded.width)
        if size != self._stored:
            self.note(f"the picture changes size on the way: scaled to {self._stored[1]}x{self._stored[0]}")
        if format != self._format and not self._orientation.transpose:
            self.note(f"the pixel format changes on the way: converted to {self._format}")
        target = color if PIXEL_FORMATS[self._format].rgb == PIXEL_FORMATS[format].rgb else self._color
        picture = decoded
        if self._hardware is not None and self._hardware.is_surface(decoded):
            if (format, size) == (self._format, self._stored) and self._orientation.upright:
                planes = self._hardware.planes(decoded)
                return Frame(planes, format, pts, self._time_base, decoded.duration, target)
            picture = decoded = self._hardware.downloaded(decoded)
        name = RELABELLED.get(decoded.format.name, decoded.format.name)
        if name != self._format or size != self._stored:
            picture = self._converter(decoded, self._format, color, target, self._stored)
        planes = planes_of(picture, self._format)
        if not self._orientation.upright:
            planes = tuple(self._orientation(plane) for plane in planes)
        return Frame(planes, self._format, pts, self._time_base, decoded.duration, target)

    def close(self) -> None:
        """Let go of the file. Twice and from any thread is fine; iteration then ends."""
        self._closed = True
        with self._lock:
            self._container.close()
            if self._hardware is not None:
                self._hardware.close()

    def __enter__(self) -> FileSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
