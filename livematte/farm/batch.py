"""Many files on this computer: worker processes render whole files, each in a process of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from livematte import api
from livematte.errors import InputError, LivematteError, OptionError, OutputError
from livematte.farm.files import PRIVATE, PlannedFile, find_inputs, plan_files
from livematte.farm.memory import free_memory
from livematte.farm.records import FileResult, Records, file_stamp, hash_options
from livematte.offline.pool import ProcessPool
from livematte.offline.pool_process import CallContext
from livematte.offline.report import RenderReport
from livematte.offline.schedule import Policy, Scheduler, Slot, Unit, UnitAdvanced, UnitFailed, UnitFinished
from livematte.offline.worker import options_on_device
from livematte.options import PathLike, RenderOptions
from livematte.options.declaration import complete, documented, pick
from livematte.options.many import RenderManyOptions
from livematte.options.values import check_calls, path_text, short
from livematte.output_paths import check_outputs
from livematte.progress import Meter, Progress
from livematte.resolve import Resolved, resolve_render
from livematte.video.container import is_pipe
from livematte.video.pixel_limit import limit_pixels
from livematte.video.reader import open_video
from livematte.video.section import check_section, read_section
from livematte.video.written_files import foreign_file, record_written

CORES_PER_JOB = 4
"""Cores for each render, if ``jobs`` is None: its four stages run in parallel."""

JOB_BYTES = 1 << 30
"""Memory of a render without its frames: runtime, network, compiled loops."""

JOB_FRAMES = 250
"""Frames in memory during a render: queues, the encoder's look-ahead, pictures being composed."""

_STALE_SECONDS = 86400
"""Folders of unfinished files that are older than this were left by a process that was killed."""

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
    folder = Path(path_text("out_dir", out_dir))
    given = _paths(inputs)
    found = find_inputs(given, recursive=chosen["recursive"], leave_out=folder)
    batch = prepare_batch(found, folder, chosen)
    if chosen["cluster"] is not None:
        from livematte.farm.status import write_call

        prepare_folder(folder)
        write_call(folder, given, chosen)
    return batch.render(
        resume=chosen["resume"], jobs=chosen["jobs"], progress=progress, finished=finished, stop=stop,
        cluster=chosen["cluster"], noted=noted,
    )  # fmt: skip


def _paths(inputs: PathLike | Iterable[PathLike]) -> list[str]:
    """Return the inputs as text. Raises OptionError, UsageError."""
    if isinstance(inputs, (str, os.PathLike)):
        return [path_text("inputs", inputs)]
    if not isinstance(inputs, (list, tuple, set, frozenset, Iterator)):
        raise OptionError(f"inputs {short(inputs)} is invalid: use a path, or several in a list")
    return [path_text("an input", each) for each in inputs]


def prepare_batch(found: Sequence[tuple[Path, Path]], folder: Path, options: Mapping[str, Any]) -> Batch:
    """Check the options and plan the outputs, before anything is rendered. Raises LivematteError."""
    resolved = resolve_render(options)
    check_section(options)
    (resolved.check_split if options.get("cluster") is not None else resolved.check_names)()
    with limit_pixels(options):
        background = resolved.background()
    background.close()
    files = plan_files(found, options, transparent=background.transparent)
    return Batch(files, folder, dict(pick(RenderOptions, options)), resolved, background.transparent)


