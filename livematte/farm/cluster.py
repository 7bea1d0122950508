"""Many files on the machines of a cluster: segments of files are rendered there and joined here.

The segments, and so the results, do not depend on the number of machines.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from livematte.errors import LivematteError
from livematte.farm.files import PRIVATE, PlannedFile
from livematte.farm.manifest import CANCEL, Manifest, open_manifest
from livematte.farm.ray_task import code_hash, render_part
from livematte.farm.records import FileResult, Records, input_stamp
from livematte.farm.storage import input_path, local_copy
from livematte.offline.parallel import lead_in_frames
from livematte.offline.schedule import (
    Policy,
    Pool,
    Scheduler,
    Slot,
    Unit,
    UnitAdvanced,
    UnitFailed,
    UnitFinished,
    UnitRepeated,
)
from livematte.offline.worker import Job, SegmentResult, Task, on_device
from livematte.options import SdrOption
from livematte.options.declaration import pick
from livematte.options.groups import DevicesOption
from livematte.output_paths import check_outputs, check_splittable, output_paths
from livematte.progress import Meter, Progress
from livematte.video.concat import open_concat
from livematte.video.container import require_rereadable
from livematte.video.pixel_limit import limit_pixels
from livematte.video.read_check import ReadCheck
from livematte.video.reader import open_video
from livematte.video.section import read_section
from livematte.video.split import SEGMENT_SECONDS, Segment, split_video

POLICY = Policy(tries=2, crashes=4, losses=50, timeout_factor=8.0, least_timeout=300.0, copy_factor=1.5)
"""Tries and time-outs of segments in a cluster; ``benchmarks/farm_sim.py`` shows the effect of the copies."""


@dataclass
class _File:
    """A file that is rendered.

    Attributes:
        number: its place among all files.
        input: the path that the machines read.
        local: the path that this computer reads.
        failed: error and time range of each segment that failed.
    """

    number: int
    file: PlannedFile
    input: str
    local: Path
    job: Job
    segments: Sequence[Segment]
    manifest: Manifest
    frames: int
    stamp: list[Any] | None
    began: float = field(default_factory=time.monotonic)
    failed: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def is_ended(self) -> bool:
        """True if every segment is done or failed."""
        return len(self.manifest.done) + len(self.failed) == len(self.segments)


def open_file(
    number: int, file: PlannedFile, folder: Path, options: Mapping[str, Any], records: Records, *,
    transparent: bool, seconds: float = SEGMENT_SECONDS,
) -> _File:  # fmt: skip
    """Cut a file into segments and open its manifest. Raises LivematteError."""
    source = input_path(file.input)
    local = local_copy(source)
    finals = {option: folder / target for option, target in file.targets.items()}
    check_outputs({"input": local}, finals.values(), options)
    others: Any = {**options, **{option: path for option, path in finals.items() if option != "output"}}
    targets = output_paths(finals["output"], others)
    check_splittable(targets, "render the file without --cluster")
    require_rereadable(local, "the segments are read one by one")
    section = read_section(local, options)
    stamp = input_stamp(file.input)
    with limit_pixels(options), open_video(os.fspath(local), **pick(SdrOption, options), **section) as opened:
        info = replace(opened.info, details={})
    frames = info.frames or 0
    overlap = lead_in_frames(options)
    segments = split_video(local, 1, overlap, **section, seconds=seconds)
    job = Job(
        source, targets, others, 1, transparent=transparent, encoder_threads=1, like=info, section=section
    )  # fmt: skip
    facts = {
        "input": source, "stamp": stamp, "options": records.options, "code": code_hash(),
        "segments": [[str(each.read), each.first, str(each.end)] for each in segments], "frames": frames,
    }  # fmt: skip
    manifest = open_manifest(folder, file.name, facts)
    return _File(number, file, source, local, job, segments, manifest, frames, stamp)


class ClusterRender:
    """Renders files on a pool; see :func:`livematte.farm.batch.render_many`.

    Args:
        options: options of each render.
        transparent: True if the background is transparent.
        seconds: approximate length of a segment.
    """

    def __init__(
        self, files: Sequence[PlannedFile], folder: Path, options: Mapping[str, Any], records: Records, *,
        transparent: bool, policy: Policy = POLICY, seconds: float = SEGMENT_SECONDS,
    ) -> None:  # fmt: skip
        self._files, self._folder, self._options, self._records = files, folder, options, records
        self._transparent, self._policy, self._seconds = transparent, policy, seconds
        self._results: dict[int, FileResult] = {}
        self._open: dict[int, _File] = {}
        self._joins: dict[int, Future[FileResult]] = {}
        self.notes: list[str] = []

    def run(
        self, pool: Pool, waiting: Sequence[int], *, end: Callable[[int, FileResult], None],
        progress: Callable[[Progress], None] | None = None, stop: threading.Event | None = None,
    ) -> None:  # fmt: skip
        """Render the files with the numbers ``waiting``, the longest first.

        Args:
            end: called with the result of each file.
        """
        cancel = self._folder / PRIVATE / CANCEL
        cancel.unlink(missing_ok=True)
        for number in waiting:
            try:
                self._open[number] = open_file(
                    number, self._files[number], self._folder, self._options, self._records,
                    transparent=self._transparent, seconds=self._seconds,
                )  # fmt: skip
            except LivematteError as error:
                end(number, self._result(number, "failed", error=str(error)))
        units = [unit for each in self._by_length() for unit in self._units(each)]
        total = sum(each.frames for each in self._open.values())
        meter, written = Meter(total, progress), {}
        for each in self._open.values():
            for number, result in each.manifest.done.items():
                written[each.number, number] = len(result.parts[0].times)

        def is_stopped() -> bool:
            return (stop is not None and stop.is_set()) or cancel.exists()

        joiner = ThreadPoolExecutor(1, "livematte-join")
        try:
            for each in self._open.values():
                self._join_if_ended(each, joiner)
            for event in Scheduler(units, pool, self._policy, is_stopped).events():
                file, number = event.unit.key
                each = self._open[file]
                if isinstance(event, UnitAdvanced):
                    written[file, number] = max(event.frames, written.get((file, number), 0))
                elif isinstance(event, UnitFinished):
                    result = each.manifest.finish(number, event.value)
                    written[file, number] = len(result.parts[0].times)
                    self._join_if_ended(each, joiner)
                elif isinstance(event, UnitFailed) and not is_stopped():
                    section = _section(each.segments[number], each.segments[number - 1] if number else None)
                    line = str(event.error).strip().splitlines()[-1]
                    each.failed[number] = (line, section)
                    each.manifest.fail(number, line, section)
                    self._join_if_ended(each, joiner)
                elif isinstance(event, UnitRepeated):
                    self.notes.append(f"{each.file.input}, segment {number + 1}: {event.reason}")
                if written:
                    meter(sum(written.values()))
                self._report_joined(end)
        finally:
            joiner.shutdown(wait=True)
        self._report_joined(end)
        for number in self._open:
            if number not in self._results:
                end(number, self._result(number, "stopped"))
        if progress is not None:
            progress(meter.progress())

    def _by_length(self) -> list[_File]:
        return sorted(self._open.values(), key=lambda each: -each.frames)

    def _units(self, each: _File) -> list[Unit]:
        def call(number: int, segment: Segment, slot: Slot) -> tuple[Any, ...]:
            job = on_device(each.job, slot.device, slot.threads)
            return render_part, job, Task(number, segment, Path())

        share = max(1, each.frames // len(each.segments))
        return [
            Unit((each.number, number), partial(call, number, segment), share)
            for number, segment in enumerate(each.segments) if number not in each.manifest.done
        ]  # fmt: skip

    def _result(self, number: int, state: str, **facts: Any) -> FileResult:
        file = self._files[number]
        self._results[number] = FileResult(file.input, self._folder / file.name, state, **facts)
        return self._results[number]

    def _join_if_ended(self, each: _File, joiner: ThreadPoolExecutor) -> None:
        if each.is_ended and each.number not in self._joins:
            self._joins[each.number] = joiner.submit(self._join, each)

    def _report_joined(self, end: Callable[[int, FileResult], None]) -> None:
        for number, future in self._joins.items():
            if number not in self._results and future.done():
                self._results[number] = future.result()
                end(number, self._results[number])

    def _join(self, each: _File) -> FileResult:
        """Join the parts of a file, and say which parts are missing."""
        output, done = self._folder / each.file.name, each.manifest.done
        missing = [f"{section}: {line}" for line, section in each.failed.values()]
        seconds = time.monotonic() - each.began
        if not any(part.times for result in done.values() for part in result.parts):
            line = next((line for line, _ in each.failed.values()), "no picture can be decoded")
            return FileResult(each.file.input, output, "failed", line, 0, seconds)
        try:
            frames, notes = join_parts(each.job, each.local, done)
        except LivematteError as error:
            return FileResult(each.file.input, output, "failed", str(error), 0, seconds, list(error.notes))
        except OSError as error:
            return FileResult(each.file.input, output, "failed", str(error), 0, seconds)
        if missing:
            line = f"{len(missing)} of {len(each.segments)} segments are missing: {'; '.join(missing)}"
            self._records.write_failure(each.file, each.stamp, line, written=True)
            return FileResult(each.file.input, output, "failed", line, frames, seconds, notes)
        self._records.write(each.file, each.stamp, frames=frames)
        each.manifest.remove()
        return FileResult(each.file.input, output, "done", "", frames, seconds, notes)


def join_parts(job: Job, local: Path, done: Mapping[int, SegmentResult]) -> tuple[int, list[str]]:
    """Join the parts of a file; the outputs appear when they are complete.

    Returns:
        the number of frames, and lines for the user.
    """
    section = job.section
    check_read, sinks, whole = ReadCheck(os.fspath(local)), [], False
    sdr = pick(SdrOption, job.options)
    with limit_pixels(job.options), open_video(os.fspath(local), **sdr, **section) as source:
        info = source.info
    try:
        for kind, path in job.targets.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            copied = os.fspath(local) if kind == "picture" else None
            sinks.append(
                open_concat(Path(path), info, **job.sink_settings(kind), copy_streams_from=copied, **section)
            )
        for number in sorted(done):
            for sink, part in zip(sinks, done[number].parts, strict=True):
                sink.append(part)
        check_read()
        whole = True
    finally:
        for sink in sinks:
            (sink.close if whole else sink.abort)()
    notes = [note for result in done.values() for note in result.notes]
    notes += [note for sink in sinks for note in sink.notes]
    return sinks[0].frames, list(dict.fromkeys(notes))


def _section(segment: Segment, before: Segment | None) -> str:
    """Return the time range of a segment for a message; it begins where the one before it ends."""
    begins = "the start" if before is None or before.end is None else f"{float(before.end):.1f} s"
    ends = "the end" if segment.end is None else f"{float(segment.end):.1f} s"
    return f"{begins} to {ends}"


def render_on_cluster(
    files: Sequence[PlannedFile], folder: Path, options: Mapping[str, Any], records: Records, cluster: str, *,
    transparent: bool, waiting: Sequence[int], end: Callable[[int, FileResult], None],
    progress: Callable[[Progress], None] | None = None, stop: threading.Event | None = None,
    policy: Policy = POLICY, seconds: float = SEGMENT_SECONDS,
) -> list[str]:  # fmt: skip
    """Render files on a Ray cluster; arguments as for :class:`ClusterRender`. Returns notes for the user.

    Raises:
        MissingExtraError, DeviceError: as :func:`livematte.farm.ray_pool.connect`.
    """
    from livematte.farm.ray_pool import RayPool, connect

    ray = connect(cluster)
    incoming = Path(tempfile.mkdtemp(prefix="work-", dir=folder / PRIVATE))
    pool = RayPool(ray, incoming, code_hash(), **pick(DevicesOption, options))
    render = ClusterRender(
        files, folder, options, records, transparent=transparent, policy=policy, seconds=seconds
    )
    try:
        render.run(pool, waiting, end=end, progress=progress, stop=stop)
    finally:
        pool.close()
        shutil.rmtree(incoming, ignore_errors=True)
    return [*pool.notes, *render.notes]
