"""Renders a file: decode, model, composite and encode run as threads with bounded queues between them.

The queues give back-pressure: a full queue blocks its producer, no frame is dropped or repeated, and memory
does not grow with the length. PyAV, ONNX Runtime, OpenVINO and OpenCV release the GIL, so threads are enough.

On an NVIDIA GPU the threads only queue work. Frames are uploaded in the first stage and downloaded before the
last; no thread waits for the GPU between the two.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from livematte.device import Device
from livematte.device.cuda import on_gpu
from livematte.device.execution import CpuContext, ExecutionContext
from livematte.device.transfer import TransferStats, to_host, transfer_stats
from livematte.errors import InputError, ModelError, OutputError
from livematte.frame import Frame, Matte
from livematte.matting import contracts
from livematte.matting.compositor import KINDS, Composed, Compositor
from livematte.matting.contracts import Limits
from livematte.matting.cuts import wait_for_cut
from livematte.matting.frame_matting import FrameMatting, ModelInput, execution_context
from livematte.matting.people import People
from livematte.matting.regions import RegionTracker
from livematte.matting.temporal import TemporalFilter
from livematte.offline.review import Review
from livematte.offline.stage_runner import BoundedQueue, StageRunner, StageTime
from livematte.parts import named_errors
from livematte.protocols import Background, GpuSink, Model, PendingMatte, Sink, Source


@dataclass(frozen=True)
class Output:
    """A sink and the kind of frames for it: ``picture``, ``alpha`` or ``foreground``."""

    sink: Sink
    kind: str = "picture"


@dataclass
class RenderStats:
    """The figures of a render."""

    frames: int = 0
    interrupted: bool = False
    highest_alpha: float = 0.0
    """Largest alpha of all mattes: near 0 where nobody was found in any frame."""
    transfers: TransferStats = field(default_factory=TransferStats)
    """Bytes between the computer's memory and GPUs, of the whole process during the render."""
    stages: dict[str, StageTime] = field(
        default_factory=lambda: {n: StageTime() for n in ("decode", "model", "composite", "encode")}
    )


AHEAD_BYTES = 1 << 30
"""Largest memory for frames that the model works on: a GPU's batches would hold 24 frames, 2.4 GB in 8K."""


@dataclass(frozen=True)
class _Work:
    """A frame between two stages.

    Attributes:
        ready: an event of its execution context, after the work that makes ``frame`` and ``small``.
        limits: see :meth:`FrameMatting.unchecked`.
    """

    frame: Frame
    small: ModelInput
    ready: Any
    matte: Matte | None = None
    limits: Limits = field(default_factory=dict)


