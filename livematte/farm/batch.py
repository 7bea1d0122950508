"""Many files on this computer: worker processes render whole files, each in a process of its own."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from livematte import api
from livematte.errors import InputError, LivematteError, OptionError, OutputError
from livematte.farm.files import PRIVATE, PlannedFile, find_inputs, plan_files
from livematte.farm.memory import free_memory, render_bytes
from livematte.farm.out_dir import OutDir, open_out_dir
from livematte.farm.records import FileResult, Records, file_result, hash_options, input_stamp
from livematte.farm.status import CancelRequest, write_call
from livematte.farm.storage import input_path, is_url, local_copy
from livematte.offline.pool import ProcessPool
from livematte.offline.pool_process import CallContext
from livematte.offline.report import RenderReport
from livematte.offline.schedule import Policy, Scheduler, Slot, Unit, UnitAdvanced, UnitFailed, UnitFinished
from livematte.offline.worker import limit_threads, options_on_device
from livematte.options import PathLike, RenderOptions
from livematte.options.declaration import complete, documented, pick
from livematte.options.many import RenderManyOptions
from livematte.options.values import check_calls, path_text, short
from livematte.output_paths import check_outputs
from livematte.progress import FileProgress, Meter, Progress
from livematte.resolve import Resolved, resolve_render
from livematte.video.container import is_pipe
from livematte.video.pixel_limit import limit_pixels
from livematte.video.reader import open_video
from livematte.video.section import check_section, read_section
from livematte.video.written_files import record_written

CORES_PER_JOB = 4
"""Cores for each render, if ``jobs`` is None: its four stages run in parallel."""

_POLICY = Policy(tries=1, crashes=2)


@documented(RenderManyOptions)
def render_many(
    inputs: PathLike | Iterable[PathLike],
    out_dir: PathLike,
    *,
    progress: Callable[[Progress], None] | None = None,
    finished: Callable[[FileResult], None] | None = None,
    noted: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
    **options: Unpack[RenderManyOptions],
) -> list[FileResult]:
    """Replace the background of many videos. One that fails does not stop the others.

    An output appears when it is complete. After a stop, unfinished files are removed. With ``overwrite=None``
    a file that livematte did not write is not replaced: the video that would replace it fails.

    Args:
        inputs: files and folders. From a folder, videos are taken by their extension.
        out_dir: folder for the outputs; it is made if it does not exist.
        progress: called regularly from the calling thread, with the frames of all files.
        finished: called with the result of each file, from the calling thread.
        noted: called with lines about the machines of a cluster.
        stop: set this event to stop early.

    Returns:
        one result per file, in the order of the files.

    Raises:
        LivematteError: before any file is rendered, e.g. for an invalid option.
    """
    chosen = complete(RenderManyOptions, options)
    check_calls(progress=progress, stop=stop, finished=finished, noted=noted)
    out = open_out_dir(path_text("out_dir", out_dir))
    given = listed(inputs)
    batch = find_batch(given, out, chosen)
    with out.lock():
        if chosen["cluster"] is not None:
            write_call(out, given, chosen)
        return batch.render(
            resume=chosen["resume"], jobs=chosen["jobs"], progress=progress, finished=finished, stop=stop,
            cluster=chosen["cluster"], noted=noted,
        )  # fmt: skip


def listed(inputs: PathLike | Iterable[PathLike]) -> list[str]:
    """Return one path, or several, as a list of text. Raises OptionError, UsageError."""
    if isinstance(inputs, (str, os.PathLike)):
        return [path_text("inputs", inputs)]
    if not isinstance(inputs, (list, tuple, set, frozenset, Iterator)):
        raise OptionError(f"inputs {short(inputs)} is invalid: use a path, or several in a list")
    return [path_text("an input", each) for each in inputs]


def find_batch(inputs: Sequence[PathLike], out: OutDir, options: Mapping[str, Any]) -> Batch:
    """Find the files among ``inputs`` and plan their outputs. Raises LivematteError."""
    found = find_inputs(inputs, recursive=options["recursive"], leave_out=out.folder)
    return prepare_batch(found, out, options)


def prepare_batch(found: Sequence[tuple[Path, Path]], out: OutDir, options: Mapping[str, Any]) -> Batch:
    """Check the options and plan the outputs, before anything is rendered. Raises LivematteError."""
    resolved = resolve_render(options)
    check_section(options)
    (resolved.check_split if options.get("cluster") is not None else resolved.check_names)()
    with limit_pixels(options):
        background = resolved.background()
    background.close()
    files = plan_files(found, options, transparent=background.transparent)
    return Batch(files, out, dict(pick(RenderOptions, options)), resolved, background.transparent)


@dataclass(frozen=True)
class Batch:
    """Files to render with the same options.

    Attributes:
        options: options of each render.
        transparent: True if the background is transparent.
    """

    files: Sequence[PlannedFile]
    out: OutDir
    options: Mapping[str, Any]
    resolved: Resolved
    transparent: bool = False

    def records(self) -> Records:
        """Return the records of the output folder for these options."""
        return Records(self.out, hash_options(self.options))

    def render(
        self,
        *,
        resume: bool = True,
        jobs: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        finished: Callable[[FileResult], None] | None = None,
        stop: threading.Event | None = None,
        cluster: str | None = None,
        noted: Callable[[str], None] | None = None,
    ) -> list[FileResult]:
        """Render the files, the longest first. Arguments and result as for :func:`render_many`."""
        records, results, requested = self.records(), {}, CancelRequest(self.out)

        def is_stopped() -> bool:
            return (stop is not None and stop.is_set()) or requested()

        def take(number: int, result: FileResult) -> None:
            results[number] = result
            if finished is not None:
                finished(result)

        def leave_out(number: int, result: FileResult) -> None:
            if result.state == "failed":
                records.write_failure(self.files[number], _stamp(self.files[number]), result.error)
            take(number, result)

        waiting = self.waiting(records, resume=resume, end=leave_out)
        if cluster is None:
            self._render_here(waiting, records, jobs, take, progress, is_stopped)
        else:
            from livematte.farm.cluster import render_on_cluster

            render_on_cluster(
                self.files, self.out, self.render_options(), records, cluster,
                transparent=self.transparent, waiting=waiting, end=take, progress=progress, stop=is_stopped,
                noted=noted or (lambda note: None),
            )  # fmt: skip
        return [results[number] for number in range(len(self.files))]

    def waiting(self, records: Records, *, resume: bool, end: Callable[[int, FileResult], None]) -> list[int]:
        """Return the numbers of the files that are to be rendered; ``end`` gets the results of the others."""
        found: list[int] = []
        for number, file in enumerate(self.files):
            if resume and records.is_whole(file):
                end(number, file_result(file, self.out, "unchanged"))
            elif line := self._foreign_output(file, records):
                end(number, file_result(file, self.out, "failed", error=line))
            else:
                found.append(number)
        return found

    def _render_here(
        self, waiting: list[int], records: Records, jobs: int | None, take: Callable[[int, FileResult], None],
        progress: Callable[[Progress], None] | None, is_stopped: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Render files in processes of this computer."""
        ended: set[int] = set()

        def end(number: int, state: str, **facts: Any) -> None:
            ended.add(number)
            take(number, file_result(self.files[number], self.out, state, **facts))

        stamps = {number: _stamp(self.files[number]) for number in waiting}
        sizes = {number: count_frames(self.files[number].input, self.options) for number in waiting}
        waiting.sort(key=lambda number: -sizes[number][0])
        pool = ProcessPool(self._devices(jobs, len(waiting), [size for _, size in sizes.values()]))
        alone = len(pool.slots()) == 1
        units = [
            Unit(number, partial(self._call, self.files[number], alone), sizes[number][0])
            for number in waiting
        ]
        totals, written = [frames for frames, _ in sizes.values()], dict[int, int]()

        def in_work() -> tuple[FileProgress, ...]:
            return tuple(
                FileProgress(self.files[number].name, frames, sizes[number][0] or None)
                for number, frames in written.items() if number not in ended
            )  # fmt: skip

        meter = Meter(sum(totals) if all(totals) else None, progress, in_work)
        try:
            for event in Scheduler(units, pool, _POLICY, is_stopped).events():
                number = event.unit.key
                if isinstance(event, UnitAdvanced):
                    written[number] = event.frames
                    meter(sum(written.values()))
                elif isinstance(event, UnitFinished):
                    report: RenderReport = event.value
                    written[number] = report.frames
                    facts = {"frames": report.frames, "seconds": report.seconds, "notes": report.notes}
                    if report.interrupted:
                        end(number, "stopped", **facts)
                        continue
                    try:
                        for target in self.files[number].targets.values():
                            self.out.publish(target)
                        records.write(self.files[number], stamps[number], frames=report.frames)
                    except OutputError as error:
                        end(number, "failed", **facts, error=str(error))
                    else:
                        end(number, "done", **facts)
                elif isinstance(event, UnitFailed):
                    line = str(event.error).strip().splitlines()[-1]
                    records.write_failure(self.files[number], stamps[number], line)
                    end(number, "failed", error=line, notes=list(getattr(event.error, "notes", ())))
        finally:
            pool.close()
        for number in waiting:
            if number not in ended:
                end(number, "stopped")
        if progress is not None and waiting:
            meter(sum(written.values()))
            progress(meter.progress())

    def _foreign_output(self, file: PlannedFile, records: Records) -> str:
        """Return a line about an output that must not be replaced, because livematte did not write it."""
        if self.options["overwrite"] is not None:
            return ""
        line = next(filter(None, (records.foreign(file, each) for each in file.targets.values())), "")
        return line and f"{line}: use another name for the output, or --overwrite to replace it"

    def render_options(self) -> dict[str, Any]:
        """Return the options of the render of a file whose outputs may be written."""
        return {**self.options, "overwrite": self.options["overwrite"] is not False}

    def _devices(self, jobs: int | None, files: int, sizes: Sequence[tuple[int, int]]) -> list[str]:
        """Return one device per file that is rendered at the same time."""
        devices = self.resolved.compute.devices
        if len(devices) > 1:
            return devices[: max(1, files)]
        job_bytes = max(map(render_bytes, [*sizes, (0, 0)]))
        return devices * max(1, min(files, jobs or choose_jobs(job_bytes)))

    def _call(self, file: PlannedFile, alone: bool, slot: Slot) -> tuple[Any, ...]:
        options = options_on_device(self.render_options(), slot.device, None if alone else slot.threads)
        return render_file, file, self.out.folder, options


