"""An NVIDIA GPU as torch drives it: the one place where the runtime speaks to CUDA.

Work goes into three queues (CUDA streams), which overlap: ``upload``, ``compute`` and ``download``. Within
a queue it is done in order; one queue waits for another only where :meth:`Card.wait` says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from livematte.device import Device, is_numpy, to_torch
from livematte.errors import DeviceError
from livematte.frame import Array
from livematte.kernels.cuda_launch import current_stream, on
from livematte.runtime.network import OutOfMemory
from livematte.runtime.torch_memory import Lent, release_memory, share_memory

Tensors = tuple[torch.Tensor, ...]
Replay = Callable[[], None]

_WARM_UPS = 3
"""Runs before a graph is captured: cuDNN chooses its algorithms, libraries take their memory."""

_ONE_AT_A_TIME = threading.Lock()
"""To begin a capture torch waits for the whole card, which must not be while another thread captures."""


class Card(Protocol):
    """What :class:`livematte.runtime.torch_cuda.GraphNetwork` needs of a device."""

    kind: str
    """torch's name for this kind of device."""

    def load(self, module: torch.nn.Module) -> torch.nn.Module:
        """``module`` in the card's memory, channels last."""
        ...

    def zeros(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Memory on the card that ``compute`` owns."""
        ...

    def pinned(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Memory of the CPU's that the card copies from and to by itself."""
        ...

    def enqueue(self, queue: str, work: Callable[[], None]) -> None:
        """Have ``work`` launched in ``queue``; what it launches is done later, in order."""
        ...

    def mark(self, queue: str) -> Any:
        """The point that ``queue`` has come to once all that is in it now is done."""
        ...

    def wait(self, queue: str, point: Any) -> None:
        """What comes into ``queue`` from now on begins after ``point``."""
        ...

    def finish(self, point: Any) -> None:
        """Let the calling thread wait for ``point``."""
        ...

    def done(self, point: Any) -> bool:
        """Whether ``point`` has been come to."""
        ...

    def adopt(self, array: Array) -> torch.Tensor:
        """A CuPy array or torch tensor, not copied: ``compute`` waits for what its owner's stream does."""
        ...

    def hand(self, tensors: Tensors, point: Any, like: Array) -> tuple[Array, ...]:
        """``tensors`` as arrays of the kind of ``like``, not copied: its stream waits for ``point``."""
        ...

    def warm(self, run: Callable[[], Tensors]) -> Tensors:
        """Run in ``compute``, often enough that nothing is left to be chosen, and wait."""
        ...

    def capture(self, run: Callable[[], Tensors]) -> tuple[Replay, Tensors]:
        """``run`` as a graph: a function that launches it all at once, and what it writes to each time.

        Raises:
            RuntimeError: it does what a graph cannot hold.
        """
        ...

    def free(self) -> int:
        """Bytes that nobody uses."""
        ...

    def release(self) -> None:
        """Give back what is kept for later."""
        ...


def open_card(device: Device, dtype: torch.dtype) -> Card:
    """The GPU that ``device`` names, ready for work in ``dtype``.

    Raises:
        DeviceError: it has no bfloat16 and ``dtype`` is that.
    """
    return _Cuda(device, dtype)


class _Cuda:
    kind = "cuda"

    def __init__(self, device: Device, dtype: torch.dtype) -> None:
        self._device, self._at, self._lent = device, torch.device("cuda", device.index), Lent()
        share_memory()
        with torch.cuda.device(self._at):
            if dtype is torch.bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
                name = torch.cuda.get_device_name()
                raise DeviceError(f"{device} ({name}) has no bfloat16: use --precision fp16 or fp32")
            self._streams = {
                name: torch.cuda.Stream()  # type: ignore[no-untyped-call]
                for name in ("upload", "compute", "download")
            }

    @contextmanager
    def _in(self, queue: str) -> Iterator[torch.cuda.Stream]:
        with torch.cuda.device(self._at), torch.cuda.stream(self._streams[queue]):
            yield self._streams[queue]

    def load(self, module: torch.nn.Module) -> torch.nn.Module:
        with self._in("compute") as stream:
            loaded = module.to(self._at, memory_format=torch.channels_last)  # type: ignore[call-overload]
            stream.synchronize()
        return loaded  # type: ignore[no-any-return]

    def zeros(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        with self._in("compute"):
            return torch.zeros(tuple(shape), dtype=dtype, device=self._at)

    def pinned(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        with torch.cuda.device(self._at):  # or GPU 0 would be woken for it
            return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)

    def enqueue(self, queue: str, work: Callable[[], None]) -> None:
        with self._in(queue):
            work()

    def mark(self, queue: str) -> torch.cuda.Event:
        with self._in(queue) as stream:
            # blocking: a thread that waits leaves its core to the others
            point = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            point.record(stream)
        return point

    def wait(self, queue: str, point: torch.cuda.Event) -> None:
        self._streams[queue].wait_event(point)

    def finish(self, point: torch.cuda.Event) -> None:
        point.synchronize()

    def done(self, point: torch.cuda.Event) -> bool:
        return bool(point.query())  # type: ignore[no-untyped-call]

    def adopt(self, array: Array) -> torch.Tensor:
        if is_numpy(array):
            with self._in("compute"):
                return to_torch(array, self._device)  # type: ignore[no-any-return]
        if isinstance(array, torch.Tensor):
            if array.is_cuda:
                self._streams["compute"].wait_stream(torch.cuda.current_stream(array.device))
            return array
        with self._in("compute"):
            return torch.utils.dlpack.from_dlpack(array)

    def hand(self, tensors: Tensors, point: torch.cuda.Event, like: Array) -> tuple[Array, ...]:
        if isinstance(like, torch.Tensor):
            taker = torch.cuda.current_stream(self._at)
            taker.wait_event(point)
            for tensor in tensors:
                tensor.record_stream(taker)  # or its memory could be written to while the taker still reads
            return tensors
        with on(device=self._device.index):
            stream = self._stream_at(current_stream().ptr)
            if stream is None:
                point.synchronize()
            else:
                stream.wait_event(point)
            return tuple(self._lent.array(tensor, stream) for tensor in tensors)

    def _stream_at(self, pointer: int) -> torch.cuda.Stream | None:
        """CuPy's stream as torch sees it; None for a thread's default stream, which torch cannot name."""
        if pointer in (0, 1):  # both are the legacy default stream
            return torch.cuda.default_stream(self._at)
        if pointer == 2:
            return None
        return torch.cuda.ExternalStream(pointer, device=self._at)  # type: ignore[no-untyped-call]

    def warm(self, run: Callable[[], Tensors]) -> Tensors:
        with _ONE_AT_A_TIME, self._in("compute") as stream:
            for _ in range(_WARM_UPS):
                outputs = run()
            stream.synchronize()
        return outputs

    def capture(self, run: Callable[[], Tensors]) -> tuple[Replay, Tensors]:
        graph = torch.cuda.CUDAGraph()
        with _ONE_AT_A_TIME, self._in("compute") as stream:
            # Other threads decode and composite on the card meanwhile, which must not end the capture.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                outputs = run()
            stream.synchronize()
        return graph.replay, outputs

    def free(self) -> int:
        return torch.cuda.mem_get_info(self._at)[0]

    def release(self) -> None:
        with _ONE_AT_A_TIME, torch.cuda.device(self._at):
            torch.cuda.synchronize()
            self._lent.done()
            release_memory(self._device.index)


@contextmanager
def room_needed(what: str) -> Iterator[None]:
    """Turn any way in which torch says that memory is used up into :class:`OutOfMemory`."""
    try:
        yield
    except OutOfMemory:
        raise
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemory(f"{what}: use a smaller --size, or --device cpu") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether torch, CUDA or cuDNN means that memory is used up."""
    said = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "out of memory" in said
        or "CUDNN_STATUS_ALLOC_FAILED" in said
        or "CUBLAS_STATUS_ALLOC_FAILED" in said
    )
