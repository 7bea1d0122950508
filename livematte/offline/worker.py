"""Worker process that renders segments of a video on one device; see :mod:`livematte.offline.parallel`.

A process instead of a thread, so that only its own GPU is visible and libraries that use "the current device"
use the right one.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from livematte.errors import InputError, LivematteError
from livematte.frame import Frame
from livematte.matting.compositor import warm_up
from livematte.offline import engine
from livematte.offline.report import abort_outputs
from livematte.options import RenderOptions, SdrOption
from livematte.options.declaration import pick
from livematte.output_paths import sink_settings
from livematte.protocols import Background, GpuSink, Sink, SourceInfo
from livematte.resolve import collect_notes, cuda_index, frame_device, resolve
from livematte.video.concat import EncodedPart
from livematte.video.reader import open_video
from livematte.video.section import Section
from livematte.video.split import Segment
from livematte.video.writer import open_sink

ENTRY = "from livematte.offline.worker import main; main()"
"""Code that starts the worker. Unlike :mod:`multiprocessing`, it does not run the caller's script again."""


@dataclass(frozen=True)
class Job:
    """Arguments of a render, as for :func:`livematte.api.render`; the same for all workers.

    Attributes:
        input: path of the video.
        targets: path of each output by kind.
        options: all of :class:`livematte.options.RenderOptions`; its device is the device of the worker.
        streams: number of frames that the network processes in parallel.
        section: part of the video to render; ``start`` and ``end`` in ``options`` are not used.
        transparent: True if the background is transparent; set after it was opened.
        like: the input from its beginning: a segment may begin with another size or pixel shape.
    """

    input: str
    targets: Mapping[str, str]
    options: RenderOptions
    streams: int = 1
    transparent: bool = False
    like: SourceInfo | None = None
    section: Section = field(default_factory=lambda: Section(start=None, end=None))

    def sink_settings(self, kind: str) -> dict[str, Any]:
        """See :func:`livematte.output_paths.sink_settings`."""
        return sink_settings(kind, self.options, transparent=self.transparent)


@dataclass(frozen=True)
class Task:
    """A segment to render, and the folder for its files."""

    number: int
    segment: Segment
    folder: Path


@dataclass(frozen=True)
class SegmentResult:
    """Result of a :class:`Task`.

    Attributes:
        number: number of the segment.
        parts: encoded file of each output, in the order of ``Job.targets``.
        whole: False if the render was stopped before the end of the segment.
        damaged: number of damaged packets and frames that were skipped.
        notes: notes for the user.
        stages: busy time of each stage of the engine in seconds.
    """

    number: int
    parts: tuple[EncodedPart, ...]
    whole: bool
    damaged: int
    notes: tuple[str, ...]
    stages: dict[str, float]


class _SegmentSink:
    """Sink that drops frames before ``first`` (pts), and records pts and duration of the other frames."""

    def __init__(self, sink: Sink, first: int | None, frame_written: Callable[[], None]) -> None:
        self._sink, self._first, self._frame_written = sink, first, frame_written
        self.times: list[tuple[int, int]] = []

    @property
    def takes_gpu_frames(self) -> bool:
        """True if the wrapped sink takes GPU frames."""
        return isinstance(self._sink, GpuSink) and self._sink.takes_gpu_frames

    def write(self, frame: Frame) -> None:
        """Pass a frame on, or drop it if it is before ``first``."""
        if self._first is not None and frame.pts < self._first:
            return
        self._sink.write(frame)
        self.times.append((frame.pts, frame.duration))
        self._frame_written()

    def close(self) -> None:
        """Close the wrapped sink. Without frames it creates no file."""
        self._sink.close()

    def abort(self) -> None:
        """Abort the wrapped sink."""
        self._sink.abort()