def choose_jobs(job_bytes: int) -> int:
    """Return the number of files to render at the same time, by cores and free memory."""
    by_cores = (os.cpu_count() or 1) // CORES_PER_JOB
    return max(1, min(by_cores, free_memory() // job_bytes))


def count_frames(path: Path, options: Mapping[str, Any]) -> tuple[int, tuple[int, int]]:
    """Return the expected number of frames of a file, and their size; zeros if it cannot be opened.

    Zeros for a named pipe, too, which can be read only once, and for a URL, which is copied first.
    """
    if is_pipe(path) or is_url(input_path(path)):
        return 0, (0, 0)
    try:
        with limit_pixels(options), open_video(os.fspath(path), **read_section(path, options)) as source:
            info = source.info
            return info.frames or 0, (info.height, info.width)
    except LivematteError:
        return 0, (0, 0)  # the render reports it


def _stamp(file: PlannedFile) -> list[Any] | None:
    try:
        return input_stamp(file.input)
    except LivematteError:
        return None


def render_file(
    file: PlannedFile, folder: Path, options: Mapping[str, Any], context: CallContext
) -> RenderReport:
    """Render one file, in a worker process: its outputs appear when all of them are complete."""
    source = local_copy(input_path(file.input))
    if source.is_dir():
        raise InputError(f"{source} is a folder")
    finals = {option: folder / target for option, target in file.targets.items()}
    limit_threads(options)
    check_outputs({"input": source}, finals.values(), options)
    with tempfile.TemporaryDirectory(
        prefix="work-", dir=folder / PRIVATE, ignore_cleanup_errors=True
    ) as work:
        staged = {option: Path(work) / target for option, target in file.targets.items()}
        for path in (*staged.values(), *finals.values()):
            path.parent.mkdir(parents=True, exist_ok=True)
        others: Any = {option: path for option, path in staged.items() if option != "output"}
        try:
            report = api.render(
                source, staged["output"], stop=context.stop,
                progress=lambda progress: context.report(progress.done), **{**options, **others},
            )  # fmt: skip
        except LivematteError as error:
            error.args = (str(error).replace(work, str(folder)),)
            error.notes = tuple(note for note in error.notes if work not in note)
            raise
        if not report.interrupted:
            for option, path in staged.items():
                os.replace(path, finals[option])
                record_written(finals[option])
        return RenderReport(
            **{
                **vars(report),
                "outputs": list(finals.values()),
                "notes": [note.replace(work, str(folder)) for note in report.notes if not report.interrupted],
            }
        )
