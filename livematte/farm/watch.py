"""Watch a folder: videos that appear in it are rendered when they are complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from typing_extensions import Unpack

from livematte.errors import InputError, UsageError
from livematte.farm.batch import Batch, prepare_batch
from livematte.farm.files import PlannedFile, find_inputs, plan_files
from livematte.farm.out_dir import file_stamp, open_out_dir
from livematte.farm.records import FileResult
from livematte.options import PathLike
from livematte.options.declaration import complete, documented
from livematte.options.many import WatchOptions


@documented(WatchOptions)
def watch(
    folder: PathLike,
    out_dir: PathLike,
    *,
    finished: Callable[[FileResult], None] | None = None,
    stop: threading.Event | None = None,
    **options: Unpack[WatchOptions],
) -> None:
    """Render every video in a folder, and those that appear later, until ``stop`` is set.

    A video is complete when its size and time do not change any more. What is finished, and what failed, is
    recorded in the output folder: after a restart it is not rendered again unless the video changes, or the
    file at the place of its output.

    Args:
        folder: the folder with videos.
        out_dir: another folder, for the outputs; nobody else may write into it at the same time.
        finished: called with the result of each file.

    Raises:
        UsageError: also if the folders are the same.
        InputError: the folder does not exist.
    """
    chosen = complete(WatchOptions, options)
    source, out = Path(folder), open_out_dir(out_dir)
    if not source.is_dir():
        raise InputError(f"{source}: no such folder")
    if source.resolve() == out.folder.resolve():
        raise UsageError(f"{out.text} is watched itself: choose another folder for --out-dir")
    stop, finished = stop or threading.Event(), finished or (lambda result: None)
    empty, settling = prepare_batch([], out, chosen), Settling(chosen["settle"])
    refused: set[Path] = set()

    def refuse(path: Path, error: UsageError) -> None:
        if path not in refused:
            refused.add(path)
            finished(FileResult(path, out.folder, "failed", str(error)))

    def is_known(pair: tuple[Path, Path]) -> bool:
        (file,) = plan_files([pair], chosen, transparent=empty.transparent, refuse=refuse)
        return empty.records().is_known(file)

    with out.lock():
        while not stop.is_set():
            try:
                found = find_inputs([source], recursive=chosen["recursive"], leave_out=out.folder)
            except InputError:
                found = []
            found.sort(key=lambda pair: not is_known(pair))  # of two with one output, the first to come
            files = plan_files(found, chosen, transparent=empty.transparent, refuse=refuse)
            ready = settling.ready(replace(empty, files=files), time.monotonic())
            if ready:
                replace(empty, files=ready).render(jobs=chosen["jobs"], finished=finished, stop=stop)
            else:
                stop.wait(min(chosen["settle"] / 2, 2.0))


class Settling:
    """Tells which files are complete: their size and time were the same for ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[Path, tuple[list[int] | None, float]] = {}

    def ready(self, batch: Batch, now: float) -> list[PlannedFile]:
        """Return the files that are complete, and were neither finished nor failed in this state."""
        records, ready = batch.records(), []
        for file in batch.files:
            stamp = file_stamp(file.input)
            before, since = self._seen.get(file.input, (None, now))
            if stamp is None or stamp[0] == 0 or stamp != before:
                self._seen[file.input] = (stamp, now)
            elif now - since >= self._seconds and not records.failed(file) and not records.is_whole(file):
                ready.append(file)
        return ready
