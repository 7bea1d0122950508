"""Decoding by a part of the graphics card: whether it is there, and surfaces that stay on an NVIDIA GPU.

A decoded surface is NV12, or P010 where there are more than 8 bits. What the CPU works on is downloaded, and
that copy eats up much of what the card saves: nothing is decoded so unless a GPU works on the frames, or
somebody asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.codec.codec import Codec, UnknownCodecError
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container.input import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.device import driver_gpus
from livematte.errors import LivematteError, UsageError
from livematte.frame import Array
from livematte.kernels.cuda_launch import cupy, current_stream, empty, from_dlpack, on
from livematte.video.opening import open_container

HWACCELS = ("auto", "none", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va")
"""What ``--hwaccel`` takes."""

_SURFACES = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le", "yuv420p12le": "p016le"}
"""What NVIDIA's decoder makes of a stream's format, where its surfaces can be taken over as they are."""

_PLANAR = {"nv12": "yuv420p", "p010le": "yuv420p10le", "p016le": "yuv420p12le"}

_BITS = {"nv12": 8, "p010le": 10, "p016le": 12}


def check_hwaccel(name: str) -> None:
    """Raise UsageError unless ``name`` is one of :data:`HWACCELS`."""
    if name not in HWACCELS:
        close = get_close_matches(name, HWACCELS, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"unknown hwaccel {name!r}: {hint}allowed are {', '.join(HWACCELS)}")


@dataclass(frozen=True)
class HardwareDecoder:
    """A decoder in hardware, opened.

    Attributes:
        context: takes packets and gives frames.
        kind: one of :data:`HWACCELS`.
        surface: FFmpeg's name of the format it decodes to: ``cuda``, ``vaapi``, ``d3d11`` ...
        held: the pixel format inside of surfaces that are handed out as they are; empty where each frame is
            downloaded first.
        gpu: the GPU that such surfaces are on.
        container: the file, opened once more to make ``context``; None where FFmpeg has a decoder of its own
            for this, which then is not told what the container says: how the picture is turned, its light.
    """

    context: VideoCodecContext
    kind: str
    surface: str
    held: str = ""
    gpu: int = 0
    container: InputContainer | None = None

    def close(self) -> None:
        """Let go of the file."""
        if self.container is not None:
            self.container.close()

    @property
    def in_use(self) -> bool:
        """Whether hardware does it; known after the first frame: FFmpeg goes on without where it cannot."""
        return self.context.pix_fmt == self.surface

    def is_surface(self, frame: VideoFrame) -> bool:
        """Whether ``frame`` is on the GPU."""
        return bool(self.held) and frame.format.name == self.surface

    def planes(self, frame: VideoFrame) -> tuple[Array, ...]:
        """The planes of a surface, for what is queued on CuPy's current stream from now on.

        NV12's are shared: the decoder writes to that memory again once nobody holds them, so that whoever
        queues work on them keeps them until it is done. P010's become Y, U and V, the value in the low bits.
        """
        from livematte.kernels.cuda import planes_from_surface

        with on(device=self.gpu):
            _order(before=_null(), after=current_stream())  # the decoder queues on CUDA's default stream
            planes = tuple(from_dlpack(_Shared(plane)) for plane in frame.planes)
            if self.held == "nv12":
                return planes
            made = planes_from_surface(planes[0], planes[1], _BITS[self.held])
            _order(before=current_stream(), after=_null())
            return made

    def downloaded(self, frame: VideoFrame) -> VideoFrame:
        """A surface, or what already is downloaded, as planar YUV in the computer's memory."""
        format = _PLANAR.get(self.held if self.is_surface(frame) else frame.format.name)
        if format is None:
            return frame
        ranges = {"src_color_range": frame.color_range, "dst_color_range": frame.color_range}
        return frame.reformat(format=format, **ranges)