class Worker:
    """Renders segments; loads the networks once.

    Raises:
        LivematteError: as :func:`livematte.api.render`.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        warming = threading.Thread(target=warm_up, daemon=True)
        warming.start()
        resolved = resolve(job.options)
        self._model = resolved.model(streams=job.streams)
        self._resolved = resolved.with_refiner()
        self._device, self._device_notes = frame_device(resolved.compute)
        self._gpu = None if self._device is None else self._device.index
        self._codec_gpu = cuda_index(resolved.compute)

    def __call__(self, task: Task, stop: threading.Event, frame_written: Callable[[], None]) -> SegmentResult:
        """Render one segment.

        Args:
            stop: set to stop early; the frames rendered so far are kept.
            frame_written: called after each frame is written.
        """
        job, segment = self._job, task.segment
        try:
            source = open_video(
                job.input, start=segment.read, end=segment.end, like=job.like,
                hwaccel=job.options["hwaccel"], gpu=self._gpu, card=self._codec_gpu,
                **pick(SdrOption, job.options),
            )  # fmt: skip
        except InputError as error:
            if task.number == 0:
                raise
            return SegmentResult(
                task.number, (EncodedPart(task.folder, ()),) * len(job.targets), True, 0, (str(error),), {}
            )
        outputs: list[engine.Output] = []
        segment_sinks: list[_SegmentSink] = []
        files: list[Path] = []
        background: Background | None = None
        try:
            background = self._resolved.background()
            for kind, target in job.targets.items():
                files.append(task.folder / f"{task.number}-{kind}{Path(target).suffix}")
                sink = open_sink(
                    files[-1],
                    source.info,
                    start=0,
                    gpu=self._gpu,
                    card=self._codec_gpu,
                    **job.sink_settings(kind),
                )
                count = (lambda: None) if outputs else frame_written  # each frame once
                segment_sinks.append(_SegmentSink(sink, segment.first, count))
                outputs.append(engine.Output(segment_sinks[-1], kind))
        except BaseException:
            abort_outputs(source, background, outputs)
            raise
        stats = engine.render(
            source, self._model, background, outputs,
            compositor=self._resolved.compositor(), device=self._device, stop=stop,
            **self._resolved.filters(),
        )  # fmt: skip
        return SegmentResult(
            task.number,
            tuple(
                EncodedPart(file, tuple(segment_sink.times))
                for file, segment_sink in zip(files, segment_sinks, strict=True)
            ),
            not stats.interrupted,
            source.damaged,
            (*self._device_notes, *collect_notes(self._model, self._resolved.refine.how), *source.notes),
            {name: clock.wall for name, clock in stats.stages.items()},
        )


def main() -> None:
    """Entry point of the process: read a :class:`Job` and then tasks from stdin, write replies to stdout.

    All messages are pickled. Replies are ``("frame", None)``, ``("done", SegmentResult)``,
    ``("failed", (class name, message, notes))`` and ``("broken", traceback)``; the process ends after one of
    the last two.
    """
    # Private copies of stdin and stdout, so that library output cannot enter the protocol. Also, a process
    # that a library forks closes sys.stdin, which would block forever while a thread reads from it.
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    os.dup2(2, 1)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK"):
        if hasattr(signal, name):  # the parent process requests the stop
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    lock = threading.Lock()

    def send(kind: str, value: Any = None) -> None:
        with lock:
            pickle.dump((kind, value), replies)
            replies.flush()

    try:
        job: Job = pickle.load(requests)
        tasks: queue.Queue[Task] = queue.Queue()
        stop = threading.Event()
        threading.Thread(target=_listen, args=(requests, tasks, stop), daemon=True).start()
        worker = Worker(job)
        while True:
            send("done", worker(tasks.get(), stop, lambda: send("frame")))
    except LivematteError as error:
        send("failed", (type(error).__name__, str(error), error.notes))
    except BaseException:
        send("broken", traceback.format_exc())
    replies.close()
    os._exit(1)  # ends also threads and drivers that hang


def _listen(requests: BinaryIO, tasks: queue.Queue[Task], stop: threading.Event) -> None:
    """Queue the tasks from ``requests``. ``None`` sets ``stop``; the end of the stream ends the process."""
    while True:
        try:
            task: Task | None = pickle.load(requests)
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(0)
        if task is None:
            stop.set()
        else:
            tasks.put(task)


def environment(device: str) -> tuple[dict[str, str], str]:
    """Return the environment of a worker, with only its GPU visible, and the name of the device there."""
    variables = dict(os.environ)
    if not device.startswith("cuda"):
        return variables, device
    index = int(device.partition(":")[2] or 0)
    visible = [name for name in variables.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    variables["CUDA_VISIBLE_DEVICES"] = visible[index] if index < len(visible) else str(index)
    return variables, "cuda:0"


def on_device(job: Job, device: str, threads: int | None) -> Job:
    """Return the job for a worker on ``device`` with ``threads`` CPU threads."""
    options: Any = {**job.options, "device": device, "threads": threads}
    return replace(job, options=options)
