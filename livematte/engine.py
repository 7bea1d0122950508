"""The loop: decode, model, composite and encode as threads over short queues.

Offline policy: back-pressure. A stage that is ahead waits, no frame is dropped or repeated, and memory does
not grow with the length. PyAV, ONNX Runtime, OpenVINO and OpenCV let go of the GIL, so threads are enough.

On an NVIDIA GPU the threads only queue work. Frames go up in the first stage and the finished ones come down
before the last; nobody waits for the GPU in between.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from livematte import contracts
from livematte.composite import KINDS, Composed, Compositor
from livematte.contracts import Limits
from livematte.device import Device
from livematte.errors import InputError, ModelError, OutputError
from livematte.frame import Array, Frame, Matte
from livematte.kernels import twins
from livematte.kernels.copies import Moved, OnCpu, OnGpu, Place, beside, moved, to_host
from livematte.pipeline import Channel, Pipeline, StageTime
from livematte.protocols import AheadModel, Background, GpuModel, GpuSink, Model, PendingMatte, Sink, Source
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
    moved: Moved = field(default_factory=Moved)
    """Between the computer's memory and GPUs, by all that ran in this process meanwhile."""
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


AHEAD_BYTES = 1 << 30
"""What frames that a model has under way may take: a GPU's batches would hold 24 of them, 2.4 GB in 8K."""


@dataclass(frozen=True)
class _Work:
    """A frame on its way.

    Attributes:
        ready: a mark of the place where it is: what was queued to make ``frame`` and ``small``.
        limits: see :meth:`Matting.unchecked`.
    """

    frame: Frame
    small: Small
    ready: Any
    matte: Matte | None = None
    limits: Limits = field(default_factory=dict)


class Matting:
    """Model, islands dropped, temporal filter, with their state: frames in order in, mattes out.

    Mattes are on a GPU where frames are.
    """

    def __init__(self, model: Model, temporal: TemporalFilter, *, keep_islands: bool = False) -> None:
        self._model, self._temporal, self._keep_islands = model, temporal, keep_islands
        self._state: Any = None
        self._smooth: Any = None
        self._size: tuple[int, int] | None = None

    def shrink(self, frame: Frame) -> Small:
        """The small picture that the model sees.

        Raises:
            ModelError: the model names no size.
        """
        return Small(*twins.small_both(frame, *contracts.input_size(self._model, *frame.size)))

    @property
    def in_flight(self) -> int:
        """How many frames to :meth:`begin` before the first is finished."""
        return self._model.in_flight if isinstance(self._model, AheadModel) else 1

    def begin(self, small: Small) -> PendingMatte | None:
        """Let the model start on a picture, where it can work ahead."""
        return self._model.submit(self._seen(small)) if isinstance(self._model, AheadModel) else None

    def _seen(self, small: Small) -> Array:
        takes = isinstance(self._model, GpuModel) and self._model.takes_gpu_arrays
        return small.rgb if takes else to_host(small.rgb)

    def __call__(self, frame: Frame, small: Small, begun: PendingMatte | None = None) -> Matte:
        """The calmed matte of ``frame``, at the size of ``small``. Frames come in order.

        Raises:
            ModelError: the model gives what is no matte, or values that are no alpha or no colours.
        """
        matte, limits = self.unchecked(frame, small, begun)
        self._wait(frame, limits)
        return matte

    def unchecked(
        self, frame: Frame, small: Small, begun: PendingMatte | None = None
    ) -> tuple[Matte, Limits]:
        """The matte, and on a GPU what it must be judged by before anybody sees it: nothing is waited for."""
        matte, limits = self._raw(frame, small, begun)
        return self._calmed(matte, small), limits

    def _wait(self, frame: Frame, limits: Limits) -> None:
        """Raise ModelError where values, now known, are no alpha or no colours."""
        for what, pair in limits.items():
            contracts.check_limits(what, to_host(pair), frame)

    def _raw(self, frame: Frame, small: Small, begun: PendingMatte | None = None) -> tuple[Matte, Limits]:
        """What the model says of this picture alone, islands dropped; limits as of :meth:`unchecked`."""
        if frame.keyframe_hint or frame.size != self._size:
            self._state = self._smooth = None
            self._size = frame.size
        if begun is not None:
            matte = begun.result()
        else:
            given = self._model(self._seen(small), self._state)
            matte, self._state = contracts.answer(self._model, given)
        contracts.check_matte(self._model, "model", matte, *small.rgb.shape[:2])
        matte, limits = contracts.clipped(beside(matte, small.rgb), frame)
        if not self._keep_islands:
            matte = replace(matte, alpha=drop_islands(matte.alpha))
        return matte, limits

    def _calmed(self, matte: Matte, small: Small) -> Matte:
        """The matte, calmed by those before; itself where there is nothing to calm."""
        calm: Matte
        calm, self._smooth = self._temporal(matte, small.rgb, self._smooth)
        return calm


