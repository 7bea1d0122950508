"""As much of CuPy as livematte's kernels use, on arrays in the computer's memory, as strict as the real one.

Kernels really run: their CUDA source is compiled as C++. Arguments must be exactly what the kernel's
parameters are, arrays of the computer are refused, what kernels write is watched for going astray, and new
arrays are full of rubbish. What goes to "the GPU" and comes back is counted in :data:`moved`.

All is done at once, but streams are watched as if it were not: to use on one what was written on another
that nobody waited for fails; memory that is given back while it is in use is told of in :data:`hazards`; what
is fetched without waiting comes only when its event is waited for.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from tests.cuda_shim.build import compiled

GUARD, RUBBISH = 64, 0xA5

moved = {"to": 0, "from": 0}
"""Bytes, since somebody last set it to 0."""

_marks = count(1)
"""What stands round each array, so that one's surroundings copied over another's are seen."""

launches: list[tuple[str, Any]] = []
"""Names of kernels and the stream that each was queued on."""

hazards: list[str] = []
"""Memory that was given back while work on it was queued that nobody had waited for."""

_running = threading.RLock()
"""Kernels share what CUDA keeps for each block."""


_addresses = count(1 << 32, 256)
"""Of streams."""


class Stream:
    """``clock`` says how much of each stream is done before what is queued next on this one."""

    null: Stream

    def __init__(self, non_blocking: bool = False) -> None:
        self.non_blocking = non_blocking
        self.ptr = next(_addresses)
        self.clock: dict[Any, int] = {}
        self.pending: list[tuple[int, Callable[[], None]]] = []

    def tick(self) -> int:
        """One more thing is queued."""
        self.clock[self] = self.clock.get(self, 0) + 1
        return self.clock[self]

    def wait_event(self, event: Event) -> None:
        assert event.stream is not None and event.stream is not self, "nothing that was recorded elsewhere"
        _merge(self.clock, event.clock)

    def __enter__(self) -> Any:
        _stack().append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _stack().pop()


class ExternalStream(Stream):
    def __init__(self, ptr: int) -> None:
        super().__init__()
        self.ptr = ptr


Stream.null = ExternalStream(0)

_local = threading.local()


def _stack() -> list[Stream]:
    """Of this thread."""
    if not hasattr(_local, "streams"):
        _local.streams = [Stream.null]
    found: list[Stream] = _local.streams
    return found


def get_current_stream() -> Stream:
    return _stack()[-1]


def _merge(clock: dict[Any, int], other: dict[Any, int]) -> None:
    for stream, tick in other.items():
        clock[stream] = max(clock.get(stream, 0), tick)


_host: dict[Any, int] = {}
"""What the computer has waited for."""


class Event:
    """It tells that it is 4 ms between any two."""

    done = False

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self.stream: Stream | None = None

    def record(self, stream: Stream | None = None) -> None:
        self.stream = stream or get_current_stream()
        self.clock = dict(self.stream.clock)

    def synchronize(self) -> None:
        assert self.stream is not None, "never recorded"
        with _running:
            _merge(_host, self.clock)
            for stream, tick in self.clock.items():
                for _, copy in [x for x in stream.pending if x[0] <= tick]:
                    copy()
                stream.pending = [x for x in stream.pending if x[0] > tick]


class _Memory:
    """Who wrote to memory last, who used it, and the stream that it was taken on and goes back to."""

    def __init__(self, home: Stream) -> None:
        self.home, self.written, self.used = home, {}, {}

    def use(self, stream: Stream, what: str, *, writes: bool) -> None:
        tick = stream.tick()
        for other, at in (self.used if writes else self.written).items():
            waited = max(stream.clock.get(other, 0), _host.get(other, 0)) >= at
            assert waited, f"{what} uses memory that another stream may still be working on"
        self.used[stream] = tick
        if writes:
            self.written, self.used = {stream: tick}, {stream: tick}

    def free(self) -> None:
        for other, at in self.used.items():
            if max(self.home.clock.get(other, 0), _host.get(other, 0)) < at:
                hazards.append("memory is given back while another stream may still be working on it")


def _base(array: np.ndarray) -> Any:
    base: Any = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    return base


_known: dict[int, _Memory] = {}
"""By ``id`` of the array that owns it."""


def _used(array: Any, what: str, *, writes: bool = False, stream: Stream | None = None) -> None:
    memory = _known.get(id(_base(array)))
    if memory is not None:
        with _running:
            memory.use(stream or get_current_stream(), what, writes=writes)


def _given_back(key: int) -> None:
    with _running:
        _known.pop(key).free()


class ndarray(np.ndarray):  # noqa: N801 - CuPy's name
    """An array "on the GPU"."""

    @property
    def device(self) -> Any:
        return types.SimpleNamespace(id=0)

    def get(self, stream: Any = None, out: Any = None, blocking: bool = True) -> np.ndarray:
        moved["from"] += self.nbytes
        stream = stream or get_current_stream()
        _used(self, "get", stream=stream)
        if out is None:
            assert blocking
            _merge(_host, stream.clock)
            return np.array(self.view(np.ndarray))
        assert out.flags.c_contiguous and (out.shape, out.dtype) == (self.shape, self.dtype)
        if blocking:
            _merge(_host, stream.clock)
            out[...] = self.view(np.ndarray)
        else:
            assert self.flags.c_contiguous, "real CuPy makes a copy first, which is not waited for"
            with _running:
                stream.pending.append((stream.tick(), lambda: np.copyto(out, self.view(np.ndarray))))
        return out

    def set(self, array: np.ndarray, stream: Any = None) -> None:
        assert type(array) is np.ndarray and (array.shape, array.dtype) == (self.shape, self.dtype)
        assert array.flags.c_contiguous and self.flags.c_contiguous
        moved["to"] += array.nbytes
        _used(self, "set", writes=True, stream=stream)
        self.view(np.ndarray)[...] = array

    def fill(self, value: Any) -> None:
        _used(self, "fill", writes=True)
        super().fill(value)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        _refuse(*inputs, *(out or ()))
        bare = [x.view(np.ndarray) if isinstance(x, ndarray) else x for x in inputs]
        for x in (x for x in inputs if isinstance(x, ndarray)):
            _used(x, ufunc.__name__)
        if out is not None:
            options["out"] = tuple(x.view(np.ndarray) for x in out)
        made = getattr(ufunc, method)(*bare, **options)
        result = empty(np.shape(made), np.asarray(made).dtype) if out is None else out[0]
        _used(result, ufunc.__name__, writes=True)
        if out is None:
            result.view(np.ndarray)[...] = made
        return result

    def __setitem__(self, key: Any, value: Any) -> None:
        _refuse(value)
        if isinstance(value, ndarray):
            _used(value, "setitem")
            value = value.view(np.ndarray)
        _used(self, "setitem", writes=True)
        self.view(np.ndarray)[key] = value

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __bool__(self) -> bool:
        moved["from"] += self.nbytes  # real CuPy waits for the GPU here
        return bool(self.view(np.ndarray))


ndarray.__module__ = "cupy"


def _refuse(*arrays: Any) -> None:
    for x in arrays:
        if isinstance(x, np.ndarray) and not isinstance(x, ndarray) and x.ndim:
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")


def _own(size: int) -> np.ndarray:
    return np.empty(size, np.uint8)


_allocator: Callable[[int], np.ndarray] = _own


def set_allocator(allocator: Callable[[int], np.ndarray] = _own) -> None:
    global _allocator
    _allocator = allocator


class UnownedMemory:
    """Memory that is somebody else's, who is kept as long as it is used."""

    def __init__(self, ptr: int, size: int, owner: object, device_id: int = -1) -> None:
        assert ptr or device_id >= 0, "real CuPy finds no GPU of memory that is nowhere"
        self.raw: Any = (ctypes.c_uint8 * size).from_address(ptr) if size else (ctypes.c_uint8 * 0)()
        self.raw.owner = owner


