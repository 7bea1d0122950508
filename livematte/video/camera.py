"""Cameras as a Source: V4L2, DirectShow and AVFoundation, through FFmpeg."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Iterator
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
from livematte.video import timing
from livematte.video.color import color_of
from livematte.video.devices import FORMATS, dshow_modes, find_camera, list_cameras
from livematte.video.modes import (
    DEFAULT_RATE,
    DEFAULT_SIZE,
    CameraInfo,
    CameraMode,
    Choice,
    choose_mode,
    format_named,
)
from livematte.video.pixels import Converter, planes_of
from livematte.video.standin import open_stand_in

__all__ = ["CameraInfo", "CameraMode", "CameraSource", "list_cameras", "open_camera", "open_stand_in"]

GARBAGE_SECONDS = 2.0
"""For so long a camera may send nothing that decodes before it counts as lost."""

RELEASE_SECONDS = 0.5
"""How long close() waits for a frame under way; a camera that hangs is let go when it answers."""

_AT_ONCE = {"fpsprobesize": "0"}
"""Else FFmpeg watches twenty frames to learn the rate, which the driver has told already."""

_NO_USE = (errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENODEV, errno.ENOENT)
"""Asking for another mode does not help against these."""

_COLOR = ColorInfo("bt601", False, matrix_tag=6, range_tag=1)
"""What every frame is handed out in: cameras send BT.601 unless they say otherwise (UVC 1.5, JFIF)."""


def open_camera(
    spec: str = "auto",
    *,
    size: tuple[int, int] | None = None,
    rate: Fraction | None = None,
    pixel_format: str | None = None,
    clock: Clock | None = None,
) -> CameraSource:
    """Open a camera in the mode nearest to what is wanted; ``info.details`` and ``notes`` say which.

    Args:
        spec: an id or a name as ``livematte devices`` lists them, '/dev/video0', a number, or 'auto'.
        size: (height, width); 720 x 1280 if possible otherwise.
        rate: frames a second; 30 if possible otherwise.
        pixel_format: 'yuyv422', 'mjpeg' ... as FFmpeg names them; the cheapest that reaches the rate
            otherwise.
        clock: for giving up on a camera that sends garbage; the system's otherwise.

    Raises:
        InputError: no such camera, no permission, in use by another program, or not in that pixel format.
    """
    format = FORMATS.get(sys.platform)
    if format is None:
        raise InputError(f"livematte knows no cameras on {sys.platform}: use --input with a file or address")
    camera = find_camera(spec, list_cameras())
    if camera.trouble:
        raise InputError(f"{camera.name}: {camera.trouble}")
    if format == "dshow":
        camera = replace(camera, modes=dshow_modes(camera.address))
    tries = _tries(camera, size, rate, None if pixel_format is None else format_named(pixel_format))
    refusal: Exception | None = None
    for choice in tries:
        try:
            container = av.open(camera.address, "r", format=format, options=_options(format, choice))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            refusal = error
            if getattr(error, "errno", None) in _NO_USE:
                break
            continue
        try:
            return CameraSource(camera, container, choice, clock or SystemClock())
        except BaseException:
            container.close()
            raise
    raise InputError(_refused(camera, refusal)) from refusal


def _tries(
    camera: CameraInfo, size: tuple[int, int] | None, rate: Fraction | None, pixel_format: str | None
) -> list[Choice]:
    """What to ask the camera for, best first."""
    if camera.modes:
        return [choose_mode(camera.modes, size, rate, pixel_format)]
    # It does not tell what it can: ask for what is wanted, then for less and less.
    height, width = size or DEFAULT_SIZE
    wanted = CameraMode(width, height, pixel_format or "")
    anything = CameraMode(0, 0, pixel_format or "")
    told = (f"the camera refused {width}x{height} at {float(rate or DEFAULT_RATE):.4g} fps",)
    return [
        Choice(wanted, rate or DEFAULT_RATE),
        Choice(wanted, None, told),
        Choice(anything, rate or DEFAULT_RATE, told),
        Choice(anything, None, told),
    ]


def _options(format: str, choice: Choice) -> dict[str, str]:
    """FFmpeg's options for a mode."""
    mode, options = choice.mode, dict(_AT_ONCE)
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


def _refused(camera: CameraInfo, error: Exception | None) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EBUSY:
        return f"{camera.name} is in use by another program: close it there, then try again"
    if number in (errno.EACCES, errno.EPERM):
        return f"{camera.name}: no permission to use the camera: allow it in the system's privacy settings"
    why = getattr(error, "strerror", None) or error
    return f"{camera.name} ({camera.id}) cannot be opened: {why}; is another program using it?"


