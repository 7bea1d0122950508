"""The loop: decode, model, composite and encode as threads over short queues.

Offline policy: back-pressure. A stage that is ahead waits, no frame is dropped or repeated, and memory does
not grow with the length. PyAV, ONNX Runtime, OpenVINO and OpenCV let go of the GIL, so threads are enough.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from livematte.composite import Compositor
from livematte.errors import ModelError
from livematte.frame import Array, Frame, Matte
from livematte.kernels.cpu import rgb_from_codes, small_planes
from livematte.protocols import AheadModel, Background, Model, PendingMatte, Sink, Source
from livematte.regions import drop_islands
from livematte.temporal import TemporalFilter

T = TypeVar("T")

QUEUE_DEPTH = 3
"""Frames between two stages: enough to ride out a slow one, few enough to stay small in memory."""


class Channel(Generic[T]):
    """A bounded hand-over between two threads that either side can end."""

    def __init__(self, depth: int = QUEUE_DEPTH) -> None:
        self._items: deque[T] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._finished = False
        self._cancelled = False

    def put(self, item: T) -> bool:
        """Wait for room; False says that nobody reads any more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._depth or self._cancelled)
            if self._cancelled:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def finish(self) -> None:
        """The writer has no more; the reader still gets what is queued."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """The reader wants no more; what is queued is dropped."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._finished or self._cancelled)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


@dataclass
class StageTime:
    """How long a stage worked, waiting left out. Each is written by one thread only."""

    wall: float = 0.0
    frames: int = 0

    def add(self, began: float) -> None:
        """One more frame, begun at ``time.perf_counter()`` = ``began``."""
        self.wall += time.perf_counter() - began
        self.frames += 1


@dataclass(frozen=True)
class Output:
    """A sink and what it is to get: ``picture``, ``alpha`` or ``foreground``."""

    sink: Sink
    kind: str = "picture"


@dataclass
class RenderStats:
    """What a render did."""

    frames: int = 0
    interrupted: bool = False
    stages: dict[str, StageTime] = field(
        default_factory=lambda: {n: StageTime() for n in ("decode", "model", "composite", "encode")}
    )
    failure: BaseException | None = None


@dataclass(frozen=True)
class Small:
    """A frame at the size that the model sees.

    Attributes:
        planes: (3, h, w) float32, the frame's own codes.
        rgb: (h, w, 3) uint8.
    """

    planes: Array
    rgb: Array


@dataclass(frozen=True)
class _Work:
    """A frame on its way."""

    frame: Frame
    small: Small
    matte: Matte | None = None


_ROUNDING = 1e-2
"""How far a model's numbers may leave [0, 1]: what half precision and resizing do."""


def _sound(matte: Matte, frame: Frame) -> Matte:
    """Alpha and foreground clipped to [0, 1]; ModelError where that is no rounding: one NaN would spread."""
    clipped: dict[str, Array] = {}
    for what in ("alpha", "foreground"):
        if (values := getattr(matte, what)) is None:
            continue
        low, high = float(values.min()), float(values.max())  # both NaN if anything is
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
            odd = high if high > 1 + _ROUNDING else low
            raise ModelError(
                f"the model's {what} at {float(frame.seconds):.2f} s has a value of {odd:.4g}, allowed is"
                " 0 to 1: try another --runtime or --precision"
            )
        if low < 0 or high > 1:
            clipped[what] = values.clip(0, 1)
    return replace(matte, **clipped) if clipped else matte


class Matting:
    """Model, islands dropped, temporal filter, with their state: frames in order in, mattes out."""

    def __init__(self, model: Model, temporal: TemporalFilter, *, keep_islands: bool = False) -> None:
        self._model, self._temporal, self._keep_islands = model, temporal, keep_islands
        self._state: Any = None
        self._smooth: Any = None
        self._size: tuple[int, int] | None = None

    def shrink(self, frame: Frame) -> Small:
        """The small picture that the model sees."""
        planes = small_planes(frame, *self._model.input_size(frame.height, frame.width))
        return Small(planes, rgb_from_codes(planes, frame))

    @property
    def in_flight(self) -> int:
        """How many frames to :meth:`begin` before the first is finished."""
        return self._model.in_flight if isinstance(self._model, AheadModel) else 1

    def begin(self, small: Small) -> PendingMatte | None:
        """Let the model start on a picture, where it can work ahead."""
        return self._model.submit(small.rgb) if isinstance(self._model, AheadModel) else None

    def __call__(self, frame: Frame, small: Small, begun: PendingMatte | None = None) -> Matte:
        """The calmed matte of ``frame``, at the size of ``small``. Frames come in order."""
        if frame.keyframe_hint or frame.size != self._size:
            self._state = self._smooth = None
            self._size = frame.size
        if begun is not None:
            matte = begun.result()
        else:
            matte, self._state = self._model(small.rgb, self._state)
        matte = _sound(matte, frame)
        if not self._keep_islands:
            matte = replace(matte, alpha=drop_islands(matte.alpha))
        calm: Matte
        calm, self._smooth = self._temporal(matte, small.rgb, self._smooth)
        return calm


class _Ahead:
    """The model's stage: keeps as many pictures under way as the model takes, gives mattes in order."""

    def __init__(self, matting: Matting) -> None:
        self._matting = matting
        self._begun: deque[tuple[_Work, PendingMatte | None]] = deque()

    def __call__(self, work: _Work) -> list[_Work]:
        """Take one frame in; give the frames that are done."""
        self._begun.append((work, self._matting.begin(work.small)))
        return [self._next()] if len(self._begun) >= self._matting.in_flight else []

    def rest(self) -> list[_Work]:
        """What is still under way when no frame comes any more."""
        return [self._next() for _ in range(len(self._begun))]

    def _next(self) -> _Work:
        work, begun = self._begun.popleft()
        return _Work(work.frame, work.small, self._matting(work.frame, work.small, begun))


