"""Execution contexts: the memory and the queues in which frames are processed, on the CPU or on a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from livematte.device.cuda import cupy, current_stream, empty, gpu_scope, on_gpu
from livematte.device.errors import gpu_errors
from livematte.device.transfer import count_transfer, to_host
from livematte.frame import Array, Frame


class Download(Protocol):
    """Arrays that are being copied to the computer's memory."""

    def result(self) -> tuple[Array, ...]:
        """Wait for the copies and return them as NumPy arrays."""
        ...


class ExecutionContext(Protocol):
    """Memory and queues in which frames are processed, and their transfer from decoders and to sinks.

    Threads of one pipeline share one. The caller of :meth:`download` keeps the arrays' sources until
    :meth:`Download.result` returns: memory that is freed earlier may be written to while it is read.
    """

    def upload_stream(self) -> AbstractContextManager[None]:
        """A block whose work runs beside that of :meth:`compute_stream`: for decoding and :meth:`upload`."""
        ...

    def compute_stream(self) -> AbstractContextManager[None]:
        """A block whose work is queued in the order of the calls, whatever thread makes them."""
        ...

    def upload(self, frame: Frame) -> Frame:
        """The frame in this context's memory, for work that is queued after this call."""
        ...

    def record_event(self) -> Any:
        """An event that is complete once all work queued so far in this block is."""
        ...

    def wait_event(self, event: Any) -> None:
        """Make work that is queued in this block after this call wait for ``event``."""
        ...

    def download(self, arrays: Sequence[Array]) -> Download:
        """Start to copy arrays to host memory; they must not be modified any more."""
        ...

    def close(self) -> None:
        """Wait for all copies that have not finished."""
        ...


class CpuContext:
    """The computer's memory, without queues: work is done when its call returns."""

    def upload_stream(self) -> AbstractContextManager[None]:
        """A block that changes nothing."""
        return nullcontext()

    compute_stream = upload_stream

    def upload(self, frame: Frame) -> Frame:
        """The frame itself, unless a decoder left it on a GPU."""
        if not any(map(on_gpu, frame.planes)):
            return frame
        return frame.with_planes(tuple(map(to_host, frame.planes)))

    def record_event(self) -> None:
        """None: all work is done."""

    def wait_event(self, event: None) -> None:
        """Return at once."""

    def download(self, arrays: Sequence[Array]) -> Download:
        """The arrays as they are."""
        return _CpuDownload(tuple(arrays))

    def close(self) -> None:
        """Return at once."""


@dataclass(frozen=True)
class _CpuDownload:
    arrays: tuple[Array, ...]

    def result(self) -> tuple[Array, ...]:
        return self.arrays


_MOST_UPLOADS = 3
"""Maximum number of concurrent uploads; each uses pinned memory of the size of a frame."""


class CudaContext:
    """A GPU, with one copy stream in each direction and pinned memory. See :class:`ExecutionContext`.

    Work is queued on CUDA's default stream, which CuPy and torch use by default too.

    Raises:
        MissingExtraError: CuPy is not installed.
        DeviceError: there is no usable GPU; inside a block, the GPU has run out of memory or has failed.
    """

    def __init__(self, index: int = 0) -> None:
        """Use the GPU with this index."""
        self._index = index
        self._upload_stream, self._download_stream = _copy_streams(cupy(), index)
        self._uploads: deque[tuple[Any, list[Array]]] = deque()
        self._downloads: dict[int, _CudaDownload] = {}

    def upload_stream(self) -> AbstractContextManager[None]:
        """A block on the upload stream."""
        return self._scope(self._upload_stream)

    def compute_stream(self) -> AbstractContextManager[None]:
        """A block on the default stream, whatever the current one of each thread is."""
        return self._scope(cupy().cuda.Stream.null)

    @contextmanager
    def _scope(self, stream: Any) -> Iterator[None]:
        with gpu_errors(self._index), gpu_scope(stream, self._index):
            yield

    def upload(self, frame: Frame) -> Frame:
        """Planes that are on the GPU already, as a hardware decoder leaves them, are not copied."""
        planes, pinned = [], []
        for plane in frame.planes:
            if not on_gpu(plane):
                pinned.append(_pinned(plane.shape, plane.dtype))
                pinned[-1][...] = plane
                plane = empty(plane.shape, plane.dtype)
                plane.set(pinned[-1], stream=current_stream())
                count_transfer(uploaded=plane.nbytes)
            planes.append(plane)
        if pinned:
            self._uploads.append((self.record_event(), pinned))
            if len(self._uploads) > _MOST_UPLOADS:
                self._uploads.popleft()[0].synchronize()
        return frame.with_planes(tuple(planes))

    def record_event(self) -> Any:
        """A CUDA event on the current stream."""
        event = cupy().cuda.Event(block=True, disable_timing=True)
        event.record(current_stream())
        return event

    def wait_event(self, event: Any) -> None:
        """The GPU waits, the caller does not."""
        current_stream().wait_event(event)

    def download(self, arrays: Sequence[Array]) -> Download:
        """Arrays that are not on the GPU stay as they are; one that is passed twice is copied once."""
        there = {id(x): cupy().ascontiguousarray(x) for x in arrays if on_gpu(x)}
        self._download_stream.wait_event(self.record_event())
        here = {}
        for key, x in there.items():
            here[key] = x.get(stream=self._download_stream, out=_pinned(x.shape, x.dtype), blocking=False)
            count_transfer(downloaded=x.nbytes)
        event = cupy().cuda.Event(block=True, disable_timing=True)
        event.record(self._download_stream)
        copies = tuple(here.get(id(x), x) for x in arrays)
        download = _CudaDownload(self._index, event, (arrays, there), copies, self._downloads)
        self._downloads[id(download)] = download
        return download

    def close(self) -> None:
        """Wait for all copies: memory that the GPU reads or writes may be freed only then."""
        for event, _ in self._uploads:
            event.synchronize()
        for download in list(self._downloads.values()):
            download.result()


class _CudaDownload:
    def __init__(
        self,
        index: int,
        event: Any,
        sources: object,
        copies: tuple[Array, ...],
        pending: dict[int, _CudaDownload],
    ) -> None:
        self._index, self._event, self._sources, self._copies = index, event, sources, copies
        self._pending = pending

    def result(self) -> tuple[Array, ...]:
        with gpu_errors(self._index):
            self._event.synchronize()
        self._pending.pop(id(self), None)
        self._sources = None
        return self._copies


@lru_cache(maxsize=16)
def _copy_streams(module: Any, index: int) -> tuple[Any, Any]:
    """The streams for uploads and for downloads of a GPU, made once a process.

    CuPy keeps freed memory for the stream that it was allocated on.
    """
    with gpu_scope(device=index):
        return module.cuda.Stream(non_blocking=True), module.cuda.Stream(non_blocking=True)


def _pinned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Allocate pinned memory, which asynchronous copies need. CuPy reuses freed memory."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    memory = cupy().cuda.alloc_pinned_memory(count * dtype.itemsize)
    return np.frombuffer(memory, dtype, count).reshape(shape)