def MemoryPointer(memory: UnownedMemory, offset: int) -> np.ndarray:
    return np.frombuffer(memory.raw, np.uint8, -1, offset)


class MemoryPool:
    def __init__(self) -> None:
        self.given_back = 0

    def free_all_blocks(self) -> None:
        self.given_back += 1


def empty(shape: Any, dtype: Any = float) -> ndarray:
    dtype, shape = np.dtype(dtype), tuple(np.atleast_1d(shape))
    size = int(np.prod(shape)) * dtype.itemsize
    memory = _allocator(size + 2 * GUARD)
    memory[...] = RUBBISH
    memory[:GUARD] = memory[GUARD + size :] = next(_marks) % 256
    _known[id(memory)] = _Memory(get_current_stream())
    weakref.finalize(memory, _given_back, id(memory))
    return memory[GUARD : GUARD + size].view(dtype).reshape(shape).view(ndarray)


def asarray(array: Any, dtype: Any = None) -> ndarray:
    if isinstance(array, ndarray):
        return array if dtype is None else array.astype(dtype, copy=False)
    array = np.asarray(array, dtype)
    moved["to"] += array.nbytes
    out = empty(array.shape, array.dtype)
    out.view(np.ndarray)[...] = array
    return out


def ascontiguousarray(array: ndarray, dtype: Any = None) -> ndarray:
    _refuse(array)
    if array.flags.c_contiguous and dtype in (None, array.dtype):
        return array
    out = empty(array.shape, array.dtype if dtype is None else dtype)
    _used(array, "ascontiguousarray")
    _used(out, "ascontiguousarray", writes=True)
    out.view(np.ndarray)[...] = array.view(np.ndarray)
    return out


