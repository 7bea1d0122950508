"""Hardware decoding, and decoded surfaces that stay in the memory of an NVIDIA GPU.

A decoded surface is NV12, or P010 for more than 8 bits. Frames for the CPU must be downloaded, which costs
most of the time that hardware decoding saves. Therefore it is used only if a GPU processes the frames or on
request.
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
from livematte.device.cuda import cupy, current_stream, empty, from_dlpack, gpu_scope
from livematte.errors import LivematteError, UsageError
from livematte.frame import Array
from livematte.video.container import open_container

HWACCELS = ("auto", "none", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va")
"""Values of ``--hwaccel``."""

_SURFACES = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le", "yuv420p12le": "p016le"}
"""Surface format that NVIDIA's decoder produces for a stream format, if it can be used without a download."""

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
    """An open hardware decoder.

    Attributes:
        context: accepts packets and returns frames.
        kind: one of :data:`HWACCELS`.
        hw_format: FFmpeg pixel format of decoded surfaces: ``cuda``, ``vaapi``, ``d3d11`` ...
        sw_format: pixel format inside surfaces that are returned without a download; empty if all frames are
            downloaded.
        gpu: index of the GPU that holds such surfaces.
        container: second handle of the file, which owns ``context``. None if FFmpeg has a separate decoder
            for this hardware; then frames lack the container's side data, such as rotation and HDR metadata.
    """

    context: VideoCodecContext
    kind: str
    hw_format: str
    sw_format: str = ""
    gpu: int = 0
    container: InputContainer | None = None

    def close(self) -> None:
        """Release the file."""
        if self.container is not None:
            self.container.close()

    @property
    def is_active(self) -> bool:
        """True if hardware decodes. Known after the first frame: FFmpeg falls back to software silently."""
        return self.context.pix_fmt == self.hw_format

    def is_surface(self, frame: VideoFrame) -> bool:
        """Return True if ``frame`` is in GPU memory."""
        return bool(self.sw_format) and frame.format.name == self.hw_format

    def planes(self, frame: VideoFrame) -> tuple[Array, ...]:
        """Return the planes of a surface, for work that is queued on CuPy's current stream from now on.

        NV12 planes share the decoder's memory. The decoder reuses that memory when the arrays are released,
        so keep them until the queued work is complete. P010 is converted to Y, U and V with the value in the
        low bits.
        """
        from livematte.kernels.surface import planes_from_surface

        with gpu_scope(device=self.gpu):
            _order_streams(before=_default_stream(), after=current_stream())  # of the decoder
            planes = tuple(from_dlpack(_StreamlessPlane(plane)) for plane in frame.planes)
            if self.sw_format == "nv12":
                return planes
            planes = planes_from_surface(planes[0], planes[1], _BITS[self.sw_format])
            _order_streams(before=current_stream(), after=_default_stream())
            return planes

    def download(self, frame: VideoFrame) -> VideoFrame:
        """Return a surface, or a frame that is already downloaded, as planar YUV in host memory."""
        format = _PLANAR.get(self.sw_format if self.is_surface(frame) else frame.format.name)
        if format is None:
            return frame
        ranges = {"src_color_range": frame.color_range, "dst_color_range": frame.color_range}
        return frame.reformat(format=format, **ranges)


def open_hardware(
    path: str | Path, stream: VideoStream, kind: str, gpu: int | None = None, card: int | None = None
) -> HardwareDecoder | str:
    """Return a decoder for ``stream`` of the file ``path``, or the reason why there is none.

    Args:
        kind: one of :data:`HWACCELS` except auto and none.
        gpu: index of the NVIDIA GPU that processes the frames; they stay on it if possible. None downloads
            all frames.
        card: index of the NVIDIA GPU that decodes if ``gpu`` is None; by default the first.
    """
    declared = stream.codec_context
    if {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode") == "1":
        return "hardware decoders do not support transparency"
    if kind not in hwdevices_available():
        has = ", ".join(hwdevices_available()) or "none"
        return f"FFmpeg in PyAV {av.__version__} was built without {kind} (it has {has})"
    if kind == "cuda" and not driver_gpus():
        return "no NVIDIA GPU or driver was found"
    found = _find_decoder(declared.codec.canonical_name, kind)
    if found is None:
        return f"{kind} does not decode {declared.codec.canonical_name}"
    codec, hw_format = found
    sw_format = ""
    if kind == "cuda" and gpu is not None and not (declared.width % 2 or declared.height % 2):
        sw_format = _SURFACES.get(declared.pix_fmt or "", "")
    try:
        if sw_format:
            with gpu_scope(device=gpu):
                # Launch a kernel to create the CUDA context that FFmpeg shares: an allocation
                # alone may be served from torch's cache.
                empty((1,), np.uint8).fill(0)
                context, container = _open_decoder(path, stream, codec, kind, gpu, shared=True)
        else:
            context, container = _open_decoder(path, stream, codec, kind, card if gpu is None else gpu)
    except (av.error.FFmpegError, OSError, ValueError, LivematteError) as error:
        return f"{kind} cannot be opened: {_reason(error)}"
    return HardwareDecoder(context, kind, hw_format, sw_format, gpu or 0, container)


def _reason(error: BaseException) -> str:
    """Return FFmpeg's own message, also if opening the file failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    return getattr(error, "strerror", None) or str(error)


def _find_decoder(name: str, kind: str) -> tuple[Codec, str] | None:
    """Return FFmpeg's decoder of codec ``name`` for ``kind``, and its frame format."""
    for each in (name, f"{name}_{kind}"):  # Intel's decoders have names of their own
        try:
            codec = Codec(each, "r")
        except UnknownCodecError:
            continue
        for config in codec.hardware_configs or ():
            if config.device_type.name == kind and config.is_supported and config.format is not None:
                return codec, config.format.name
    return None


def _open_decoder(
    path: str | Path, stream: VideoStream, codec: Codec, kind: str, gpu: int | None, *, shared: bool = False
) -> tuple[VideoCodecContext, InputContainer | None]:
    device = str(gpu) if kind == "cuda" and gpu is not None else None
    options: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"} if shared else {}
    hwaccel = HWAccel(kind, device, allow_software_fallback=True, options=options, is_hw_owned=shared)
    if codec.name != stream.codec_context.codec.name:  # Intel's decoders; also AV1, which opens with libdav1d
        context = CodecContext.create(codec, "r", hwaccel=hwaccel)
        assert isinstance(context, VideoCodecContext)
        context.extradata = stream.codec_context.extradata
        context.width, context.height = stream.codec_context.width, stream.codec_context.height
        return context, None
    container = open_container(path, hwaccel)
    found = container.streams[stream.index]
    assert isinstance(found, VideoStream)
    if not found.codec_context.is_hwaccel:
        container.close()
        raise ValueError(f"it does not decode {codec.canonical_name}")
    return found.codec_context, container


class _StreamlessPlane:
    """A plane whose ``__dlpack__`` ignores the stream that CuPy passes and PyAV does not accept."""

    def __init__(self, plane: Any) -> None:
        self._plane = plane

    def __dlpack_device__(self) -> Any:
        return self._plane.__dlpack_device__()

    def __dlpack__(self, **_: Any) -> Any:
        return self._plane.__dlpack__()


def _default_stream() -> Any:
    return cupy().cuda.Stream.null


def _order_streams(*, before: Any, after: Any) -> None:
    """Make work that is queued on ``after`` from now on wait for work already queued on ``before``."""
    if before == after:
        return
    event = cupy().cuda.Event(disable_timing=True)
    event.record(before)
    after.wait_event(event)