def open_hardware(
    path: str | Path, stream: VideoStream, kind: str, gpu: int | None = None, card: int | None = None
) -> HardwareDecoder | str:
    """A decoder for ``stream`` of the file ``path``, or in one clause why there is none.

    Args:
        kind: one of :data:`HWACCELS` but auto and none.
        gpu: the NVIDIA GPU that frames are worked on by, which they then stay on where they can; None
            downloads each.
        card: the NVIDIA GPU that decodes then; by default the first.
    """
    declared = stream.codec_context
    if {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode") == "1":
        return "hardware decodes no transparency"
    if kind not in hwdevices_available():
        has = ", ".join(hwdevices_available()) or "none"
        return f"FFmpeg in PyAV {av.__version__} was built without {kind} (it has {has})"
    if kind == "cuda" and not driver_gpus():
        return "no NVIDIA GPU or driver was found"
    found = _decoder(declared.codec.canonical_name, kind)
    if found is None:
        return f"{kind} does not decode {declared.codec.canonical_name}"
    codec, surface = found
    held = ""
    if kind == "cuda" and gpu is not None and not (declared.width % 2 or declared.height % 2):
        held = _SURFACES.get(declared.pix_fmt or "", "")
    try:
        if held:
            with on(device=gpu):
                # CUDA's context, which FFmpeg then shares whoever made it; memory alone torch may have kept
                empty((1,), np.uint8).fill(0)
                context, container = _context(path, stream, codec, kind, gpu, shared=True)
        else:
            context, container = _context(path, stream, codec, kind, card if gpu is None else gpu)
    except (av.error.FFmpegError, OSError, ValueError, LivematteError) as error:
        return f"{kind} cannot be opened: {_reason(error)}"
    return HardwareDecoder(context, kind, surface, held, gpu or 0, container)


def _reason(error: BaseException) -> str:
    """FFmpeg's own word, also where opening the file was what failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return getattr(error, "strerror", None) or str(error)


def _decoder(name: str, kind: str) -> tuple[Codec, str] | None:
    """FFmpeg's decoder of ``name`` that runs on ``kind``, and the format of its frames."""
    for each in (name, f"{name}_{kind}"):  # Intel's have names of their own
        try:
            codec = Codec(each, "r")
        except UnknownCodecError:
            continue
        for config in codec.hardware_configs or ():
            if config.device_type.name == kind and config.is_supported and config.format is not None:
                return codec, config.format.name
    return None


def _context(
    path: str | Path, stream: VideoStream, codec: Codec, kind: str, gpu: int | None, *, shared: bool = False
) -> tuple[VideoCodecContext, InputContainer | None]:
    device = str(gpu) if kind == "cuda" and gpu is not None else None
    options: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"} if shared else {}
    how = HWAccel(kind, device, allow_software_fallback=True, options=options, is_hw_owned=shared)
    if codec.name != stream.codec_context.codec.name:  # Intel's; AV1 is opened with libdav1d
        context = CodecContext.create(codec, "r", hwaccel=how)
        assert isinstance(context, VideoCodecContext)
        context.extradata = stream.codec_context.extradata
        context.width, context.height = stream.codec_context.width, stream.codec_context.height
        return context, None
    container = open_container(path, how)
    found = container.streams[stream.index]
    assert isinstance(found, VideoStream)
    if not found.codec_context.is_hwaccel:
        container.close()
        raise ValueError(f"it does not decode {codec.canonical_name}")
    return found.codec_context, container


class _Shared:
    """A plane for CuPy, which names a stream that PyAV wants to know nothing of."""

    def __init__(self, plane: Any) -> None:
        self._plane = plane

    def __dlpack_device__(self) -> Any:
        return self._plane.__dlpack_device__()

    def __dlpack__(self, **_: Any) -> Any:
        return self._plane.__dlpack__()


def _null() -> Any:
    return cupy().cuda.Stream.null


def _order(*, before: Any, after: Any) -> None:
    """What is queued on ``after`` from now on waits for what was queued on ``before``."""
    if before == after:
        return
    event = cupy().cuda.Event(disable_timing=True)
    event.record(before)
    after.wait_event(event)
