"""``livematte render`` for many files: ``--out-dir``, progress of all files, and a table at the end."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from livematte.cli import terminal
from livematte.cli.interrupt import stop_event
from livematte.options.many import MANY, RenderManyOptions
from livematte.printable import one_line

if TYPE_CHECKING:
    from livematte.farm.records import FileResult

OutDir = Annotated[
    str | None,
    typer.Option(
        "--out-dir",
        metavar="DIR",
        help="Folder for the results of many videos, or its URL ([b]s3://bucket/folder[/b]); IN are files, "
        "folders and URLs, and OUT is left out.",
        rich_help_panel=MANY,
    ),
]

_WORDS = {"done": "done", "unchanged": "unchanged", "failed": "FAILED", "stopped": "stopped"}


def render_folder(paths: Sequence[str], out_dir: str, options: RenderManyOptions) -> None:
    """Render many files. Exit code 1 if one failed, 130 after Ctrl-C.

    Unless ``overwrite`` is given, a file that livematte did not write is not replaced.
    """
    from livematte.farm.batch import render_many

    options = {"overwrite": None, **options}
    terminal.event_if_json("start", inputs=list(paths), out_dir=out_dir)
    title = Path(out_dir).name or out_dir
    with stop_event() as stop, terminal.display(title) as display:
        results = render_many(
            paths, out_dir, progress=display, finished=say_file, noted=terminal.note, stop=stop, **options
        )
    show_table(results)
    if any(result.state == "failed" for result in results):
        raise typer.Exit(1)
    if stop.is_set() and any(result.state == "stopped" for result in results):
        raise typer.Exit(130)


def show_plan(
    paths: Sequence[str], out_dir: str, price: Mapping[str, float] | None, options: RenderManyOptions
) -> None:
    """Print how long a render on a cluster will take, and what it will cost. Exit code 1 if a file is bad."""
    from livematte.farm.plan import plan_many

    options = {"overwrite": None, **options}
    with stop_event() as stop:
        found = plan_many(paths, out_dir, price=price, noted=terminal.note, stop=stop, **options)
    terminal.event_if_json("plan", **vars(found))
    for machine in found.machines:
        cost = f", {machine.cost:.2f}" if machine.cost is not None else ""
        terminal.say(
            f"{machine.name}: {machine.kind}, {machine.slots} segments at a time, "
            f"{machine.fps:.1f} frames per second{cost}"
        )
    machines = "1 machine" if len(found.machines) == 1 else f"{len(found.machines)} machines"
    terminal.say(
        f"{found.files} files, {found.segments} segments, {found.frames} frames: "
        f"{terminal.duration(found.seconds)} on {machines}"
        + (f", cost {found.cost:.2f}" if found.cost is not None else "")
    )
    for name, line in found.failed.items():
        terminal.note(f"{name} cannot be rendered: {line}")
    if found.failed:
        raise typer.Exit(1)


def say_file(result: FileResult) -> None:
    """Print the end of one file: an error at once, the rest only as a JSON event."""
    facts: dict[str, Any] = {**vars(result), "input": _text(result.input), "output": _text(result.output)}
    terminal.event_if_json("file", **facts)
    if result.state == "failed" and not terminal.is_json():
        terminal.note(f"{_text(result.input)} failed: {result.error}")


def _text(path: Path) -> str:
    from livematte.farm.storage import input_path

    return input_path(path)


def show_table(results: Sequence[FileResult]) -> None:
    """Print the result of each file, and how many there are of each kind."""
    counts = {state: sum(result.state == state for result in results) for state in _WORDS}
    terminal.event_if_json("done", **counts)
    if not terminal.for_people():
        return
    from rich.console import Console
    from rich.table import Table

    from livematte.farm.storage import is_url

    table = Table(box=None, pad_edge=False)
    for title in ("file", "result", "frames", "time", ""):
        numbers = title in ("frames", "time")
        table.add_column(title, justify="right" if numbers else "left", overflow="fold")
    texts = [_text(result.input) for result in results]
    urls = any(map(is_url, texts))
    shared = "" if urls else os.path.commonpath([result.input.absolute().parent for result in results])
    for result, text in zip(results, texts, strict=True):
        ran = result.state in ("done", "stopped") and result.frames
        about = result.error.removeprefix(f"{text} ") or (
            _text(result.output) if result.state in ("done", "unchanged") else ""
        )
        table.add_row(
            terminal.cell(text if urls else os.path.relpath(result.input.absolute(), shared)),
            terminal.cell(_WORDS[result.state], "red" if result.state == "failed" else ""),
            str(result.frames) if ran else "",
            terminal.duration(result.seconds) if ran else "",
            terminal.cell(one_line(about)),
        )
    Console().print(table)
    terminal.say(", ".join(f"{count} {state}" for state, count in counts.items() if count))