def stack(arrays: Any, axis: int = 0) -> ndarray:
    _refuse(*arrays)
    made = np.stack([x.view(np.ndarray) for x in arrays], axis)
    out = empty(made.shape, made.dtype)
    for x in arrays:
        _used(x, "stack")
    _used(out, "stack", writes=True)
    out.view(np.ndarray)[...] = made
    return out


def _made(made: np.ndarray, *given: Any) -> ndarray:
    """What comes of some arrays, as a new one."""
    _refuse(*given)
    out = empty(made.shape, made.dtype)
    for x in given:
        if isinstance(x, ndarray):
            _used(x, "made")
    _used(out, "made", writes=True)
    out.view(np.ndarray)[...] = made
    return out


def _bare(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, ndarray) else x


def zeros(shape: Any, dtype: Any = float) -> ndarray:
    return _made(np.zeros(shape, dtype))


def ones(shape: Any, dtype: Any = float) -> ndarray:
    return _made(np.ones(shape, dtype))


def concatenate(arrays: Any, axis: int = 0) -> ndarray:
    return _made(np.concatenate([_bare(x) for x in arrays], axis), *arrays)


def where(condition: ndarray, x: Any, y: Any) -> ndarray:
    return _made(np.where(_bare(condition), _bare(x), _bare(y)), condition, x, y)


def pad(array: ndarray, width: Any, mode: str) -> ndarray:
    return _made(np.pad(_bare(array), width, mode=mode), array)  # type: ignore[call-overload]


def from_dlpack(array: Any) -> ndarray:
    return np.from_dlpack(array).view(ndarray)


def _stray(array: ndarray) -> bool:
    """Whether the bytes round an array's memory were written to."""
    base = _base(array)
    if base.dtype != np.uint8 or base.ndim != 1 or base.size < 2 * GUARD:
        return False  # not made by empty()
    return bool((base[:GUARD] != base[0]).any() or (base[-GUARD:] != base[0]).any())


