"""Runs a render to its end, successful or not, and reports on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livematte.errors import InputError, LivematteError, UsageError
from livematte.matting.compositor import Composed
from livematte.offline import engine
from livematte.options import PathLike
from livematte.progress import Meter, Progress
from livematte.protocols import Background, Source
from livematte.video.reader import FileSource
from livematte.video.writer import write_image


@dataclass(frozen=True)
class RenderReport:
    """The result of a render."""

    frames: int
    damaged: int
    """Packets or frames of the input that could not be decoded."""
    seconds: float
    """Wall time, start-up included."""
    fps: float
    """Frames a second from the first to the last frame written."""
    outputs: list[Path]
    notes: list[str]
    """Lines for the user: streams re-encoded or dropped, frames damaged, files cut short."""
    interrupted: bool = False
    stages: dict[str, float] = field(default_factory=dict)
    """Busy seconds of each stage of the engine."""


def require_moving(source: FileSource, path: PathLike) -> None:
    """Raise UsageError if the source is a single picture."""
    if source.info.details.get("image"):
        raise UsageError(f"{path} is a single picture, not a video: use `livematte image {path} OUT`")


def abort_outputs(source: Source | None, behind: Background | None, outputs: list[engine.Output]) -> None:
    """Close all that was opened for a render that cannot begin: the caller raises the reason."""
    closing = [part.close for part in (source, behind) if part is not None]
    for end in (*closing, *(opened.sink.abort for opened in outputs)):
        with suppress(Exception):
            end()


def run_and_report(
    work: Callable[..., engine.RenderStats],
    input: object,
    source: Source,
    outputs: list[engine.Output],
    began: float,
    progress: Callable[[Progress], None] | None,
) -> RenderReport:
    """Run ``work`` and report on it.

    Args:
        input: the name of the source, for an error.
        source, outputs: an own source or sink of the caller need not have notes, a path or a damage count.
    """
    meter = Meter(source.info.frames, progress)
    sinks: list[Any] = [opened.sink for opened in outputs]
    try:
        stats = work(progress=meter)
    except LivematteError as error:
        error.notes = tuple(_notes(source, *sinks))
        raise
    if stats.frames == 0 and not stats.interrupted:
        raise InputError(f"{input} has no picture that decodes")
    if progress is not None:
        progress(meter.progress() if stats.interrupted else meter.finished())
    return RenderReport(
        frames=stats.frames,
        damaged=getattr(source, "damaged", 0),
        seconds=time.monotonic() - began,
        fps=meter.fps,
        outputs=[sink.path for sink in sinks if hasattr(sink, "path")],
        notes=[*_notes(source, *sinks), *nobody_note(stats.highest_alpha, stats.frames)],
        interrupted=stats.interrupted,
        stages={name: clock.wall for name, clock in stats.stages.items()},
    )


NOBODY = 0.5
"""A matte whose largest alpha is less shows nobody."""


def nobody_note(highest_alpha: float, frames: int = 1) -> list[str]:
    """Return a note if nobody was found, otherwise nothing.

    Args:
        highest_alpha: the largest alpha of all mattes.
        frames: number of frames.
    """
    if highest_alpha >= NOBODY or not frames:
        return []
    where = "the picture" if frames == 1 else f"any of the {frames} frames"
    return [f"nobody was found in {where}: the result shows only the background"]


def _notes(*parts: object) -> list[str]:
    return [note for part in parts for note in getattr(part, "notes", ())]


def write_stills(
    composed: Composed, targets: Mapping[str, str], source: FileSource | None, began: float
) -> RenderReport:
    """Write the pictures of one frame and report on it. ``source`` is None for a picture in memory."""
    for kind, path in targets.items():
        write_image(path, getattr(composed, kind))
    seconds = time.monotonic() - began
    outputs = [Path(path) for path in targets.values()]
    damaged = 0 if source is None else source.damaged
    return RenderReport(1, damaged, seconds, 1 / seconds, outputs, _notes(source))
