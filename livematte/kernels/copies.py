"""Copies between the computer's memory and an NVIDIA GPU's: all that livematte makes, and counted.

Frames that are worked on there go up once and come down once (:class:`OnGpu`), beside the work on others;
what else crosses is small (:func:`to_gpu`, :func:`to_host`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from livematte.errors import DeviceError
from livematte.frame import Array, Frame, Matte
from livematte.kernels.cuda_launch import cupy, current_stream, empty, from_dlpack, on, on_gpu


@dataclass
class Moved:
    """Bytes.

    Attributes:
        up, down: to GPUs and back.
    """

    up: int = 0
    down: int = 0

    def __sub__(self, other: Moved) -> Moved:
        return Moved(self.up - other.up, self.down - other.down)


_moved, _lock = Moved(), threading.Lock()


def moved() -> Moved:
    """All that this process has moved so far."""
    with _lock:
        return replace(_moved)


def _count(up: int = 0, down: int = 0) -> None:
    with _lock:
        _moved.up += up
        _moved.down += down


def to_gpu(array: Array) -> Array:
    """``array`` on the current GPU; shared where it is on one, also another library's. Waits for a copy."""
    if not isinstance(array, np.ndarray):
        return from_dlpack(array)
    _count(up=array.nbytes)
    return cupy().asarray(np.ascontiguousarray(array))


def to_host(array: Array) -> Array:
    """``array`` as NumPy's; itself where it is that. Waits for what is queued on the current stream."""
    if not on_gpu(array):
        return array
    _count(down=array.nbytes)
    return array.get()


def along(array: Array, like: Array) -> Array:
    """``array`` where ``like`` is."""
    if on_gpu(array) == on_gpu(like):
        return array
    return to_gpu(array) if on_gpu(like) else to_host(array)


def beside(matte: Matte, like: Array) -> Matte:
    """Alpha and foreground where ``like`` is; the extras where they are."""
    named = {"alpha": matte.alpha, "foreground": matte.foreground}
    moved = {k: along(v, like) for k, v in named.items() if v is not None and on_gpu(v) != on_gpu(like)}
    return replace(matte, **moved) if moved else matte


def matte_on_host(matte: Matte) -> Matte:
    """All of a matte in the computer's memory."""
    extras = {name: to_host(values) for name, values in matte.extras.items()}
    foreground = None if matte.foreground is None else to_host(matte.foreground)
    return Matte(to_host(matte.alpha), foreground, extras)


class Going(Protocol):
    """Arrays on their way to the computer's memory."""

    def result(self) -> tuple[Array, ...]:
        """Wait for them."""
        ...


class Place(Protocol):
    """Where frames are worked on: how they get there from a decoder, and back to where sinks take them.

    Threads of one pipeline share one. Whoever gives arrays to :meth:`down` keeps what they were made of until
    :meth:`Going.result` returns: memory that is given back earlier may be written to while it is read.
    """

    def coming(self) -> AbstractContextManager[None]:
        """In this block work is queued beside that of :meth:`working`: for decoding and :meth:`up`."""
        ...

    def working(self) -> AbstractContextManager[None]:
        """In this block work is queued in the order of the calls, whatever thread makes them."""
        ...

    def up(self, frame: Frame) -> Frame:
        """The frame where it is worked on, for what is queued after this."""
        ...

    def mark(self) -> Any:
        """All that was queued so far in this block."""
        ...

    def after(self, mark: Any) -> None:
        """What is queued in this block from now on comes after ``mark``."""
        ...

    def down(self, arrays: Sequence[Array]) -> Going:
        """Begin to fetch arrays, which are not written to any more."""
        ...

    def close(self) -> None:
        """Wait for copies that nobody asks for any more."""
        ...


class OnCpu:
    """The computer's memory, where frames are already. See :class:`Place`."""

    def coming(self) -> AbstractContextManager[None]:
        """Nothing is queued: what is called is done."""
        return nullcontext()

    working = coming

    def up(self, frame: Frame) -> Frame:
        """The frame itself, unless a decoder left it on a GPU."""
        if not any(map(on_gpu, frame.planes)):
            return frame
        return frame.with_planes(tuple(map(to_host, frame.planes)))

    def mark(self) -> None:
        """All is done."""

    def after(self, mark: None) -> None:
        """It was."""

    def down(self, arrays: Sequence[Array]) -> Going:
        """They are there."""
        return _There(tuple(arrays))

    def close(self) -> None:
        """There are none."""


@dataclass(frozen=True)
class _There:
    arrays: tuple[Array, ...]

    def result(self) -> tuple[Array, ...]:
        return self.arrays