@dataclass(frozen=True)
class Batch:
    """Files to render with the same options.

    Attributes:
        folder: the output folder.
        options: options of each render.
        transparent: True if the background is transparent.
    """

    files: Sequence[PlannedFile]
    folder: Path
    options: Mapping[str, Any]
    resolved: Resolved
    transparent: bool = False

    def records(self) -> Records:
        """Return the records of the output folder for these options."""
        return Records(self.folder, hash_options(self.options))

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
        records, results = self.records(), {}
        prepare_folder(self.folder)

        def end(number: int, state: str, **facts: Any) -> None:
            file = self.files[number]
            results[number] = FileResult(file.input, self.folder / file.name, state, **facts)
            if finished is not None:
                finished(results[number])

        waiting: list[int] = []
        for number, file in enumerate(self.files):
            if resume and records.is_whole(file):
                end(number, "unchanged")
            elif line := self._foreign_output(file, records):
                records.write_failure(file, file_stamp(file.input), line)
                end(number, "failed", error=line)
            else:
                waiting.append(number)
        if cluster is not None:
            from livematte.farm.cluster import render_on_cluster

            def take(number: int, result: FileResult) -> None:
                results[number] = result
                if finished is not None:
                    finished(result)

            notes = render_on_cluster(
                self.files, self.folder, self._render_options(), records, cluster,
                transparent=self.transparent, waiting=waiting, end=take, progress=progress, stop=stop,
            )  # fmt: skip
            if noted is not None:
                for note in notes:
                    noted(note)
            return [results[number] for number in range(len(self.files))]
        stamps = {number: file_stamp(self.files[number].input) for number in waiting}
        sizes = {number: count_frames(self.files[number].input, self.options) for number in waiting}
        waiting.sort(key=lambda number: -sizes[number][0])
        pool = ProcessPool(self._devices(jobs, len(waiting), max((b for _, b in sizes.values()), default=0)))
        alone = len(pool.slots()) == 1
        units = [
            Unit(number, partial(self._call, self.files[number], alone), sizes[number][0])
            for number in waiting
        ]
        totals = [frames for frames, _ in sizes.values()]
        meter, written = Meter(sum(totals) if all(totals) else None, progress), dict.fromkeys(waiting, 0)
        try:
            scheduler = Scheduler(units, pool, _POLICY, lambda: stop is not None and stop.is_set())
            for event in scheduler.events():
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
                    else:
                        records.write(self.files[number], stamps[number], frames=report.frames)
                        end(number, "done", **facts)
                elif isinstance(event, UnitFailed):
                    line = str(event.error).strip().splitlines()[-1]
                    records.write_failure(self.files[number], stamps[number], line)
                    end(number, "failed", error=line, notes=list(getattr(event.error, "notes", ())))
        finally:
            pool.close()
            clean_folder(self.folder)
        for number in waiting:
            if number not in results:
                end(number, "stopped")
        if progress is not None and waiting:
            meter(sum(written.values()))
            progress(meter.progress())
        return [results[number] for number in range(len(self.files))]

    def _foreign_output(self, file: PlannedFile, records: Records) -> str:
        """Return a line about an output that must not be replaced, because livematte did not write it."""
        if self.options["overwrite"] is not None:
            return ""
        others = (target for target in file.targets.values() if not records.wrote(file, target))
        line = next(filter(None, (foreign_file(self.folder / target) for target in others)), "")
        return line and f"{line}: use another name for the output, or --overwrite to replace it"

    def _render_options(self) -> dict[str, Any]:
        """Return the options of the render of a file whose outputs may be written."""
        return {**self.options, "overwrite": self.options["overwrite"] is not False}

    def _devices(self, jobs: int | None, files: int, frame_bytes: int) -> list[str]:
        """Return one device per file that is rendered at the same time."""
        devices = self.resolved.compute.devices
        if len(devices) > 1:
            return devices[: max(1, files)]
        return devices * max(1, min(files, jobs or choose_jobs(frame_bytes)))

    def _call(self, file: PlannedFile, alone: bool, slot: Slot) -> tuple[Any, ...]:
        options = options_on_device(self._render_options(), slot.device, None if alone else slot.threads)
        return render_file, file, self.folder, options


def choose_jobs(frame_bytes: int) -> int:
    """Return the number of files to render at the same time, by cores and free memory."""
    by_cores = (os.cpu_count() or 1) // CORES_PER_JOB
    by_memory = free_memory() // (JOB_BYTES + JOB_FRAMES * frame_bytes)
    return max(1, min(by_cores, by_memory))


def count_frames(path: Path, options: Mapping[str, Any]) -> tuple[int, int]:
    """Return the expected number of frames of a file, and the bytes of one; zeros if it cannot be opened.

    Zeros for a named pipe, too: it can be read only once.
    """
    if is_pipe(path):
        return 0, 0
    try:
        with limit_pixels(options), open_video(os.fspath(path), **read_section(path, options)) as source:
            info = source.info
            return info.frames or 0, info.width * info.height * 3 // 2
    except LivematteError:
        return 0, 0  # the render reports it


def prepare_folder(folder: Path) -> None:
    """Make the output folder, and remove old unfinished files. Raises OutputError."""
    try:
        (folder / PRIVATE).mkdir(parents=True, exist_ok=True)
        for left in (folder / PRIVATE).glob("work-*"):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"folder {folder} cannot be written: {error.strerror or error}") from error


def clean_folder(folder: Path) -> None:
    """Remove the private folder if there is nothing in it."""
    private = folder / PRIVATE
    if private.is_dir() and not any(private.iterdir()):
        private.rmdir()


def render_file(
    file: PlannedFile, folder: Path, options: Mapping[str, Any], context: CallContext
) -> RenderReport:
    """Render one file, in a worker process: its outputs appear when all of them are complete."""
    if file.input.is_dir():
        raise InputError(f"{file.input} is a folder")
    finals = {option: folder / target for option, target in file.targets.items()}
    check_outputs({"input": file.input}, finals.values(), options)
    with tempfile.TemporaryDirectory(
        prefix="work-", dir=folder / PRIVATE, ignore_cleanup_errors=True
    ) as work:
        staged = {option: Path(work) / target for option, target in file.targets.items()}
        for path in (*staged.values(), *finals.values()):
            path.parent.mkdir(parents=True, exist_ok=True)
        others: Any = {option: path for option, path in staged.items() if option != "output"}
        try:
            report = api.render(
                file.input, staged["output"], stop=context.stop,
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
