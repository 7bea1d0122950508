"""Parallel render: several devices render segments of one file, which are joined in order.

Each worker takes the next segment. It starts to read some frames before the segment, so that temporal filters
have nearly the same state as after a render from the beginning, and the seam is not visible. Segment files
are written beside the target and deleted when they are joined. After an interruption the target contains all
frames up to the first missing segment.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from livematte.device import choose_device
from livematte.errors import InputError, LivematteError, UsageError
from livematte.offline.pool import ProcessPool
from livematte.offline.report import RenderReport, require_moving
from livematte.offline.schedule import Scheduler, Slot, Unit, UnitAdvanced, UnitFailed, UnitFinished
from livematte.offline.worker import Job, SegmentResult, Task, on_device, render_segment
from livematte.options import SdrOption
from livematte.options.declaration import pick
from livematte.output_paths import check_splittable
from livematte.progress import Meter, Progress
from livematte.resolve import resolve
from livematte.sudden_end import before_sudden_end
from livematte.video.concat import ConcatSink, open_concat
from livematte.video.images import is_numbered
from livematte.video.output_stream import STREAM
from livematte.video.read_check import ReadCheck
from livematte.video.reader import open_video
from livematte.video.split import Segment, split_video

LEAD_IN_FRAMES = {"on": 16, "strong": 36, "off": 8}
"""Number of frames read before each segment, by temporal mode.