_STAGED = 3
"""Uploads under way before the next one waits: each keeps a frame's size of pinned memory."""


class OnGpu:
    """A GPU, whose copies have a stream for each direction, from and into pinned memory. See :class:`Place`.

    Work is queued on CUDA's default stream, which is also CuPy's and torch's unless somebody changed it.

    Raises:
        MissingExtraError: CuPy is not installed.
        DeviceError: it finds no GPU that it can use; in a block of work, its memory is used up or it has
            failed.
    """

    def __init__(self, index: int = 0) -> None:
        """Take which GPU."""
        self._index = index
        self._coming, self._going = _streams(cupy(), index)
        self._staged: deque[tuple[Any, list[Array]]] = deque()
        self._fetched: dict[int, _OnTheWay] = {}

    def coming(self) -> AbstractContextManager[None]:
        """A stream of its own."""
        return self._on(self._coming)

    def working(self) -> AbstractContextManager[None]:
        """One stream for all threads, whatever the current one of each is."""
        return self._on(cupy().cuda.Stream.null)

    @contextmanager
    def _on(self, stream: Any) -> Iterator[None]:
        with told_of(self._index), on(stream, self._index):
            yield

    def up(self, frame: Frame) -> Frame:
        """Planes that are on the GPU, as a hardware decoder leaves them, stay there."""
        planes, staged = [], []
        for plane in frame.planes:
            if not on_gpu(plane):
                staged.append(_pinned(plane.shape, plane.dtype))
                staged[-1][...] = plane
                plane = empty(plane.shape, plane.dtype)
                plane.set(staged[-1], stream=current_stream())
                _count(up=plane.nbytes)
            planes.append(plane)
        if staged:
            self._staged.append((self.mark(), staged))
            if len(self._staged) > _STAGED:
                self._staged.popleft()[0].synchronize()
        return frame.with_planes(tuple(planes))

    def mark(self) -> Any:
        """An event."""
        event = cupy().cuda.Event(block=True, disable_timing=True)
        event.record(current_stream())
        return event

    def after(self, mark: Any) -> None:
        """The GPU waits, the caller does not."""
        current_stream().wait_event(mark)

    def down(self, arrays: Sequence[Array]) -> Going:
        """Those that are not on the GPU stay as they are, and what is given twice is fetched once."""
        there = {id(x): cupy().ascontiguousarray(x) for x in arrays if on_gpu(x)}
        self._going.wait_event(self.mark())
        here = {}
        for key, x in there.items():
            here[key] = x.get(stream=self._going, out=_pinned(x.shape, x.dtype), blocking=False)
            _count(down=x.nbytes)
        event = cupy().cuda.Event(block=True, disable_timing=True)
        event.record(self._going)
        come = tuple(here.get(id(x), x) for x in arrays)
        going = _OnTheWay(self._index, event, (arrays, there), come, self._fetched)
        self._fetched[id(going)] = going
        return going

    def close(self) -> None:
        """Their memory, which the GPU reads or writes, is given back only then."""
        for event, _ in self._staged:
            event.synchronize()
        for going in list(self._fetched.values()):
            going.result()


@contextmanager
def told_of(index: int) -> Iterator[None]:
    """What CuPy and torch raise where a GPU has no room, or has failed for good, as DeviceError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        if "out of memory" in str(error).lower():  # of the GPU's, or pinned
            raise DeviceError(
                f"cuda:{index} has no room for the frames ({why}): end other programs that use it, "
                "or use --device cpu"
            ) from error
        if type(error).__module__.partition(".")[0] == "cupy_backends" or why.startswith("CUDA error"):
            raise DeviceError(f"cuda:{index} has failed ({why}): use --device cpu, or start again") from error
        raise


class _OnTheWay:
    def __init__(
        self, index: int, over: Any, kept: object, here: tuple[Array, ...], among: dict[int, _OnTheWay]
    ) -> None:
        self._index, self._over, self._kept, self._here, self._among = index, over, kept, here, among

    def result(self) -> tuple[Array, ...]:
        with told_of(self._index):
            self._over.synchronize()
        self._among.pop(id(self), None)
        self._kept = None
        return self._here


@lru_cache(maxsize=16)
def _streams(module: Any, index: int) -> tuple[Any, Any]:
    """Of a GPU, for a whole process: CuPy keeps what was given back for the stream that it was taken on."""
    with on(device=index):
        return module.cuda.Stream(non_blocking=True), module.cuda.Stream(non_blocking=True)


def _pinned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory that copies do not wait for. CuPy keeps what was given back for the next."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    memory = cupy().cuda.alloc_pinned_memory(count * dtype.itemsize)
    return np.frombuffer(memory, dtype, count).reshape(shape)
