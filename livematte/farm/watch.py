"""Watch a folder: videos that appear in it are rendered when they are complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from typing_extensions import Unpack

from livematte.errors import InputError, UsageError
from livematte.farm.batch import Batch, prepare_batch
from livematte.farm.files import PlannedFile, find_inputs
from livematte.farm.records import FileResult, file_stamp
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
    recorded in the output folder: after a restart it is not rendered again unless the video changes.

    Args:
        folder: the folder with videos.
        out_dir: another folder, for the outputs.
        finished: called with the result of each file.

    Raises:
        UsageError: also if the folders are the same.
        InputError: the folder does not exist.
    """
    chosen = complete(WatchOptions, options)
    source, target = Path(folder), Path(out_dir)
    if not source.is_dir():
        raise InputError(f"{source}: no such folder")
    if source.resolve() == target.resolve():
        raise UsageError(f"{target} is watched itself: choose another folder for --out-dir")
    prepare_batch([], target, chosen)  # raises errors of the options now
    stop = stop or threading.Event()
    settling = Settling(chosen["settle"])
    while not stop.is_set():
        try:
            found = find_inputs([source], recursive=chosen["recursive"], leave_out=target)
        except InputError:
            found = []
        batch = prepare_batch(found, target, chosen)
        ready = settling.ready(batch, time.monotonic())
        if ready:
            Batch(ready, target, batch.options, batch.resolved).render(
                jobs=chosen["jobs"], finished=finished, stop=stop
            )
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
