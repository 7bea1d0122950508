"""A process that renders segments of one video on a device of its own; see :mod:`livematte.offline.parallel`.

A process and not a thread, so that it sees its GPU alone: whatever keeps to "the current device" is right.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from livematte.errors import InputError, LivematteError
from livematte.frame import Frame
from livematte.matting.compositor import warm_up
from livematte.offline import engine
from livematte.offline.report import abort_outputs
from livematte.options import RenderOptions
from livematte.output_paths import sink_settings
from livematte.protocols import Background, GpuSink, Sink
from livematte.resolve import collect_notes, cuda_index, frame_device, resolve
from livematte.video.concat import EncodedPart
from livematte.video.reader import open_video
from livematte.video.split import Segment
from livematte.video.writer import open_sink

ENTRY = "from livematte.offline.worker import main; main()"
"""What Python is started with: unlike :mod:`multiprocessing` it does not run the caller's script again."""


@dataclass(frozen=True)
class Job:
    """A render, as :func:`livematte.api.render` is asked for it; what all workers do, each to its segments.

    Attributes:
        targets: where each output goes, by its kind.
        options: all of :class:`livematte.options.RenderOptions`; its device is the worker's own.
        streams: pictures that the network works on side by side.
        transparent: of the background; known once it was opened.
    """

    input: str
    targets: Mapping[str, str]
    options: RenderOptions
    streams: int = 1
    transparent: bool = False

    def sink_settings(self, kind: str) -> dict[str, Any]:
        """See :func:`livematte.output_paths.sink_settings`."""
        return sink_settings(kind, self.options, transparent=self.transparent)


@dataclass(frozen=True)
class Task:
    """A segment to render, and the folder that its files go to."""

    number: int
    segment: Segment
    folder: Path


@dataclass(frozen=True)
class SegmentResult:
    """What became of a :class:`Task`.

    Attributes:
        parts: of each output, in the order of ``Job.targets``.
        whole: False where it was stopped before the segment's end.
        stages: busy seconds of each stage of the engine.
    """

    number: int
    parts: tuple[EncodedPart, ...]
    whole: bool
    damaged: int
    notes: tuple[str, ...]
    stages: dict[str, float]


class _From:
    """A sink that passes on what comes from a time on, and keeps the times of what it passed."""

    def __init__(self, sink: Sink, first: int | None, tell: Callable[[], None]) -> None:
        self._sink, self._first, self._tell = sink, first, tell
        self.times: list[tuple[int, int]] = []

    @property
    def takes_gpu_frames(self) -> bool:
        """As the sink."""
        return isinstance(self._sink, GpuSink) and self._sink.takes_gpu_frames

    def write(self, frame: Frame) -> None:
        """Pass it on, or drop it where it comes before the first one wanted."""
        if self._first is not None and frame.pts < self._first:
            return
        self._sink.write(frame)
        self.times.append((frame.pts, frame.duration))
        self._tell()

    def close(self) -> None:
        """As the sink; without a frame there is no file."""
        self._sink.close()

    def abort(self) -> None:
        """As the sink."""
        self._sink.abort()


class Worker:
    """Renders segments with networks that are loaded once.

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
        self._place, self._why = frame_device(resolved.compute)
        self._gpu = None if self._place is None else self._place.index
        self._card = cuda_index(resolved.compute)

    def __call__(self, task: Task, stop: threading.Event, tell: Callable[[], None]) -> SegmentResult:
        """Render one segment.

        Args:
            stop: ends it early; what was rendered is kept.
            tell: called for each frame that is written.
        """
        job, segment = self._job, task.segment
        try:
            source = open_video(
                job.input, start=segment.read, end=segment.end,
                hwaccel=job.options["hwaccel"], gpu=self._gpu, card=self._card,
            )  # fmt: skip
        except InputError as error:
            if task.number == 0:
                raise
            return SegmentResult(
                task.number, (EncodedPart(task.folder, ()),) * len(job.targets), True, 0, (str(error),), {}
            )
        outputs: list[engine.Output] = []
        keepers: list[_From] = []
        files: list[Path] = []
        behind: Background | None = None
        try:
            behind = self._resolved.background()
            for kind, target in job.targets.items():
                files.append(task.folder / f"{task.number}-{kind}{Path(target).suffix}")
                sink = open_sink(
                    files[-1], source.info, start=0, gpu=self._gpu, card=self._card, **job.sink_settings(kind)
                )
                keepers.append(_From(sink, segment.first, tell if kind == "picture" else lambda: None))
                outputs.append(engine.Output(keepers[-1], kind))
        except BaseException:
            abort_outputs(source, behind, outputs)
            raise
        stats = engine.render(
            source, self._model, behind, outputs,
            compositor=self._resolved.compositor(), device=self._place, stop=stop, **self._resolved.filters(),
        )  # fmt: skip
        return SegmentResult(
            task.number,
            tuple(
                EncodedPart(file, tuple(keeper.times)) for file, keeper in zip(files, keepers, strict=True)
            ),
            not stats.interrupted,
            source.damaged,
            (*self._why, *collect_notes(self._model, self._resolved.refine.how), *source.notes),
            {name: clock.wall for name, clock in stats.stages.items()},
        )


def main() -> None:
    """The process: a :class:`Job` and then tasks come on standard input, pickled, and answers go out.

    Answers are ``("frame", None)``, ``("done", Done)``, ``("failed", (class name, line, notes))`` and
    ``("broken", traceback)``; after one of the last two it ends.
    """
    # Both are ours alone: what libraries print is no answer, and a process that one of them forks closes
    # sys.stdin, which would wait for ever for the thread that reads it.
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it says when to stop
    lock = threading.Lock()

    def tell(what: str, value: Any = None) -> None:
        with lock:
            pickle.dump((what, value), answers)
            answers.flush()

    try:
        job: Job = pickle.load(asked)
        tasks: queue.Queue[Task] = queue.Queue()
        stop = threading.Event()
        threading.Thread(target=_listen, args=(asked, tasks, stop), daemon=True).start()
        worker = Worker(job)
        while True:
            tell("done", worker(tasks.get(), stop, lambda: tell("frame")))
    except LivematteError as error:
        tell("failed", (type(error).__name__, str(error), error.notes))
    except BaseException:
        tell("broken", traceback.format_exc())
    answers.close()
    os._exit(1)  # whatever still hangs in a thread or a driver


def _listen(asked: BinaryIO, tasks: queue.Queue[Task], stop: threading.Event) -> None:
    """Tasks as they come; ``None`` is the wish to stop; the end of it is the end of this process."""
    while True:
        try:
            task: Task | None = pickle.load(asked)
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(0)
        if task is None:
            stop.set()
        else:
            tasks.put(task)


def environment(device: str) -> tuple[dict[str, str], str]:
    """An environment in which a process sees ``device`` alone if it is a GPU, and its name there."""
    seen = dict(os.environ)
    if not device.startswith("cuda"):
        return seen, device
    index = int(device.partition(":")[2] or 0)
    among = [name for name in seen.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    seen["CUDA_VISIBLE_DEVICES"] = among[index] if index < len(among) else str(index)
    return seen, "cuda:0"


def on_device(job: Job, device: str, threads: int | None) -> Job:
    """The same job for a worker on ``device``."""
    options: Any = {**job.options, "device": device, "threads": threads}
    return replace(job, options=options)
