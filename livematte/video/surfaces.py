"""Pictures for an NVIDIA GPU's encoder that stay in the GPU's memory."""

from __future__ import annotations

import weakref
from functools import lru_cache
from typing import Any

import numpy as np
from av.video import frame as of_frames
from av.video.frame import VideoFrame

from livematte.frame import Array, Frame
from livematte.kernels import twins
from livematte.kernels.copies import to_gpu, told_of
from livematte.kernels.cuda_launch import cupy, empty, on
from livematte.protocols import SourceInfo
from livematte.video.pixels import tag

CONTEXT_FORMAT = "cuda"
"""What FFmpeg calls pictures in a GPU's memory, whatever is in them."""

_INSIDE = {
    ("nv12", "nv12"): "nv12",
    ("yuv420p", "yuv420p"): "nv12",
    ("yuv420p10le", "p010le"): "p010le",
}
"""The format of a surface, by that of frames and the one that the encoder was to be given: no bit is lost."""

_ALIGNED = 256
"""Bytes: rows begin at multiples of it, as in FFmpeg's own surfaces. NVENC asks for 4."""


def surfaces_for(info: SourceInfo, stored: str, gpu: int) -> Surfaces | None:
    """What carries frames of ``info`` to an encoder of a GPU that was to be given the format ``stored``; None
    where nothing does.

    PyAV hands NV12 and P010 to encoders, in even sizes, since 18.1: before, they take the computer's memory.
    """
    able = hasattr(getattr(of_frames, "CudaContext", None), "cuda_stream")  # the newest of what is needed
    format = _INSIDE.get((info.format, stored))
    if not able or format is None or info.height % 2 or info.width % 2:
        return None
    return Surfaces(gpu, format, info.height, info.width)


class Surfaces:
    """Puts frames where a GPU's encoder takes them from, one surface for each that it holds.

    NVENC is told of a picture's address and pitch alone: chroma follows luma's last row. FFmpeg remembers an
    address for good, so that the same few serve again and again and are kept until the encoder is gone.

    Args:
        gpu: which GPU, the encoder's too.
        format: ``nv12`` or ``p010le``.
    """

    def __init__(self, gpu: int, format: str, height: int, width: int) -> None:
        self._gpu, self._format, self._size = gpu, format, (height, width)
        self._dtype = np.dtype(np.uint8 if format == "nv12" else np.uint16)
        self._all: list[Array] = []
        self._idle: list[Array] = []
        self._context: Any = None

    def __call__(self, frame: Frame) -> VideoFrame:
        """A copy of ``frame``, done when this returns. Its surface is used again when FFmpeg lets go of it.

        Args:
            frame: whose planes are complete, whatever stream made them.
        """
        from livematte.kernels import cuda

        height, width = self._size
        stream, encoding = _streams(cupy(), self._gpu)
        with told_of(self._gpu), on(stream, self._gpu):
            memory = self._idle.pop() if self._idle else self._another()
            luma, chroma = memory[:height, :width], memory[height:, :width]
            planes = twins.split_planes(frame.with_planes(tuple(map(to_gpu, frame.planes))))
            depth = frame.pixel_format.depth
            cuda.onto_surface(planes[:3], depth, (luma, chroma[:, 0::2], chroma[:, 1::2]))
            copied = cupy().cuda.Event(block=True, disable_timing=True)
            copied.record(stream)
            copied.synchronize()
            if self._context is None:  # shares CUDA's context with CuPy, whoever made it
                # On a stream of its own NVENC waits for no other work, and no copy for NVENC, which keeps its
                # stream until a picture is encoded; PyAV 18.1 takes one for GPU 0 only.
                own = encoding.ptr if self._gpu == 0 else None
                self._context = of_frames.CudaContext(
                    self._gpu, primary_ctx=False, current_ctx=True, cuda_stream=own
                )
            out = VideoFrame.from_dlpack(
                (luma, chroma), self._format, width, height, cuda_context=self._context
            )
        weakref.finalize(luma, self._idle.append, memory).atexit = False
        tag(out, frame)
        return out

    def _another(self) -> Array:
        height, width = self._size
        pitch = -(-width * self._dtype.itemsize // _ALIGNED) * _ALIGNED // self._dtype.itemsize
        self._all.append(empty((height + height // 2, pitch), self._dtype))
        return self._all[-1]


@lru_cache(maxsize=16)
def _streams(module: Any, gpu: int) -> tuple[Any, Any]:
    """To copy and to encode on, for a whole process; see :mod:`livematte.kernels.copies`."""
    with on(device=gpu):
        return module.cuda.Stream(non_blocking=True), module.cuda.Stream(non_blocking=True)
