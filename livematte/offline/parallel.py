"""Parallel render: several devices render segments of one file, which are joined in order.

Each worker takes the next segment. It starts to read some frames before the segment, so that temporal filters
have nearly the same state as after a render from the beginning, and the seam is not visible. Segment files
are written beside the target and deleted when they are joined. After an interruption the target contains all
frames up to the first missing segment.

``concurrent.futures.ProcessPoolExecutor`` with "spawn" was tried in place of :class:`_Process`: it runs the
caller's script again, cannot be used inside ``multiprocessing.Pool``, and Ctrl-C kills workers that are still
importing. Its workers outlive a parent that was killed and keep their GPU, and it does not report exit codes.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from livematte import errors
from livematte.device import choose_device
from livematte.errors import DeviceError, InputError, LivematteError, ModelError, UsageError
from livematte.offline.report import RenderReport, require_moving
from livematte.offline.worker import ENTRY, Job, SegmentResult, Task, environment, on_device
from livematte.options import SdrOption
from livematte.options.declaration import pick
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

_TICK = 0.1
"""Polling interval of the stop event in seconds."""

_EXIT_SECONDS = 10.0
"""Maximum time for a process to end."""


@dataclass
class _Process:
    """A worker process and its present task."""

    device: str
    process: subprocess.Popen[bytes]
    task: Task | None = None

    def send(self, message: Any) -> None:
        """Send a message. If the process has ended, :meth:`listen` reports it."""
        assert self.process.stdin is not None
        with suppress(OSError):
            pickle.dump(message, self.process.stdin)
            self.process.stdin.flush()

    def listen(self, inbox: queue.Queue[tuple[_Process, str, Any]]) -> None:
        """Put the replies of the process, and its end, into ``inbox``. Only this method closes the pipe."""
        assert self.process.stdout is not None
        with self.process.stdout as replies:
            try:
                while True:
                    kind, value = pickle.load(replies)
                    inbox.put((self, kind, value))
            except (EOFError, OSError, pickle.UnpicklingError):
                inbox.put((self, "gone", None))

    def close(self) -> None:
        """End the process and wait for it. A forked child may still keep the pipe of :meth:`listen` open."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _start_worker(job: Job, device: str, threads: int | None) -> _Process:
    variables, name = environment(device)
    process = subprocess.Popen(
        [sys.executable, "-c", ENTRY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=variables,
        start_new_session=True,  # Ctrl-C reaches only this process, which stops the workers
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    worker = _Process(device, process)
    worker.send(on_device(job, name, threads))
    return worker


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
    resolved.check_names()
    if "debug" in job.targets:
        raise UsageError("debug-view needs a single device: use --device cuda:0")
    for path in job.targets.values():
        if path == STREAM:
            raise UsageError("standard output needs a single device: use --device cuda:0, or a video file")
        if path.endswith(("/", os.sep)) or is_numbered(Path(path)):
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
    segments = split_video(job.input, len(devices), LEAD_IN_FRAMES[options["temporal"]], **section)
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

    waiting: list[Task]
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
    state = _State([Task(number, segment, Path(folder.name)) for number, segment in enumerate(segments)])
    meter = Meter(frames, progress)
    inbox: queue.Queue[tuple[_Process, str, Any]] = queue.Queue()
    workers: list[_Process] = []
    check_read, stopped = ReadCheck(job.input), False

    def put_away() -> None:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.wait(_EXIT_SECONDS)
        folder.cleanup()

    forget = before_sudden_end(put_away)
    try:
        try:
            on_cpu = sum(not device.startswith("cuda") for device in devices)
            for device in devices[: len(segments)]:
                share = None if device.startswith("cuda") else max(1, (os.cpu_count() or 1) // on_cpu)
                workers.append(_start_worker(job, device, job.options["threads"] or share))
                threading.Thread(target=workers[-1].listen, args=(inbox,), daemon=True).start()
            stopped = _process_segments(state, workers, inbox, sinks, meter, stop)
            check_read()
        except BaseException as error:
            state.failure = state.failure or error
        whole = state.failure is None and state.joined == len(segments)
        for worker in workers:
            worker.close()
        for sink in sinks:
            try:
                (sink.close if whole else sink.abort)()
            except BaseException as error:
                whole, state.failure = False, state.failure or error
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                worker.process.kill()
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


def _process_segments(
    state: _State,
    workers: Sequence[_Process],
    inbox: queue.Queue[tuple[_Process, str, Any]],
    sinks: Sequence[ConcatSink],
    meter: Meter,
    stop: threading.Event | None,
) -> bool:
    """Assign segments to workers and join the results. Returns True if the render was stopped early."""
    stopped = stop_sent = False
    written = 0
    for worker in workers:
        _assign_task(state, worker)
    while any(worker.task is not None for worker in workers):
        if not stop_sent and (state.failure is not None or (stop is not None and stop.is_set())):
            stopped, stop_sent = state.failure is None, True
            state.waiting.clear()
            for worker in workers:
                worker.send(None)
        try:
            worker, kind, value = inbox.get(timeout=_TICK)
        except queue.Empty:
            for worker in workers:  # a forked child may keep the pipe open
                if worker.task is not None and worker.process.poll() is not None:
                    inbox.put((worker, "gone", None))
            continue
        if kind == "frame":
            written += 1
            meter(written)
        elif kind == "done":
            worker.task = None
            state.done[value.number] = value
            _join(state, sinks)
            if state.failure is None and not stop_sent:
                _assign_task(state, worker)
        else:
            worker.task = None
            state.failure = state.failure or _worker_error(worker, kind, value)
    return stopped


def _assign_task(state: _State, worker: _Process) -> None:
    if state.waiting:
        worker.task = state.waiting.pop(0)
        worker.send(worker.task)


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


def _worker_error(worker: _Process, kind: str, value: Any) -> BaseException:
    """Return the error of a worker as an exception of the same class."""
    if kind == "failed":
        name, message, notes = value
        error_class = getattr(errors, name, LivematteError)
        if error_class is errors.MissingExtraError:  # its constructor takes other arguments
            error_class = UsageError
        if issubclass(error_class, (DeviceError, ModelError)):
            message = f"on {worker.device}: {message}"
        error: LivematteError = error_class(message)
        error.notes = tuple(notes)
        return error
    if kind == "broken":
        return RuntimeError(f"the worker on {worker.device} failed:\n{value}")
    code = worker.process.wait(_EXIT_SECONDS)
    return DeviceError(
        f"the worker on {worker.device} ended unexpectedly (exit code {code}): it may need more memory; "
        "close other programs or use fewer devices"
    )
