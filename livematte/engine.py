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
from typing import Any

from livematte.composite import Compositor
from livematte.errors import ModelError
from livematte.frame import Array, Frame, Matte
from livematte.kernels.cpu import rgb_from_codes, small_planes
from livematte.pipeline import Channel, Pipeline, StageTime
from livematte.protocols import AheadModel, Background, Model, PendingMatte, Sink, Source
from livematte.regions import drop_islands
from livematte.temporal import TemporalFilter


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


def _decode(
    pipeline: Pipeline, stats: RenderStats, source: Source, matting: Matting, stop: threading.Event | None
) -> Channel[_Work]:
    """The first stage: frames with their small RGB copies, until the source ends or ``stop`` is set."""
    outbox: Channel[_Work] = pipeline.channel()
    clock = pipeline.times["decode"]

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
            stats.interrupted = True
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
    pipeline = Pipeline(stats.stages)
    matting = Matting(model, temporal or TemporalFilter(), keep_islands=keep_islands)
    whole = False
    try:
        decoded = _decode(pipeline, stats, source, matting, stop)
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
        whole = pipeline.failure is None and not stats.interrupted
    except BaseException as error:
        pipeline.fail(error)
    finally:
        try:
            pipeline.end()
        finally:  # a second Ctrl-C while threads are waited for
            _close(source, background, outputs, pipeline, whole)
    if pipeline.failure is not None:
        raise pipeline.failure
    return stats


def _close(
    source: Source, background: Background, outputs: Sequence[Output], pipeline: Pipeline, whole: bool
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
