"""Cameras as a Source: V4L2, DirectShow and AVFoundation, through FFmpeg."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

import av
import av.error
from av.container.input import InputContainer
from av.video.frame import VideoFrame

from livematte.clock import Clock, SystemClock
from livematte.errors import CameraLost, InputError
from livematte.frame import ColorInfo, Frame
from livematte.protocols import SourceInfo
from livematte.video import timestamps
from livematte.video.camera_devices import FORMATS, dshow_modes, find_camera, list_cameras
from livematte.video.camera_modes import (
    DEFAULT_RATE,
    DEFAULT_SIZE,
    CameraInfo,
    CameraMode,
    ModeChoice,
    choose_mode,
    normalize_pixel_format,
)
from livematte.video.color import read_color_info
from livematte.video.file_camera import open_file_camera
from livematte.video.pixels import Converter, view_planes

__all__ = ["CameraInfo", "CameraMode", "CameraSource", "list_cameras", "open_camera", "open_file_camera"]

UNDECODABLE_SECONDS = 2.0
"""A camera counts as lost after sending only undecodable packets for this long."""

RELEASE_SECONDS = 0.5
"""Time that close() waits for a pending read. A hanging camera is released when the read returns."""

_OPEN_OPTIONS = {"fpsprobesize": "0"}
"""Without this option FFmpeg reads twenty frames to estimate the rate that the driver reports anyway."""

_FATAL_ERRNOS = (errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENODEV, errno.ENOENT)
"""Errors that cannot be solved by trying another mode."""

_OUTPUT_COLOR = ColorInfo("bt601", False, matrix_tag=6, range_tag=1)
"""Colour of every output frame: cameras send BT.601 by default (UVC 1.5, JFIF)."""


def open_camera(
    spec: str = "auto",
    *,
    size: tuple[int, int] | None = None,
    rate: Fraction | None = None,
    pixel_format: str | None = None,
    clock: Clock | None = None,
) -> CameraSource:
    """Open a camera in the mode nearest to the request.

    ``info.details`` and ``notes`` describe the chosen mode.

    Args:
        spec: an id or a name as listed by ``livematte devices``, '/dev/video0', a number, or 'auto'.
        size: (height, width); by default 720 x 1280 if the camera supports it.
        rate: frames per second; by default 30 if the camera supports it.
        pixel_format: FFmpeg name, such as 'yuyv422' or 'mjpeg'; by default the cheapest one that reaches the
            rate.
        clock: used to detect a camera that sends only undecodable data; by default the system clock.

    Raises:
        InputError: there is no such camera, no permission, it is in use by another program, or it does not
            have that pixel format.
    """
    format = FORMATS.get(sys.platform)
    if format is None:
        raise InputError(f"cameras are not supported on {sys.platform}: use --input with a file or URL")
    camera = find_camera(spec, list_cameras())
    if camera.trouble:
        raise InputError(f"{camera.name}: {camera.trouble}")
    if format == "dshow":
        camera = replace(camera, modes=dshow_modes(camera.address))
    tries = _mode_candidates(
        camera, size, rate, None if pixel_format is None else normalize_pixel_format(pixel_format)
    )
    refusal: Exception | None = None
    for choice in tries:
        try:
            container = av.open(camera.address, "r", format=format, options=_ffmpeg_options(format, choice))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            refusal = error
            if getattr(error, "errno", None) in _FATAL_ERRNOS:
                break
            continue
        try:
            return CameraSource(camera, container, choice, clock or SystemClock())
        except BaseException:
            container.close()
            raise
    raise InputError(_open_error_message(camera, refusal)) from refusal


def _mode_candidates(
    camera: CameraInfo, size: tuple[int, int] | None, rate: Fraction | None, pixel_format: str | None
) -> list[ModeChoice]:
    """Return the modes to try, best first."""
    if camera.modes:
        return [choose_mode(camera.modes, size, rate, pixel_format)]
    # The camera does not list its modes: try the requested mode, then less specific ones.
    height, width = size or DEFAULT_SIZE
    wanted = CameraMode(width, height, pixel_format or "")
    anything = CameraMode(0, 0, pixel_format or "")
    refused = (f"the camera refused {width}x{height} at {float(rate or DEFAULT_RATE):.4g} fps",)
    return [
        ModeChoice(wanted, rate or DEFAULT_RATE),
        ModeChoice(wanted, None, refused),
        ModeChoice(anything, rate or DEFAULT_RATE, refused),
        ModeChoice(anything, None, refused),
    ]


def _ffmpeg_options(format: str, choice: ModeChoice) -> dict[str, str]:
    """Return the FFmpeg options that select a mode."""
    mode, options = choice.mode, dict(_OPEN_OPTIONS)
    if mode.width:
        options["video_size"] = f"{mode.width}x{mode.height}"
    if choice.rate is not None:
        options["framerate"] = str(choice.rate)
    if mode.pixel_format:
        name = {"v4l2": "input_format", "avfoundation": "pixel_format"}.get(format)
        if name is None:
            name = "vcodec" if mode.pixel_format == "mjpeg" else "pixel_format"
        options[name] = mode.pixel_format
    if format == "dshow":
        options["rtbufsize"] = "64M"
    return options


def _open_error_message(camera: CameraInfo, error: Exception | None) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EBUSY:
        return f"{camera.name} is in use by another program: close that program, then try again"
    if number in (errno.EACCES, errno.EPERM):
        return f"{camera.name}: no permission to use the camera: allow it in the system's privacy settings"
    why = getattr(error, "strerror", None) or error
    return f"{camera.name} ({camera.id}) cannot be opened: {why}; is another program using it?"


class CameraSource:
    """Frames of one camera (protocols.Source). Created by :func:`open_camera`.

    Frames are 8-bit 4:2:0, BT.601 in limited range: ``nv12`` if the camera sends it, else ``yuv420p``.
    ``pts`` is the capture time of the driver; V4L2 counts microseconds of the system's monotonic clock.

    Attributes:
        info: the negotiated format; ``details`` has the camera's id, name, pixel format and rate.
        camera: the camera; its id opens it again.
        damaged: number of packets that could not be decoded.
        notes: one line with the negotiated format, then one for each unsupported request and each repair.
    """

    def __init__(
        self, camera: CameraInfo, container: InputContainer, choice: ModeChoice, clock: Clock
    ) -> None:
        self.camera, self.damaged = camera, 0
        self._container, self._clock = container, clock
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._started = self._released = False
        if not container.streams.video:
            raise InputError(f"{camera.name} has no video stream")
        self._stream = stream = container.streams.video[0]
        time_base = timestamps.as_fraction(stream.time_base)
        if time_base is None or stream.codec_context is None:
            raise InputError(f"{camera.name} sends video that FFmpeg cannot decode")
        self._time_base = time_base
        # Frame threading would delay every frame by the number of threads.
        stream.codec_context.thread_type = "SLICE"
        self._converter = Converter()
        stored = stream.codec_context.pix_fmt or choice.mode.pixel_format
        rate = timestamps.as_fraction(stream.average_rate) or choice.rate
        codec = stream.codec_context.codec.canonical_name
        packed = stored if codec in ("rawvideo", "wrapped_avframe") else codec
        fps = "" if rate is None else f" {float(rate):.4g} fps"
        self._aspect = timestamps.as_fraction(stream.sample_aspect_ratio) or Fraction(1)
        size = f"{stream.codec_context.width}x{stream.codec_context.height}"
        self.notes = [f"camera {camera.name}: {size} {packed}{fps}", *choice.notes]
        self.info = SourceInfo(
            name=camera.name,
            height=stream.codec_context.height,
            width=stream.codec_context.width,
            format="nv12" if stored == "nv12" else "yuv420p",
            time_base=self._time_base,
            average_rate=rate,
            color=_OUTPUT_COLOR,
            sample_aspect=self._aspect,
            details={
                "container": container.format.name,
                "camera": camera.id,
                "codec": codec,
                "pixel_format": stored,
                "rate": None if rate is None else round(float(rate), 3),
                "notes": list(choice.notes),
            },
        )

    def note(self, line: str) -> None:
        """Append a line to ``notes`` unless it is already there."""
        if line not in self.notes:
            self.notes.append(line)

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as they arrive. Packets that cannot be decoded are skipped.

        Raises:
            CameraLost: the camera was unplugged, stopped, or sent only undecodable data for
                UNDECODABLE_SECONDS.
            InputError: the source was already iterated.
        """
        if self._started:
            raise InputError(f"{self.camera.name} can be iterated only once: open it again")
        self._started = True
        packets = self._container.demux(self._stream)
        times = timestamps.PtsNormalizer(self._time_base, self.info.average_rate, self.note)
        last_good = self._clock.now()
        while True:
            with self._lock:
                if self._closed.is_set():
                    self._release()
                    return
                try:
                    packet = next(packets)
                except StopIteration:
                    raise CameraLost(f"{self.camera.name} stopped sending frames") from None
                except (av.error.FFmpegError, OSError) as error:
                    if getattr(error, "errno", None) == errno.EAGAIN:
                        continue
                    if self._closed.is_set():
                        self._release()
                        return
                    why = getattr(error, "strerror", None) or error
                    raise CameraLost(f"{self.camera.name} was unplugged or stopped: {why}") from error
                if not packet.size and packet.pts is None:  # PyAV's mark of the end
                    raise CameraLost(f"{self.camera.name} stopped sending frames")
                decoded: list[VideoFrame] = []
                if packet.size:  # else V4L2 got an incomplete picture; for a decoder it would be the end
                    with suppress(av.error.FFmpegError, ValueError):
                        decoded = [each for each in packet.decode() if isinstance(each, VideoFrame)]
                frames = [self._frame(each, times) for each in decoded if not each.is_corrupt]
                self.damaged += not frames
            now = self._clock.now()
            if frames:
                last_good = now
            elif now - last_good > UNDECODABLE_SECONDS:
                raise CameraLost(
                    f"{self.camera.name} sent no decodable frame for {UNDECODABLE_SECONDS:g} seconds"
                )
            yield from frames

    def _frame(self, decoded: VideoFrame, times: timestamps.PtsNormalizer) -> Frame:
        name = decoded.format.name
        source = read_color_info(
            decoded, rgb=decoded.format.is_rgb, full_range_default=name.startswith("yuvj"), size=(0, 0)
        )
        target = "nv12" if name == "nv12" else "yuv420p"
        picture = decoded
        if name != target or (source.matrix, source.full_range) != (
            _OUTPUT_COLOR.matrix,
            _OUTPUT_COLOR.full_range,
        ):
            picture = self._converter(decoded, target, source, _OUTPUT_COLOR)
        pts = times.normalized_pts(decoded)
        return Frame(
            view_planes(picture, target), target, pts, self._time_base, decoded.duration, _OUTPUT_COLOR,
            sample_aspect=self._aspect,
        )  # fmt: skip

    def close(self) -> None:
        """Release the camera and end the iteration. Can be called twice and from any thread."""
        self._closed.set()
        # FFmpeg may be waiting for a frame; if that takes too long, the reading thread releases the camera.
        if self._lock.acquire(timeout=RELEASE_SECONDS):
            try:
                self._release()
            finally:
                self._lock.release()

    def _release(self) -> None:
        if not self._released:
            self._released = True
            self._container.close()

    def __enter__(self) -> CameraSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