class _Function:
    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self._name, self._launch = name, getattr(library, f"launch_{name}")
        signature = getattr(library, f"signature_{name}")
        signature.restype = ctypes.c_char_p
        self._parameters = signature().decode().split(",")[:-1]

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
        assert len(grid) == len(block) == 3 and min(*grid, *block) > 0, (self._name, grid, block)
        assert np.prod(block) <= 1024 and block[2] <= 64 and max(grid[1:]) <= 65535, (grid, block)
        assert len(args) == len(self._parameters), f"{self._name}: {len(args)} of {len(self._parameters)}"
        values = [self._value(i, *pair) for i, pair in enumerate(zip(args, self._parameters, strict=True))]
        pointers = (ctypes.c_void_p * len(values))(*(v.ctypes.data for v in values))
        sizes = [np.array(x, np.uint32) for x in (grid, block)]
        for x, parameter in zip(args, self._parameters, strict=True):
            if isinstance(x, ndarray):
                _used(x, self._name, writes=not parameter.startswith("const "))
        with _running:
            met = self._launch(*(ctypes.c_void_p(x.ctypes.data) for x in sizes), pointers)
        assert met == 0, f"{self._name}: not all threads of a block came to a barrier"
        for i, x in enumerate(args):
            assert not (isinstance(x, ndarray) and _stray(x)), f"{self._name} wrote round argument {i}"
        launches.append((self._name, get_current_stream()))

    def _value(self, number: int, given: Any, parameter: str) -> np.ndarray:
        what = f"{self._name}, argument {number}: {parameter} is wanted"
        if parameter.endswith("*"):
            assert isinstance(given, ndarray), f"{what}, a {type(given).__name__} given"
            assert given.dtype.name == parameter.removeprefix("const ")[:-1], f"{what}, {given.dtype} given"
            return np.array(given.ctypes.data, np.uintp)
        assert isinstance(given, np.generic), f"{what}, {given!r} of no certain width given"
        assert given.dtype.name == parameter, f"{what}, {given.dtype} given"
        return np.array(given)


class RawModule:
    def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:
        self._code = code

    def compile(self) -> None:
        self._library, self._kernels = compiled(self._code)

    def get_function(self, name: str) -> _Function:
        assert name in self._kernels, f"no kernel {name}"
        return _Function(self._library, name)


def copyto(target: ndarray, source: ndarray) -> None:
    np.copyto(target.view(np.ndarray), source.view(np.ndarray))


class Device:
    def __init__(self, index: int) -> None:
        assert index == 0

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def module() -> types.ModuleType:
    """All of it as a module called cupy."""
    made = types.ModuleType("cupy")
    names = (
        ndarray,
        empty,
        zeros,
        ones,
        concatenate,
        where,
        pad,
        asarray,
        ascontiguousarray,
        stack,
        from_dlpack,
        copyto,
        RawModule,
    )
    for thing in names:
        setattr(made, thing.__name__, thing)
    pool = MemoryPool()
    made.get_default_memory_pool = lambda: pool  # type: ignore[attr-defined]
    made.cuda = types.SimpleNamespace(  # type: ignore[attr-defined]
        MemoryPointer=MemoryPointer,
        UnownedMemory=UnownedMemory,
        set_allocator=set_allocator,
        Stream=Stream,
        ExternalStream=ExternalStream,
        Device=Device,
        Event=Event,
        get_current_stream=get_current_stream,
        get_elapsed_time=lambda begin, end: 4.0,
        alloc_pinned_memory=bytearray,
        runtime=types.SimpleNamespace(getDevice=lambda: 0, getDeviceCount=lambda: 1),
    )
    return made


@contextmanager
def in_place() -> Iterator[types.ModuleType]:
    """``import cupy`` gives the fake."""
    before = sys.modules.get("cupy")
    made = sys.modules["cupy"] = module()
    try:
        yield made
    finally:
        set_allocator()
        if before is None:
            del sys.modules["cupy"]
        else:
            sys.modules["cupy"] = before