class _Pipeline:
    """Stages as threads; the first failure ends what is above it and lets what is below it run out."""

    def __init__(self, stats: RenderStats) -> None:
        self._threads: list[threading.Thread] = []
        self._channels: list[Channel[Any]] = []
        self._lock = threading.Lock()
        self.stats = stats

    def fail(self, error: BaseException) -> None:
        with self._lock:
            self.stats.failure = self.stats.failure or error

    def channel(self) -> Channel[Any]:
        """A channel that :meth:`end` cancels, even where its reader was never started."""
        made: Channel[Any] = Channel()
        self._channels.append(made)
        return made

    def start(self, name: str, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, name=f"livematte-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stage(
        self,
        name: str,
        inbox: Channel[Any],
        work: Callable[[Any], list[Any]],
        rest: Callable[[], list[Any]] = list,
    ) -> Channel[Any]:
        """Run ``work`` on everything from ``inbox`` and ``rest`` at its end; gives the channel of results."""
        outbox = self.channel()
        clock = self.stats.stages[name]

        def body() -> None:
            try:
                for item in inbox:
                    began = time.perf_counter()
                    results = work(item)
                    clock.add(began)
                    if not all(outbox.put(result) for result in results):
                        break
                else:
                    for result in rest():
                        outbox.put(result)
            except BaseException as error:
                self.fail(error)
            finally:
                outbox.finish()
                inbox.cancel()

        self.start(name, body)
        return outbox

    def end(self) -> None:
        """Stop what still runs and wait for it."""
        for channel in self._channels:
            channel.cancel()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()


def _decode(
    pipeline: _Pipeline, source: Source, matting: Matting, stop: threading.Event | None
) -> Channel[_Work]:
    """The first stage: frames with their small RGB copies, until the source ends or ``stop`` is set."""
    outbox: Channel[_Work] = pipeline.channel()
    clock = pipeline.stats.stages["decode"]

    def body() -> None:
        try:
            frames = iter(source)
            while not (stop is not None and stop.is_set()):
                began = time.perf_counter()
                frame = next(frames, None)
                if frame is None:
                    return
                work = _Work(frame, matting.shrink(frame))
                clock.add(began)
                if not outbox.put(work):
                    return
            pipeline.stats.interrupted = True
        except BaseException as error:
            pipeline.fail(error)
        finally:
            outbox.finish()

    pipeline.start("decode", body)
    return outbox


def render(
    source: Source,
    model: Model,
    background: Background,
    outputs: Sequence[Output],
    *,
    compositor: Compositor | None = None,
    temporal: TemporalFilter | None = None,
    keep_islands: bool = False,
    progress: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> RenderStats:
    """Put ``background`` behind the people of ``source`` and hand the frames to every sink, in order.

    Closes source, background and sinks, whatever happens: sinks with ``close`` when everything was written,
    otherwise with ``abort``.

    Args:
        keep_islands: leave what is not connected to a person; see :func:`livematte.regions.drop_islands`.
        progress: called with the number of frames written, after each, in the calling thread.
        stop: set it from anywhere to end early; what is under way is still written.

    Raises:
        LivematteError: the first thing that went wrong in any stage, after the sinks are finished.
    """
    compositor = compositor or Compositor()
    want = frozenset(output.kind for output in outputs)
    stats = RenderStats()
    pipeline = _Pipeline(stats)
    matting = Matting(model, temporal or TemporalFilter(), keep_islands=keep_islands)
    whole = False
    try:
        decoded = _decode(pipeline, source, matting, stop)
        ahead = _Ahead(matting)
        matted = pipeline.stage("model", decoded, ahead, ahead.rest)
        finished = pipeline.stage(
            "composite", matted, lambda w: [compositor(w.frame, w.matte, background, want, w.small.planes)]
        )
        clock = stats.stages["encode"]
        for composed in finished:
            began = time.perf_counter()
            for output in outputs:
                output.sink.write(getattr(composed, output.kind))
            clock.add(began)
            stats.frames += 1
            if progress is not None:
                progress(stats.frames)
        whole = stats.failure is None and not stats.interrupted
    except BaseException as error:
        pipeline.fail(error)
    finally:
        try:
            pipeline.end()
        finally:  # a second Ctrl-C while threads are waited for
            _close(source, background, outputs, pipeline, whole)
    if stats.failure is not None:
        raise stats.failure
    return stats


def _close(
    source: Source, background: Background, outputs: Sequence[Output], pipeline: _Pipeline, whole: bool
) -> None:
    """Finish everything once; a sink that cannot finish spoils the others' names no more."""
    for part in (source, background):
        try:
            part.close()
        except BaseException as error:
            pipeline.fail(error)
    for output in outputs:
        try:
            (output.sink.close if whole else output.sink.abort)()
        except BaseException as error:
            whole = False
            pipeline.fail(error)


def mattes(
    source: Source,
    model: Model,
    *,
    compositor: Compositor | None = None,
    temporal: TemporalFilter | None = None,
    keep_islands: bool = False,
) -> Iterator[tuple[Frame, Matte]]:
    """Frames with their full-size mattes (alpha (H, W) float32 in [0, 1]), in order, one at a time."""
    compositor = compositor or Compositor()
    matting = Matting(model, temporal or TemporalFilter(), keep_islands=keep_islands)
    try:
        for frame in source:
            small = matting.shrink(frame)
            yield frame, compositor.full_matte(frame, matting(frame, small), small.planes)
    finally:
        source.close()