class _Ahead:
    """The model's stage: keeps as many frames in flight as the model allows, returns mattes in order."""

    def __init__(self, matting: FrameMatting, context: ExecutionContext) -> None:
        self._matting, self._context = matting, context
        self._begun: deque[tuple[_Work, PendingMatte | None]] = deque()

    def __call__(self, work: _Work) -> list[_Work]:
        """Add one frame; returns the frames that are finished."""
        with self._context.compute_stream():
            self._context.wait_event(work.ready)
            work = replace(work, small=self._matting.focus(work.frame, work.small))
            self._begun.append((work, self._matting.begin(work.small)))
        most = min(self._matting.in_flight, AHEAD_BYTES // max(1, sum(p.nbytes for p in work.frame.planes)))
        return [self._next()] if len(self._begun) >= most else []

    def rest(self) -> list[_Work]:
        """The frames in flight, when no frame comes any more."""
        return [self._next() for _ in range(len(self._begun))]

    def _next(self) -> _Work:
        work, begun = self._begun.popleft()
        with self._context.compute_stream():
            matte, limits = self._matting.unchecked(work.frame, work.small, begun)
        return replace(work, matte=matte, limits=limits)


class _Finished:
    """The outputs of one frame on their way to the computer's memory; kinds in ``stay`` remain on the GPU."""

    def __init__(self, context: ExecutionContext, made: Composed, work: _Work, stay: frozenset[str]) -> None:
        self._work = work  # its memory may be read until all copies are finished
        frames = {kind: frame for kind in KINDS if (frame := getattr(made, kind)) is not None}
        self._staying = {kind: frames.pop(kind) for kind in stay & frames.keys()}
        self._frames = frames
        planes = [plane for frame in self._frames.values() for plane in frame.planes]
        self.highest_alpha = 0.0
        self._going = context.download([*planes, *work.limits.values()])

    def result(self) -> dict[str, Frame]:
        """Wait for them. ModelError for a matte with invalid values."""
        arrays = iter(self._going.result())
        frames = {
            kind: frame.with_planes(tuple(islice(arrays, len(frame.planes))))
            for kind, frame in self._frames.items()
        }
        for what, pair in zip(self._work.limits, arrays, strict=True):
            contracts.check_limits(what, pair, self._work.frame)
            if what == "alpha":
                self.highest_alpha = float(pair[1])
        return frames | self._staying


def _staying(outputs: Sequence[Output]) -> frozenset[str]:
    """The kinds of output whose sinks all take frames from the GPU."""
    coming = {o.kind for o in outputs if not (isinstance(o.sink, GpuSink) and o.sink.takes_gpu_frames)}
    return frozenset(output.kind for output in outputs) - coming


def _decode(
    runner: StageRunner,
    stats: RenderStats,
    source: Source,
    matting: FrameMatting,
    context: ExecutionContext,
    stop: threading.Event | None,
) -> BoundedQueue[_Work]:
    """The first stage: frames with their small RGB copies, until the source ends or ``stop`` is set."""
    outbox: BoundedQueue[_Work] = runner.queue()
    clock = runner.times["decode"]

    def body() -> None:
        try:
            frames = contracts.checked_frames(source)
            while not (stop is not None and stop.is_set()):
                began = time.perf_counter()
                with context.upload_stream():
                    frame = next(frames, None)
                    if frame is None:
                        return
                    frame = context.upload(frame)
                    work = _Work(frame, matting.shrink(frame), context.record_event())
                clock.add(began)
                if not outbox.put(work):
                    return
            stats.interrupted = True
        except BaseException as error:
            runner.fail(error)
        finally:
            outbox.finish()

    runner.start("decode", body)
    return outbox


def render(
    source: Source,
    model: Model,
    background: Background,
    outputs: Sequence[Output],
    *,
    compositor: Compositor | None = None,
    temporal: TemporalFilter | None = None,
    keep_small_components: bool = False,
    people: People = None,
    regions: RegionTracker | None = None,
    review: Review | None = None,
    device: Device | None = None,
    progress: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> RenderStats:
    """Put ``background`` behind the people of ``source`` and write the frames to every sink, in order.

    Closes source, background and sinks in every case: sinks with ``close`` if everything was written,
        otherwise
    with ``abort``.

    Args:
        keep_small_components: keep components that are not connected to a person; see
            :func:`livematte.matting.components.remove_small_components`.
        people: whom to keep; see :class:`livematte.matting.people.PeopleFilter`.
        regions: chooses the part of each frame that the model sees; None: always the whole frame.
        review: collects the most doubtful frames; of mattes on a GPU it takes copies.
        device: an NVIDIA GPU with CuPy, or the CPU, also for None.
        progress: called with the number of frames written, after each, in the calling thread.
        stop: set it in any thread to end early; frames in flight are still written.

    Raises:
        LivematteError: the first error of any stage, after the sinks are finished.
    """
    compositor = compositor or Compositor()
    want, stay = frozenset(output.kind for output in outputs), _staying(outputs)
    stats = RenderStats()
    runner = StageRunner(stats.stages)
    matting = FrameMatting(
        model,
        temporal or TemporalFilter(),
        keep_small_components=keep_small_components,
        people=people,
        regions=regions,
    )
    whole, before = False, transfer_stats()
    context: ExecutionContext = CpuContext()
    try:
        contracts.check_part(source, Source, "source", InputError)
        contracts.check_part(model, Model, "model", ModelError)
        contracts.check_part(background, Background, "background", InputError)
        for output in outputs:
            contracts.check_part(output.sink, Sink, "sink", OutputError)
        context = execution_context(device)
        decoded = _decode(runner, stats, source, matting, context, stop)
        ahead = _Ahead(matting, context)
        matted = runner.stage("model", decoded, ahead, ahead.rest)

        def composed(work: _Work) -> list[_Finished]:
            assert work.matte is not None
            with context.compute_stream():
                if not on_gpu(work.matte.alpha):  # a GPU is not waited for
                    stats.highest_alpha = max(stats.highest_alpha, float(work.matte.alpha.max()))
                if review is not None:
                    small = work.small
                    review.add(
                        float(work.frame.seconds), to_host(small.rgb), to_host(work.matte.alpha),
                        cut=wait_for_cut(small.cut),
                    )  # fmt: skip
                made = compositor(work.frame, work.matte, background, want, work.small.planes, work.small.cut)
                return [_Finished(context, made, work, stay)]

        clock = stats.stages["encode"]
        for finished in runner.stage("composite", matted, composed):
            began = time.perf_counter()
            frames = finished.result()
            stats.highest_alpha = max(stats.highest_alpha, finished.highest_alpha)
            for output in outputs:
                with named_errors("sink", output.sink, OutputError):
                    output.sink.write(frames[output.kind])
            clock.add(began)
            stats.frames += 1
            if progress is not None:
                progress(stats.frames)
        whole = runner.failure is None and not stats.interrupted
    except BaseException as error:
        runner.fail(error)
    finally:
        try:
            runner.end()
        finally:  # a second Ctrl-C while threads are waited for
            _close((context, source, background), outputs, runner, whole)
    stats.transfers = transfer_stats() - before
    if runner.failure is not None:
        raise runner.failure
    return stats


def _close(
    parts: tuple[ExecutionContext, Source, Background],
    outputs: Sequence[Output],
    runner: StageRunner,
    whole: bool,
) -> None:
    """Close everything once. After a sink that cannot finish, the other sinks are aborted."""
    ends: dict[str, Any] = dict(zip(("context", "source", "background"), parts, strict=True))
    for kind, part in ends.items():
        try:
            with named_errors(kind, part, InputError):
                part.close()
        except BaseException as error:
            runner.fail(error)
    for output in outputs:
        try:
            with named_errors("sink", output.sink, OutputError):
                (output.sink.close if whole else output.sink.abort)()
        except BaseException as error:
            whole = False
            runner.fail(error)


def mattes(
    source: Source,
    model: Model,
    *,
    compositor: Compositor | None = None,
    temporal: TemporalFilter | None = None,
    keep_small_components: bool = False,
    people: People = None,
    regions: RegionTracker | None = None,
    device: Device | None = None,
) -> Iterator[tuple[Frame, Matte]]:
    """Frames with their full-size mattes (alpha (H, W) float32 in [0, 1]), in order, one at a time, in the
    computer's memory; ``device`` as for :func:`render`.
    """
    compositor = compositor or Compositor()
    matting = FrameMatting(
        model,
        temporal or TemporalFilter(),
        keep_small_components=keep_small_components,
        people=people,
        regions=regions,
    )
    try:
        context = execution_context(device)
        for frame in contracts.checked_frames(source):
            yield full_size_matte(frame, matting, compositor, context)
    finally:
        with named_errors("source", source, InputError):
            source.close()


def full_size_matte(
    frame: Frame, matting: FrameMatting, compositor: Compositor, context: ExecutionContext
) -> tuple[Frame, Matte]:
    """The next frame and its full-size matte, both in the computer's memory; as :func:`mattes`."""
    with context.compute_stream():
        there = context.upload(frame)
        small = matting.focus(there, matting.shrink(there))
        full = compositor.full_matte(there, matting(there, small), small.planes, small.cut)
        return CpuContext().upload(frame), full
