"""Frames in GPU memory for an NVIDIA encoder."""

from __future__ import annotations

import weakref
from functools import lru_cache
from typing import Any

import numpy as np
from av.video import frame as av_frame
from av.video.frame import VideoFrame

from livematte.device.cuda import cupy, empty, gpu_scope
from livematte.device.errors import gpu_errors
from livematte.device.transfer import to_gpu
from livematte.frame import Array, Frame
from livematte.kernels.convert import split_planes
from livematte.kernels.surface import write_surface
from livematte.protocols import SourceInfo
from livematte.video.pixels import set_frame_properties

CONTEXT_FORMAT = "cuda"
"""FFmpeg's pixel format of all frames in GPU memory."""

_SURFACE_FORMATS = {
    ("nv12", "nv12"): "nv12",
    ("yuv420p", "yuv420p"): "nv12",
    ("yuv420p10le", "p010le"): "p010le",
}
"""Surface format by (frame format, encoder format). All are lossless."""

_PITCH_ALIGNMENT = 256
"""Row alignment in bytes, as in FFmpeg's own surfaces. NVENC requires 4."""


def open_surface_pool(info: SourceInfo, stored: str, gpu: int) -> SurfacePool | None:
    """Return a pool that passes frames of ``info`` to a GPU encoder with pixel format ``stored``.

    Return None if that is not supported: it needs PyAV 18.1, which passes NV12 and P010 of even size to
    encoders. Without a pool, frames pass through host memory.
    """
    supported = hasattr(getattr(av_frame, "CudaContext", None), "cuda_stream")  # newest required API
    format = _SURFACE_FORMATS.get((info.format, stored))
    if not supported or format is None or info.height % 2 or info.width % 2:
        return None
    return SurfacePool(gpu, format, info.height, info.width)


class SurfacePool:
    """Copies frames to surfaces that a GPU encoder reads, one surface for each frame that the encoder holds.

    NVENC gets only the address and pitch of a picture, so chroma must follow the last luma row. FFmpeg
    registers each address permanently, so the surfaces are reused and kept until the encoder is closed.

    Args:
        gpu: index of the GPU, also used by the encoder.
        format: ``nv12`` or ``p010le``.
    """

    def __init__(self, gpu: int, format: str, height: int, width: int) -> None:
        self._gpu, self._format, self._size = gpu, format, (height, width)
        self._dtype = np.dtype(np.uint8 if format == "nv12" else np.uint16)
        self._surfaces: list[Array] = []
        self._idle: list[Array] = []
        self._context: Any = None

    def __call__(self, frame: Frame) -> VideoFrame:
        """Copy ``frame`` to a surface and wait for the copy. FFmpeg releases the surface for reuse.

        Args:
            frame: all GPU work on its planes must be complete.
        """
        height, width = self._size
        stream, encode_stream = _streams(cupy(), self._gpu)
        with gpu_errors(self._gpu), gpu_scope(stream, self._gpu):
            memory = self._idle.pop() if self._idle else self._allocate()
            luma, chroma = memory[:height, :width], memory[height:, :width]
            planes = split_planes(frame.with_planes(tuple(map(to_gpu, frame.planes))))
            depth = frame.pixel_format.depth
            write_surface(planes[:3], depth, (luma, chroma[:, 0::2], chroma[:, 1::2]))
            copy_done = cupy().cuda.Event(block=True, disable_timing=True)
            copy_done.record(stream)
            copy_done.synchronize()
            if self._context is None:  # shares the CUDA context with CuPy
                # With its own stream NVENC does not wait for other work, and copies do not wait for NVENC,
                # which occupies its stream until a picture is encoded. PyAV 18.1 accepts one for GPU 0 only.
                own = encode_stream.ptr if self._gpu == 0 else None
                self._context = av_frame.CudaContext(
                    self._gpu, primary_ctx=False, current_ctx=True, cuda_stream=own
                )
            out = VideoFrame.from_dlpack(
                (luma, chroma), self._format, width, height, cuda_context=self._context
            )
        weakref.finalize(luma, self._idle.append, memory).atexit = False
        set_frame_properties(out, frame)
        return out

    def _allocate(self) -> Array:
        height, width = self._size
        pitch = (
            -(-width * self._dtype.itemsize // _PITCH_ALIGNMENT) * _PITCH_ALIGNMENT // self._dtype.itemsize
        )
        self._surfaces.append(empty((height + height // 2, pitch), self._dtype))
        return self._surfaces[-1]


@lru_cache(maxsize=16)
def _streams(module: Any, gpu: int) -> tuple[Any, Any]:
    """Return the copy stream and the encode stream of the process; see :mod:`livematte.device.execution`."""
    with gpu_scope(device=gpu):
        return module.cuda.Stream(non_blocking=True), module.cuda.Stream(non_blocking=True)
