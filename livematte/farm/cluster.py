"""Many files on the machines of a cluster: segments of files are rendered there and joined here.

The segments, and so the results, do not depend on the number of machines.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from livematte.errors import LivematteError
from livematte.farm.cut_file import CutFile, cut_file, join_parts
from livematte.farm.files import PRIVATE, PlannedFile
from livematte.farm.manifest import Manifest, open_manifest
from livematte.farm.memory import render_bytes
from livematte.farm.out_dir import OutDir
from livematte.farm.ray_task import code_hash, render_part
from livematte.farm.records import FileResult, Records, file_result
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
from livematte.offline.worker import Task, on_device
from livematte.options.declaration import pick
from livematte.options.groups import DevicesOption
from livematte.progress import FileProgress, Meter, Progress
from livematte.video.split import SEGMENT_SECONDS

POLICY = Policy(tries=2, crashes=4, losses=50, timeout_factor=8.0, least_timeout=300.0, copy_factor=1.5)
"""Tries and time-outs of segments in a cluster; ``benchmarks/farm_sim.py`` shows the effect of the copies."""


@dataclass
class _File:
    """A file that is rendered.

    Attributes:
        number: its place among all files.
        written: frames of each segment so far.
        failed: error and time range of each segment that failed.
    """

    number: int
    cut: CutFile
    manifest: Manifest
    began: float = field(default_factory=time.monotonic)
    written: dict[int, int] = field(default_factory=dict)
    failed: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def is_ended(self) -> bool:
        """True if every segment is done or failed."""
        return len(self.manifest.done) + len(self.failed) == len(self.cut.segments)

    def advance(self, number: int, frames: int) -> int:
        """Set the frames of a segment, and return by how much they grew."""
        before = self.written.get(number, 0)
        self.written[number] = frames
        return frames - before


class ClusterRender:
    """Renders files on a pool; see :func:`livematte.farm.batch.render_many`.

    Args:
        options: options of each render.
        transparent: True if the background is transparent.
        seconds: approximate length of a segment.
        noted: called at once with each line about machines and segments.
    """

    def __init__(
        self, files: Sequence[PlannedFile], out: OutDir, options: Mapping[str, Any], records: Records, *,
        transparent: bool, policy: Policy = POLICY, seconds: float = SEGMENT_SECONDS,
        noted: Callable[[str], None] = lambda note: None,
    ) -> None:  # fmt: skip
        self._files, self._out, self._options, self._records = files, out, options, records
        self._transparent, self._policy, self._seconds = transparent, policy, seconds
        self._results: dict[int, FileResult] = {}
        self._open: dict[int, _File] = {}
        self._joins: dict[int, Future[tuple[str, dict[str, Any]]]] = {}
        self._noted, self._done = noted, 0

    def open(self, waiting: Sequence[int], end: Callable[[int, FileResult], None]) -> int:
        """Cut the files with the numbers ``waiting`` into segments.

        Args:
            end: called with the result of each file that cannot be read.

        Returns:
            the bytes of memory that a render of each of them fits in.
        """
        for number in waiting:
            try:
                cut = cut_file(
                    self._files[number], self._out, self._options, self._records,
                    transparent=self._transparent, seconds=self._seconds,
                )  # fmt: skip
                manifest = open_manifest(self._out, cut.file.name, cut.facts)
            except LivematteError as error:
                end(number, self._result(number, "failed", error=str(error)))
            else:
                self._open[number] = opened = _File(number, cut, manifest)
                for segment, result in manifest.done.items():
                    self._done += opened.advance(segment, len(result.parts[0].times))
        return max((render_bytes(each.cut.size) for each in self._open.values()), default=0)

    def run(
        self, pool: Pool, *, end: Callable[[int, FileResult], None],
        progress: Callable[[Progress], None] | None = None, stop: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """Render the files that :meth:`open` has opened, the longest first.

        Args:
            end: called with the result of each file.
        """
        units = [unit for each in self._by_length() for unit in self._units(each)]
        totals = [each.cut.frames for each in self._open.values()]
        meter = Meter(sum(totals) if all(totals) else None, progress, self._in_work)
        joiner = ThreadPoolExecutor(1, "livematte-join")
        try:
            for each in self._open.values():
                self._join_if_ended(each, joiner)
            for event in Scheduler(units, pool, self._policy, stop).events():
                file, number = event.unit.key
                each = self._open[file]
                if isinstance(event, UnitAdvanced):
                    most = max(event.frames, each.written.get(number, 0))
                    self._done += each.advance(number, most)
                elif isinstance(event, UnitFinished):
                    if not event.value.whole:  # it was asked to stop
                        continue
                    result = each.manifest.finish(number, event.value)
                    self._done += each.advance(number, len(result.parts[0].times))
                    self._join_if_ended(each, joiner)
                elif isinstance(event, UnitFailed) and not stop():
                    line, section = str(event.error).strip().splitlines()[-1], each.cut.section(number)
                    each.failed[number] = (line, section)
                    each.manifest.fail(number, line, section)
                    self._join_if_ended(each, joiner)
                elif isinstance(event, UnitRepeated):
                    self._noted(f"{each.cut.job.input}, segment {number + 1}: {event.reason}")
                if self._done:
                    meter(self._done)
                self._report_joined(end)
        finally:
            joiner.shutdown(wait=True)
        self._report_joined(end)
        for number in self._open:
            if number not in self._results:
                end(number, self._result(number, "stopped"))
        if progress is not None:
            progress(meter.progress())

    def _in_work(self) -> tuple[FileProgress, ...]:
        return tuple(
            FileProgress(each.cut.file.name, sum(each.written.values()), each.cut.frames or None)
            for each in self._by_length() if each.written and each.number not in self._results
        )  # fmt: skip

    def _by_length(self) -> list[_File]:
        return sorted(self._open.values(), key=lambda each: -each.cut.frames)

    def _units(self, each: _File) -> list[Unit]:
        store = f"{self._out.url}/{PRIVATE}" if self._out.url else ""

        def call(number: int, slot: Slot) -> tuple[Any, ...]:
            job = on_device(each.cut.job, slot.device, slot.threads)
            task = Task(number, each.cut.segments[number], Path(each.manifest.name))
            return render_part, job, task, store

        return [
            Unit((each.number, number), partial(call, number), each.cut.share)
            for number in range(len(each.cut.segments)) if number not in each.manifest.done
        ]  # fmt: skip

    def _result(self, number: int, state: str, **facts: Any) -> FileResult:
        self._results[number] = file_result(self._files[number], self._out, state, **facts)
        return self._results[number]

    def _join_if_ended(self, each: _File, joiner: ThreadPoolExecutor) -> None:
        if each.is_ended and each.number not in self._joins:
            self._joins[each.number] = joiner.submit(self._join, each)

    def _report_joined(self, end: Callable[[int, FileResult], None]) -> None:
        for number, future in self._joins.items():
            if number not in self._results and future.done():
                state, facts = future.result()
                end(number, self._result(number, state, **facts))

    def _join(self, each: _File) -> tuple[str, dict[str, Any]]:
        """Join the parts of a file, or say which are missing. Returns state and facts of the result."""
        done = each.manifest.done
        missing = [f"{section}: {line}" for line, section in each.failed.values()]
        facts: dict[str, Any] = {"seconds": time.monotonic() - each.began}
        if not any(part.times for result in done.values() for part in result.parts):
            line = next((line for line, _ in each.failed.values()), "no picture can be decoded")
            return "failed", {**facts, "error": line}
        try:
            frames, notes = join_parts(each.cut, each.manifest)
            facts |= {"frames": frames, "notes": notes}
            if missing:
                line = (
                    f"{len(missing)} of {len(each.cut.segments)} segments are missing: {'; '.join(missing)}"
                )
                self._records.write_failure(each.cut.file, each.cut.stamp, line, written=True)
                return "failed", {**facts, "error": line}
            self._records.write(each.cut.file, each.cut.stamp, frames=frames)
            each.manifest.remove()
        except LivematteError as error:
            return "failed", {**facts, "error": str(error), "notes": list(error.notes)}
        except OSError as error:
            return "failed", {**facts, "error": str(error)}
        return "done", facts


def render_on_cluster(
    files: Sequence[PlannedFile], out: OutDir, options: Mapping[str, Any], records: Records, cluster: str, *,
    transparent: bool, waiting: Sequence[int], end: Callable[[int, FileResult], None],
    progress: Callable[[Progress], None] | None = None, stop: Callable[[], bool] = lambda: False,
    noted: Callable[[str], None] = lambda note: None,
    policy: Policy = POLICY, seconds: float = SEGMENT_SECONDS,
) -> None:  # fmt: skip
    """Render files on a Ray cluster; arguments as for :class:`ClusterRender`.

    Raises:
        MissingExtraError, DeviceError: as :func:`livematte.farm.ray_pool.connect`.
    """
    from livematte.farm.ray_pool import RayPool, connect, dashboard

    ray = connect(cluster)
    if address := dashboard(ray):
        noted(f"the dashboard of Ray is at {address}")
    render = ClusterRender(
        files, out, options, records, transparent=transparent, policy=policy, seconds=seconds, noted=noted
    )
    memory = render.open(waiting, end)
    incoming = Path(tempfile.mkdtemp(prefix="work-", dir=out.folder / PRIVATE))
    pool = RayPool(ray, incoming, code_hash(), memory=memory, noted=noted, **pick(DevicesOption, options))
    try:
        render.run(pool, end=end, progress=progress, stop=stop)
    finally:
        pool.close()
        shutil.rmtree(incoming, ignore_errors=True)
