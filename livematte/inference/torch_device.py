"""Interface to an NVIDIA GPU through torch: the only module of this runtime that calls CUDA.

Work is queued on three CUDA streams that overlap: ``upload``, ``compute`` and ``download``. A stream runs its
work in order and waits for another stream only by :meth:`TorchDevice.wait_event`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from livematte.device import Device, is_numpy, to_torch
from livematte.device.cuda import current_stream, gpu_scope
from livematte.errors import DeviceError
from livematte.frame import Array
from livematte.inference.network import OutOfMemory
from livematte.inference.torch_memory import TensorLender, release_memory, share_memory

Tensors = tuple[torch.Tensor, ...]
Replay = Callable[[], None]

_WARM_UPS = 3
"""Runs before a graph is captured: cuDNN selects algorithms, libraries allocate memory."""

_CAPTURE_LOCK = threading.Lock()
"""Starting a capture synchronizes the whole GPU, which fails while another thread captures."""


class TorchDevice(Protocol):
    """Device operations that :class:`livematte.inference.torch_cuda.GraphNetwork` requires."""

    kind: str
    """torch's name of this kind of device."""

    def load(self, module: torch.nn.Module) -> torch.nn.Module:
        """Move ``module`` to device memory, in channels-last layout."""
        ...

    def zeros(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Allocate zeroed device memory on the ``compute`` stream."""
        ...

    def pinned(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Allocate pinned host memory, for asynchronous copies."""
        ...

    def enqueue(self, queue: str, work: Callable[[], None]) -> None:
        """Call ``work``, whose launches are queued on stream ``queue`` and run later, in order."""
        ...

    def record_event(self, queue: str) -> Any:
        """Return an event that is reached when all work that is now in ``queue`` is complete."""
        ...

    def wait_event(self, queue: str, event: Any) -> None:
        """Make later work in ``queue`` wait for ``event``."""
        ...

    def synchronize(self, event: Any) -> None:
        """Block the calling thread until ``event`` is reached."""
        ...

    def is_done(self, event: Any) -> bool:
        """Return True if ``event`` is reached."""
        ...

    def import_array(self, array: Array) -> torch.Tensor:
        """Return a CuPy array or torch tensor without a copy. ``compute`` waits for the owner's stream."""
        ...

    def export_arrays(self, tensors: Tensors, event: Any, like: Array) -> tuple[Array, ...]:
        """Return ``tensors`` as arrays of the type of ``like`` without a copy.

        Its stream waits for ``event``.
        """
        ...

    def warm_up(self, run: Callable[[], Tensors]) -> Tensors:
        """Run in ``compute`` until all algorithms are selected, and wait."""
        ...

    def capture(self, run: Callable[[], Tensors]) -> tuple[Replay, Tensors]:
        """Capture ``run`` as a graph. Return a function that launches it, and its output tensors.

        Raises:
            RuntimeError: ``run`` contains operations that a graph does not support.
        """
        ...

    def free_bytes(self) -> int:
        """Return the number of free bytes of device memory."""
        ...

    def release_cached(self) -> None:
        """Release cached memory."""
        ...


def open_torch_device(device: Device, dtype: torch.dtype) -> TorchDevice:
    """Open the GPU of ``device`` for computation in ``dtype``.

    Raises:
        DeviceError: ``dtype`` is bfloat16 and the GPU does not support it.
    """
    return _Cuda(device, dtype)


class _Cuda:
    kind = "cuda"

    def __init__(self, device: Device, dtype: torch.dtype) -> None:
        self._device, self._torch_device, self._lender = (
            device,
            torch.device("cuda", device.index),
            TensorLender(),
        )
        share_memory()
        with torch.cuda.device(self._torch_device):
            if dtype is torch.bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
                name = torch.cuda.get_device_name()
                raise DeviceError(f"{device} ({name}) has no bfloat16: use --precision fp16 or fp32")
            self._streams = {
                name: torch.cuda.Stream()  # type: ignore[no-untyped-call]
                for name in ("upload", "compute", "download")
            }

    @contextmanager
    def _on_stream(self, queue: str) -> Iterator[torch.cuda.Stream]:
        with torch.cuda.device(self._torch_device), torch.cuda.stream(self._streams[queue]):
            yield self._streams[queue]

    def load(self, module: torch.nn.Module) -> torch.nn.Module:
        with self._on_stream("compute") as stream:
            loaded = module.to(self._torch_device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            stream.synchronize()
        return loaded  # type: ignore[no-any-return]

    def zeros(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        with self._on_stream("compute"):
            return torch.zeros(tuple(shape), dtype=dtype, device=self._torch_device)

    def pinned(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        with torch.cuda.device(self._torch_device):  # otherwise a context is created on GPU 0
            return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)

    def enqueue(self, queue: str, work: Callable[[], None]) -> None:
        with self._on_stream(queue):
            work()

    def record_event(self, queue: str) -> torch.cuda.Event:
        with self._on_stream(queue) as stream:
            # blocking: a waiting thread does not occupy a core
            event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            event.record(stream)
        return event

    def wait_event(self, queue: str, event: torch.cuda.Event) -> None:
        self._streams[queue].wait_event(event)

    def synchronize(self, event: torch.cuda.Event) -> None:
        event.synchronize()

    def is_done(self, event: torch.cuda.Event) -> bool:
        return bool(event.query())  # type: ignore[no-untyped-call]

    def import_array(self, array: Array) -> torch.Tensor:
        if is_numpy(array):
            with self._on_stream("compute"):
                return to_torch(array, self._device)  # type: ignore[no-any-return]
        if isinstance(array, torch.Tensor):
            if array.is_cuda:
                self._streams["compute"].wait_stream(torch.cuda.current_stream(array.device))
            return array
        with self._on_stream("compute"):
            return torch.utils.dlpack.from_dlpack(array)

    def export_arrays(self, tensors: Tensors, event: torch.cuda.Event, like: Array) -> tuple[Array, ...]:
        if isinstance(like, torch.Tensor):
            consumer = torch.cuda.current_stream(self._torch_device)
            consumer.wait_event(event)
            for tensor in tensors:
                tensor.record_stream(consumer)  # keep the memory until the consumer has read it
            return tensors
        with gpu_scope(device=self._device.index):
            stream = self._external_stream(current_stream().ptr)
            if stream is None:
                event.synchronize()
            else:
                stream.wait_event(event)
            return tuple(self._lender.as_cupy(tensor, stream) for tensor in tensors)

    def _external_stream(self, pointer: int) -> torch.cuda.Stream | None:
        """Return CuPy's stream as a torch stream; None for the per-thread default stream."""
        if pointer in (0, 1):  # both are the legacy default stream
            return torch.cuda.default_stream(self._torch_device)
        if pointer == 2:
            return None
        return torch.cuda.ExternalStream(pointer, device=self._torch_device)  # type: ignore[no-untyped-call]

    def warm_up(self, run: Callable[[], Tensors]) -> Tensors:
        with _CAPTURE_LOCK, self._on_stream("compute") as stream:
            for _ in range(_WARM_UPS):
                outputs = run()
            stream.synchronize()
        return outputs

    def capture(self, run: Callable[[], Tensors]) -> tuple[Replay, Tensors]:
        graph = torch.cuda.CUDAGraph()
        with _CAPTURE_LOCK, self._on_stream("compute") as stream:
            # GPU calls of other threads (decoding, compositing) must not invalidate the capture.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                outputs = run()
            stream.synchronize()
        return graph.replay, outputs

    def free_bytes(self) -> int:
        return torch.cuda.mem_get_info(self._torch_device)[0]

    def release_cached(self) -> None:
        with _CAPTURE_LOCK, torch.cuda.device(self._torch_device):
            torch.cuda.synchronize()
            self._lender.clear()
            release_memory(self._device.index)


@contextmanager
def translate_out_of_memory(what: str) -> Iterator[None]:
    """Convert out-of-memory errors of torch, CUDA and libraries to :class:`OutOfMemory`."""
    try:
        yield
    except OutOfMemory:
        raise
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"{what}: use a smaller --size, or --device cpu") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if the error means that torch, CUDA or cuDNN ran out of memory."""
    message = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "out of memory" in message
        or "CUDNN_STATUS_ALLOC_FAILED" in message
        or "CUBLAS_STATUS_ALLOC_FAILED" in message
    )
