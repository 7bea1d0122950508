"""Several devices render one file: each takes the next segment, and the segments are joined as they come.

A segment begins to read some frames before its first one, so that what remembers earlier frames remembers
nearly what it would after all of them, and the seam does not show. Files are written beside the target and
go away as they are joined: after an interruption the target holds all from its beginning to the first gap.

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
from livematte.options import SectionOptions
from livematte.options.declaration import pick
from livematte.progress import Meter, Progress
from livematte.resolve import resolve
from livematte.video.concat import ConcatSink, open_concat
from livematte.video.container import PATTERN
from livematte.video.reader import open_video
from livematte.video.split import Segment, split_video

SHARED = {"on": 16, "strong": 36, "off": 8}
"""Frames that a segment reads before its first one, by temporal mode: where nothing moves, what the filter
remembers fades to 0.7 or 0.88 of it with each, and so to less than 1 %.
"""

_TICK = 0.1
"""Seconds between two looks at whether to stop."""

_PATIENCE = 10.0
"""Seconds that a process may take to end."""


@dataclass
class _Process:
    """A worker and what it does."""

    device: str
    process: subprocess.Popen[bytes]
    task: Task | None = None

    def say(self, message: Any) -> None:
        """Send it something; one that has ended is told of by :meth:`listen`."""
        assert self.process.stdin is not None
        with suppress(OSError):
            pickle.dump(message, self.process.stdin)
            self.process.stdin.flush()

    def listen(self, inbox: queue.Queue[tuple[_Process, str, Any]]) -> None:
        """Put what it says into ``inbox``, and that it ended; the pipe is closed by who reads from it."""
        assert self.process.stdout is not None
        with self.process.stdout as told:
            try:
                while True:
                    what, value = pickle.load(told)
                    inbox.put((self, what, value))
            except (EOFError, OSError, pickle.UnpicklingError):
                inbox.put((self, "gone", None))

    def end(self) -> None:
        """Let it go, and wait for it; not for :meth:`listen`, which what it forked may keep at work."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _started(job: Job, device: str, threads: int | None) -> _Process:
    seen, name = environment(device)
    process = subprocess.Popen(
        [sys.executable, "-c", ENTRY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=seen,
        start_new_session=True,  # Ctrl-C is for us alone, who tell them
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    worker = _Process(device, process)
    worker.say(on_device(job, name, threads))
    return worker


def render_file(
    job: Job,
    devices: Sequence[str],
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> RenderReport | None:
    """Render a file on several devices; None where it cannot be divided.

    Raises:
        UsageError: something is given that cannot be sent to a worker, or that only one device can write.
        LivematteError: as :func:`livematte.api.render`.
    """
    options, resolved = job.options, resolve(job.options)
    resolved.check_names()
    if "debug" in job.targets:
        raise UsageError("a debug view is written by one device: name one, such as cuda:0")
    for path in job.targets.values():
        if path.endswith(("/", os.sep)) or PATTERN.search(Path(path).name):
            raise UsageError(f"{path}: several devices write video files, not numbered pictures")
    for device in devices:
        choose_device(device, resolved.compute.runtime)
    behind = resolved.background()
    behind.close()
    job = replace(job, transparent=behind.transparent)
    section = pick(SectionOptions, options)
    with open_video(job.input, **section) as source:
        require_moving(source, job.input)
        info = source.info
    segments = split_video(job.input, len(devices), SHARED[options["temporal"]], **section)
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
    """How far a render is."""

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
    """Render ``segments`` on ``devices`` side by side. Closes the sinks, whatever happens.

    Args:
        job: its own device is left to ``devices``; on a CPU its threads are divided.
        sinks: one for each of ``job.targets``.
        frames: how many are expected, for the progress.
        progress, stop: as for :func:`livematte.api.render`.

    Raises:
        LivematteError: the first thing that went wrong, after the sinks are finished.
    """
    began = time.monotonic()
    target = Path(sinks[0].path).resolve()
    folder = tempfile.TemporaryDirectory(
        prefix=f".{target.stem}.parts-", dir=target.parent, ignore_cleanup_errors=True
    )
    state = _State([Task(number, segment, Path(folder.name)) for number, segment in enumerate(segments)])
    meter = Meter(frames, progress)
    inbox: queue.Queue[tuple[_Process, str, Any]] = queue.Queue()
    workers: list[_Process] = []
    stopped = False
    try:
        try:
            on_cpu = sum(not device.startswith("cuda") for device in devices)
            for device in devices[: len(segments)]:
                share = None if device.startswith("cuda") else max(1, (os.cpu_count() or 1) // on_cpu)
                workers.append(_started(job, device, job.options["threads"] or share))
                threading.Thread(target=workers[-1].listen, args=(inbox,), daemon=True).start()
            stopped = _work(state, workers, inbox, sinks, meter, stop)
        except BaseException as error:
            state.failure = state.failure or error
        whole = state.failure is None and state.joined == len(segments)
        for worker in workers:
            worker.end()
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
    notes = [*state.notes, *(note for sink in sinks for note in sink.notes)]
    if isinstance(state.failure, LivematteError):
        state.failure.notes = (*state.failure.notes, *notes)
    if state.failure is not None:
        raise state.failure
    stopped = stopped and not whole
    if sinks[0].frames == 0 and not stopped:
        raise InputError(f"{job.input} has no picture that decodes")
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


def _work(
    state: _State,
    workers: Sequence[_Process],
    inbox: queue.Queue[tuple[_Process, str, Any]],
    sinks: Sequence[ConcatSink],
    meter: Meter,
    stop: threading.Event | None,
) -> bool:
    """Hand out segments and join what comes, until nothing is left; whether it was stopped before."""
    stopped = told = False
    written = 0
    for worker in workers:
        _hand_out(state, worker)
    while any(worker.task is not None for worker in workers):
        if not told and (state.failure is not None or (stop is not None and stop.is_set())):
            stopped, told = state.failure is None, True
            state.waiting.clear()
            for worker in workers:
                worker.say(None)
        try:
            worker, what, value = inbox.get(timeout=_TICK)
        except queue.Empty:
            for worker in workers:  # what it forked may keep its end of the pipe open
                if worker.task is not None and worker.process.poll() is not None:
                    inbox.put((worker, "gone", None))
            continue
        if what == "frame":
            written += 1
            meter(written)
        elif what == "done":
            worker.task = None
            state.done[value.number] = value
            _join(state, sinks)
            if state.failure is None and not told:
                _hand_out(state, worker)
        else:
            worker.task = None
            state.failure = state.failure or _trouble(worker, what, value)
    return stopped


def _hand_out(state: _State, worker: _Process) -> None:
    if state.waiting:
        worker.task = state.waiting.pop(0)
        worker.say(worker.task)


def _join(state: _State, sinks: Sequence[ConcatSink]) -> None:
    """Append what is next, and forget its files; nothing more after a segment that was stopped."""
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


def _trouble(worker: _Process, what: str, value: Any) -> BaseException:
    """What a worker ended with, as the error that it would have been here."""
    if what == "failed":
        name, line, notes = value
        kind = getattr(errors, name, LivematteError)
        if kind is errors.MissingExtraError:  # is made of other things than its line
            kind = UsageError
        if issubclass(kind, (DeviceError, ModelError)):
            line = f"on {worker.device}: {line}"
        error: LivematteError = kind(line)
        error.notes = tuple(notes)
        return error
    if what == "broken":
        return RuntimeError(f"the worker on {worker.device} failed:\n{value}")
    code = worker.process.wait(_PATIENCE)
    return DeviceError(f"the worker on {worker.device} ended by itself (exit code {code}): is memory short?")
