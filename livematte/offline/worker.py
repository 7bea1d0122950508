"""Rendering of segments of a video on one device, in a process of its own.

See :mod:`livematte.offline.parallel`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from livematte.errors import InputError
from livematte.frame import Frame
from livematte.matting.compositor import warm_up
from livematte.offline import engine
from livematte.offline.pool_process import CallContext
from livematte.offline.report import abort_outputs
from livematte.options import DecoderOption, RenderOptions, SdrOption, VideoOutputOptions
from livematte.options.declaration import names, pick
from livematte.output_paths import sink_settings
from livematte.protocols import Background, GpuSink, Sink, SourceInfo
from livematte.resolve import collect_notes, cuda_index, frame_device, resolve
from livematte.video.concat import EncodedPart
from livematte.video.container import set_decoder_threads
from livematte.video.pixel_limit import limit_pixels
from livematte.video.reader import open_video
from livematte.video.section import TimeSection
from livematte.video.split import Segment
from livematte.video.writer import open_sink


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
        encoder_threads: threads of the encoder; 0 is its default, which depends on the machine and changes
            the encoded bits.
        like: the input from its beginning: a segment may begin with another size or pixel shape.
    """

    input: str
    targets: Mapping[str, str]
    options: RenderOptions
    streams: int = 1
    transparent: bool = False
    encoder_threads: int = 0
    like: SourceInfo | None = None
    section: TimeSection = field(default_factory=lambda: TimeSection(start=None, end=None))

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
        seconds: wall time, without the start of the process and the networks.
    """

    number: int
    parts: tuple[EncodedPart, ...]
    whole: bool
    damaged: int
    notes: tuple[str, ...]
    stages: dict[str, float]
    seconds: float = 0.0


class _SegmentSink:
    """Sink that drops frames before ``first`` (pts), and records pts and duration of the other frames."""

    def __init__(self, sink: Sink, first: int | None, frame_written: Callable[[int], None]) -> None:
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
        self._frame_written(len(self.times))

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
        self.job = job
        warming = threading.Thread(target=warm_up, daemon=True)
        warming.start()
        resolved = resolve(job.options)
        self._model = resolved.model(streams=job.streams)
        self._resolved = resolved.with_refiner()
        self._device, self._device_notes = frame_device(resolved.compute)
        self._gpu = None if self._device is None else self._device.index
        self._codec_gpu = cuda_index(resolved.compute)

    def __call__(self, task: Task, context: CallContext) -> SegmentResult:
        """Render one segment. If it is stopped early, the frames rendered so far are kept."""
        with limit_pixels(self.job.options):
            return self._render(task, context)

    def _render(self, task: Task, context: CallContext) -> SegmentResult:
        job, segment, began = self.job, task.segment, time.perf_counter()
        try:
            source = open_video(
                job.input, start=segment.read, end=segment.end, like=job.like,
                gpu=self._gpu, card=self._codec_gpu,
                **pick(DecoderOption, job.options), **pick(SdrOption, job.options),
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
                    threads=job.encoder_threads,
                    **job.sink_settings(kind),
                )
                report = context.report if not outputs else lambda frames: None  # each frame once
                segment_sinks.append(_SegmentSink(sink, segment.first, report))
                outputs.append(engine.Output(segment_sinks[-1], kind))
        except BaseException:
            abort_outputs(source, background, outputs)
            raise
        stats = engine.render(
            source, self._model, background, outputs,
            compositor=self._resolved.compositor(), device=self._device, stop=context.stop,
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
            time.perf_counter() - began,
        )


_loaded: list[Worker] = []
"""The worker of the last call of :func:`render_segment`: its networks serve the next segments and files."""


def render_segment(job: Job, task: Task, context: CallContext) -> SegmentResult:
    """Render one segment, in a worker process."""
    limit_threads(job.options)
    if not _loaded or _what_is_loaded(_loaded[0].job) != _what_is_loaded(job):
        _loaded.clear()
        _loaded.append(Worker(job))
    _loaded[0].job = job
    return _loaded[0](task, context)


def _what_is_loaded(job: Job) -> tuple[Any, ...]:
    """Return all of a job that its networks depend on: not the names of its outputs."""
    outputs = names(VideoOutputOptions)
    return {name: value for name, value in job.options.items() if name not in outputs}, job.streams


def limit_threads(options: Mapping[str, Any]) -> None:
    """Limit the threads of decoders and of OpenCV in this process to those of the network.

    Without a limit, each of them takes a thread for each core of the machine.
    """
    import cv2

    count = options["threads"]
    cv2.setNumThreads(-1 if count is None else count)
    set_decoder_threads(count or 0)


def options_on_device(options: Mapping[str, Any], device: str, threads: int | None) -> dict[str, Any]:
    """Return the options of a render on ``device``, with ``threads`` CPU threads unless they say a number."""
    return {**options, "device": device, "threads": options["threads"] or threads}


def on_device(job: Job, device: str, threads: int | None) -> Job:
    """Return the job for a worker on ``device``."""
    options: Any = options_on_device(job.options, device, threads)
    return replace(job, options=options)