Without motion, the weight of earlier frames in the filter falls by the factor 0.7 (on) or 0.88 (strong) per
frame, so to less than 1 % (0.88^36).
"""


def lead_in_frames(options: Mapping[str, Any]) -> int:
    """Return the number of frames that are read before each segment of a render."""
    return LEAD_IN_FRAMES[options["temporal"]]


def render_file(
    job: Job,
    devices: Sequence[str],
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> RenderReport | None:
    """Render a file on several devices; return None if it cannot be split.

    Raises:
        UsageError: an option cannot be sent to a worker, or needs a single device.
        LivematteError: as :func:`livematte.api.render`.
    """
    options, resolved = job.options, resolve(job.options)
    resolved.check_split()
    check_splittable(job.targets, "use --device cuda:0")
    for path in job.targets.values():
        if path == STREAM:
            raise UsageError("standard output needs a single device: use --device cuda:0, or a video file")
        if is_numbered(Path(path)):
            raise UsageError(
                f"{path}: numbered pictures need a single device: use --device cuda:0, or a video file"
            )
    for device in devices:
        choose_device(device, resolved.compute.runtime)
    background = resolved.background()
    background.close()
    job = replace(job, transparent=background.transparent)
    section = job.section
    with open_video(job.input, **pick(SdrOption, options), **section) as source:
        require_moving(source, job.input)
        info = source.info
    job = replace(job, like=replace(info, details={}))
    segments = split_video(job.input, len(devices), lead_in_frames(options), **section)
    if len(segments) < 2:
        return None
    sinks: list[ConcatSink] = []
    try:
        for kind, path in job.targets.items():
            sinks.append(
                open_concat(
                    Path(path),
                    info,
                    **job.sink_settings(kind),
                    copy_streams_from=job.input if kind == "picture" else None,
                    **section,
                )
            )
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    return render(job, devices, segments, sinks, frames=info.frames, progress=progress, stop=stop)


@dataclass
class _State:
    """Progress of a parallel render."""

    done: dict[int, SegmentResult] = field(default_factory=dict)
    joined: int = 0
    gap: bool = False
    failure: BaseException | None = None
    damaged: int = 0
    notes: list[str] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)


def render(
    job: Job,
    devices: Sequence[str],
    segments: Sequence[Segment],
    sinks: Sequence[ConcatSink],
    *,
    frames: int | None,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> RenderReport:
    """Render ``segments`` on ``devices`` in parallel. Always closes or aborts the sinks.

    Args:
        job: its device is replaced by ``devices``; CPU workers share its threads.
        sinks: one sink per target in ``job.targets``.
        frames: expected number of frames, for the progress.
        progress, stop: as for :func:`livematte.api.render`.

    Raises:
        LivematteError: the first error, after the sinks are closed.
    """
    began = time.monotonic()
    target = Path(sinks[0].path).resolve()
    folder = tempfile.TemporaryDirectory(
        prefix=".livematte-parts-", dir=target.parent, ignore_cleanup_errors=True
    )
    state, meter, check_read, stopped = _State(), Meter(frames, progress), ReadCheck(job.input), False
    forget = before_sudden_end(folder.cleanup)  # after the pool, which is made later, has ended its processes
    try:
        pool = ProcessPool(devices[: len(segments)])
        try:
            stopped = _process_segments(
                state, pool, segment_units(job, segments, folder.name), sinks, meter, stop
            )
            check_read()
        except BaseException as error:
            state.failure = state.failure or error
        whole = state.failure is None and state.joined == len(segments)
        pool.close()
        for sink in sinks:
            try:
                (sink.close if whole else sink.abort)()
            except BaseException as error:
                whole, state.failure = False, state.failure or error
    finally:
        folder.cleanup()
        forget()
    notes = [*state.notes, *(note for sink in sinks for note in sink.notes)]
    if isinstance(state.failure, LivematteError):
        state.failure.notes = (*state.failure.notes, *notes)
    if state.failure is not None:
        raise state.failure
    stopped = stopped and not whole
    if sinks[0].frames == 0 and not stopped:
        raise InputError(f"{job.input} contains no picture that can be decoded")
    if progress is not None:
        progress(meter.progress() if stopped else meter.finished())
    return RenderReport(
        frames=sinks[0].frames,
        damaged=state.damaged,
        seconds=time.monotonic() - began,
        fps=meter.fps,
        outputs=[Path(sink.path) for sink in sinks],
        notes=notes,
        interrupted=stopped,
        stages=state.stages,
    )


def segment_units(job: Job, segments: Sequence[Segment], folder: str) -> list[Unit]:
    """Return the unit of each segment; its key is the number of the segment."""

    def call(task: Task, slot: Slot) -> tuple[Any, ...]:
        return render_segment, on_device(job, slot.device, slot.threads), task

    tasks = [Task(number, segment, Path(folder)) for number, segment in enumerate(segments)]
    return [Unit(task.number, partial(call, task)) for task in tasks]


def _process_segments(
    state: _State,
    pool: ProcessPool,
    units: Sequence[Unit],
    sinks: Sequence[ConcatSink],
    meter: Meter,
    stop: threading.Event | None,
) -> bool:
    """Render the segments and join the results. Returns True if the render was stopped early."""
    asked = False

    def is_stopped() -> bool:
        nonlocal asked
        asked = asked or (state.failure is None and stop is not None and stop.is_set())
        return asked or state.failure is not None

    written: dict[int, int] = {}
    for event in Scheduler(units, pool, stop=is_stopped).events():
        if isinstance(event, UnitAdvanced):
            written[event.unit.key] = event.frames
            meter(sum(written.values()))
        elif isinstance(event, UnitFinished):
            state.done[event.unit.key] = event.value
            _join(state, sinks)
        elif isinstance(event, UnitFailed):
            state.failure = state.failure or event.error
    return asked


def _join(state: _State, sinks: Sequence[ConcatSink]) -> None:
    """Append the next finished segments and delete their files. Stops after an incomplete segment."""
    while not state.gap and (done := state.done.pop(state.joined, None)) is not None:
        state.damaged += done.damaged
        state.notes += [note for note in done.notes if note not in state.notes]
        for name, seconds in done.stages.items():
            state.stages[name] = state.stages.get(name, 0.0) + seconds
        for sink, part in zip(sinks, done.parts, strict=True):
            sink.append(part)
            part.path.unlink(missing_ok=True)
        state.gap = not done.whole
        state.joined += done.whole