class CameraSource:
    """Frames of one camera (protocols.Source). Made by :func:`open_camera`.

    Frames are 8-bit 4:2:0, BT.601 in limited range: ``nv12`` where the camera gives that, else ``yuv420p``.
    ``pts`` is the driver's time of capture; V4L2 counts microseconds of the system's monotonic clock.

    Attributes:
        info: what was negotiated; ``details`` has the camera's id, name, pixel format and rate.
        camera: which one it is; its id opens it again.
        damaged: packets so far that did not decode.
        notes: one line with what was negotiated, then one for each wish that the camera did not grant, and
            for what was repaired.
    """

    def __init__(self, camera: CameraInfo, container: InputContainer, choice: Choice, clock: Clock) -> None:
        self.camera, self.damaged = camera, 0
        self._container, self._time = container, clock
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._started = self._released = False
        if not container.streams.video:
            raise InputError(f"{camera.name} gives no picture")
        self._stream = stream = container.streams.video[0]
        if stream.time_base is None or stream.codec_context is None:
            raise InputError(f"{camera.name} gives a picture that FFmpeg does not know")
        self._time_base = stream.time_base
        # Threads that work on several frames at a time would hold each back by that many.
        stream.codec_context.thread_type = "SLICE"
        self._converter = Converter()
        given = stream.codec_context.pix_fmt or choice.mode.pixel_format
        rate = stream.average_rate or choice.rate
        codec = stream.codec_context.codec.canonical_name
        packed = given if codec in ("rawvideo", "wrapped_avframe") else codec
        fps = "" if rate is None else f" {float(rate):.4g} fps"
        size = f"{stream.codec_context.width}x{stream.codec_context.height}"
        self.notes = [f"camera {camera.name}: {size} {packed}{fps}", *choice.notes]
        self.info = SourceInfo(
            name=camera.name,
            height=stream.codec_context.height,
            width=stream.codec_context.width,
            format="nv12" if given == "nv12" else "yuv420p",
            time_base=self._time_base,
            average_rate=rate,
            color=_COLOR,
            details={
                "container": container.format.name,
                "camera": camera.id,
                "codec": codec,
                "pixel_format": given,
                "rate": None if rate is None else round(float(rate), 3),
                "notes": list(choice.notes),
            },
        )

    def note(self, line: str) -> None:
        """Add a line to ``notes``, once."""
        if line not in self.notes:
            self.notes.append(line)

    def __iter__(self) -> Iterator[Frame]:
        """Frames as they come; waits for the next. Packets that do not decode are left out.

        Raises:
            CameraLost: unplugged, broken off, or nothing but garbage for GARBAGE_SECONDS.
            InputError: iterated a second time.
        """
        if self._started:
            raise InputError(f"{self.camera.name} is read once only: open it again")
        self._started = True
        packets = self._container.demux(self._stream)
        times = timing.Clock(self._time_base, self.info.average_rate, self.note)
        good = self._time.now()
        while True:
            with self._lock:
                if self._closed.is_set():
                    self._release()
                    return
                try:
                    packet = next(packets)
                except StopIteration:
                    raise CameraLost(f"{self.camera.name} stopped sending pictures") from None
                except (av.error.FFmpegError, OSError) as error:
                    if getattr(error, "errno", None) == errno.EAGAIN:
                        continue
                    if self._closed.is_set():
                        self._release()
                        return
                    why = getattr(error, "strerror", None) or error
                    raise CameraLost(f"{self.camera.name} was unplugged or broke off: {why}") from error
                if not packet.size:  # FFmpeg's way of saying that nothing more comes
                    raise CameraLost(f"{self.camera.name} stopped sending pictures")
                try:
                    decoded = [each for each in packet.decode() if isinstance(each, VideoFrame)]
                except (av.error.FFmpegError, ValueError):
                    decoded = []
                frames = [self._frame(each, times) for each in decoded if not each.is_corrupt]
                self.damaged += not frames
            now = self._time.now()
            if frames:
                good = now
            elif now - good > GARBAGE_SECONDS:
                raise CameraLost(
                    f"{self.camera.name} has sent nothing but garbage for {GARBAGE_SECONDS:g} seconds"
                )
            yield from frames

    def _frame(self, decoded: VideoFrame, times: timing.Clock) -> Frame:
        name = decoded.format.name
        source = color_of(
            decoded, rgb=decoded.format.is_rgb, full_range_default=name.startswith("yuvj"), height=0
        )
        target = "nv12" if name == "nv12" else "yuv420p"
        picture = decoded
        if name != target or (source.matrix, source.full_range) != (_COLOR.matrix, _COLOR.full_range):
            picture = self._converter(decoded, target, source, _COLOR)
        pts = times.time_of(decoded)
        return Frame(planes_of(picture, target), target, pts, self._time_base, decoded.duration, _COLOR)

    def close(self) -> None:
        """Let go of the camera. Twice and from any thread is fine; iteration then ends."""
        self._closed.set()
        # FFmpeg may be waiting for the next frame; whoever waits lets go if it takes longer.
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