class _Ahead:
    """The model's stage: keeps as many pictures under way as the model takes, gives mattes in order."""

    def __init__(self, matting: Matting, place: Place) -> None:
        self._matting, self._place = matting, place
        self._begun: deque[tuple[_Work, PendingMatte | None]] = deque()

    def __call__(self, work: _Work) -> list[_Work]:
        """Take one frame in; give the frames that are done."""
        with self._place.working():
            self._place.after(work.ready)
            self._begun.append((work, self._matting.begin(work.small)))
        most = min(self._matting.in_flight, AHEAD_BYTES // max(1, sum(p.nbytes for p in work.frame.planes)))
        return [self._next()] if len(self._begun) >= most else []

    def rest(self) -> list[_Work]:
        """What is still under way when no frame comes any more."""
        return [self._next() for _ in range(len(self._begun))]

    def _next(self) -> _Work:
        work, begun = self._begun.popleft()
        with self._place.working():
            matte, limits = self._matting.unchecked(work.frame, work.small, begun)
        return replace(work, matte=matte, limits=limits)


class _Finished:
    """The outputs of one frame on their way to where sinks take them; kinds in ``stay`` are there already."""

    def __init__(self, place: Place, made: Composed, work: _Work, stay: frozenset[str]) -> None:
        self._work = work  # its memory may be read until all is here
        frames = {kind: frame for kind in KINDS if (frame := getattr(made, kind)) is not None}
        self._staying = {kind: frames.pop(kind) for kind in stay & frames.keys()}
        self._frames = frames
        planes = [plane for frame in self._frames.values() for plane in frame.planes]
        self._going = place.down([*planes, *work.limits.values()])

    def result(self) -> dict[str, Frame]:
        """Wait for them. ModelError where the matte is none."""
        arrays = iter(self._going.result())
        frames = {
            kind: frame.with_planes(tuple(islice(arrays, len(frame.planes))))
            for kind, frame in self._frames.items()
        }
        for what, pair in zip(self._work.limits, arrays, strict=True):
            contracts.check_limits(what, pair, self._work.frame)
        return frames | self._staying


def _staying(outputs: Sequence[Output]) -> frozenset[str]:
    """The kinds of output that every sink of takes from where frames are worked on."""
    coming = {o.kind for o in outputs if not (isinstance(o.sink, GpuSink) and o.sink.takes_gpu_frames)}
    return frozenset(output.kind for output in outputs) - coming


def _decode(
    pipeline: Pipeline,
    stats: RenderStats,
    source: Source,
    matting: Matting,
    place: Place,
    stop: threading.Event | None,
) -> Channel[_Work]:
    """The first stage: frames with their small RGB copies, until the source ends or ``stop`` is set."""
    outbox: Channel[_Work] = pipeline.channel()
    clock = pipeline.times["decode"]

    def body() -> None:
        try:
            frames = contracts.frames_of(source)
            while not (stop is not None and stop.is_set()):
                began = time.perf_counter()
                with place.coming():
                    frame = next(frames, None)
                    if frame is None:
                        return
                    frame = place.up(frame)
                    work = _Work(frame, matting.shrink(frame), place.mark())
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
    device: Device | None = None,
    progress: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> RenderStats:
    """Put ``background`` behind the people of ``source`` and hand the frames to every sink, in order.

    Closes source, background and sinks, whatever happens: sinks with ``close`` when everything was written,
    otherwise with ``abort``.

    Args:
        keep_islands: leave what is not connected to a person; see :func:`livematte.regions.drop_islands`.
        device: where frames are worked on: an NVIDIA GPU with CuPy, or the CPU, which None means too.
        progress: called with the number of frames written, after each, in the calling thread.
        stop: set it from anywhere to end early; what is under way is still written.

    Raises:
        LivematteError: the first thing that went wrong in any stage, after the sinks are finished.
    """
    compositor = compositor or Compositor()
    want, stay = frozenset(output.kind for output in outputs), _staying(outputs)
    stats = RenderStats()
    pipeline = Pipeline(stats.stages)
    matting = Matting(model, temporal or TemporalFilter(), keep_islands=keep_islands)
    whole, before = False, moved()
    place: Place = OnCpu()
    try:
        contracts.check_part(source, Source, "source", InputError)
        contracts.check_part(model, Model, "model", ModelError)
        contracts.check_part(background, Background, "background", InputError)
        for output in outputs:
            contracts.check_part(output.sink, Sink, "sink", OutputError)
        place = place_of(device)
        decoded = _decode(pipeline, stats, source, matting, place, stop)
        ahead = _Ahead(matting, place)
        matted = pipeline.stage("model", decoded, ahead, ahead.rest)

        def composed(work: _Work) -> list[_Finished]:
            assert work.matte is not None
            with place.working():
                made = compositor(work.frame, work.matte, background, want, work.small.planes)
                return [_Finished(place, made, work, stay)]

        clock = stats.stages["encode"]
        for finished in pipeline.stage("composite", matted, composed):
            began = time.perf_counter()
            frames = finished.result()
            for output in outputs:
                output.sink.write(frames[output.kind])
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
            _close((place, source, background), outputs, pipeline, whole)
    stats.moved = moved() - before
    if pipeline.failure is not None:
        raise pipeline.failure
    return stats


def place_of(device: Device | None) -> Place:
    """Where frames are worked on; ``device`` as for :func:`render`. Raises as :class:`OnGpu`."""
    if device is None or device.kind != "cuda":
        return OnCpu()
    return OnGpu(device.index)


def _close(
    parts: tuple[Place, Source, Background], outputs: Sequence[Output], pipeline: Pipeline, whole: bool
) -> None:
    """Finish everything once; a sink that cannot finish spoils the others' names no more."""
    for part in parts:
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
    device: Device | None = None,
) -> Iterator[tuple[Frame, Matte]]:
    """Frames with their full-size mattes (alpha (H, W) float32 in [0, 1]), in order, one at a time; in the
    computer's memory, wherever they were worked on: ``device`` as for :func:`render`.
    """
    compositor = compositor or Compositor()
    matting = Matting(model, temporal or TemporalFilter(), keep_islands=keep_islands)
    try:
        place = place_of(device)
        for frame in contracts.frames_of(source):
            with place.working():
                there = place.up(frame)
                small = matting.shrink(there)
                full = compositor.full_matte(there, matting(there, small), small.planes)
                here = OnCpu().up(frame)
            yield here, full
    finally:
        source.close()
