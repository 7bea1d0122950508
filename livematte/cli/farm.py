"""Commands ``livematte farm status|cancel|retry``: what a cluster renders into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.options.commands import FarmCommand, FarmOptions

app = typer.Typer(help="Renders on a cluster: see, stop and repeat them.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The --out-dir of the render.")]


@app.command()
@takes(FarmCommand)
def status(out_dir: Folder, **options: Unpack[FarmOptions]) -> None:
    """Show the finished and failed segments of each file that is not complete."""
    from livematte.farm.status import read_status

    found = read_status(out_dir)
    for each in found:
        terminal.event_if_json("file", **vars(each))
        failed = f", {len(each.failed)} failed" if each.failed else ""
        terminal.say(f"{each.name}: {each.done} of {each.segments} segments{failed}")
        for line in each.failed:
            terminal.say(f"  {line}")
    if not found:
        terminal.say(f"{out_dir}: nothing is unfinished")


@app.command()
@takes(FarmCommand)
def cancel(out_dir: Folder, **options: Unpack[FarmOptions]) -> None:
    """Stop the render into a folder. Finished segments are kept, and the same command continues later."""
    from livematte.farm.status import request_cancel

    request_cancel(out_dir)
    terminal.say(f"{out_dir}: the render stops; its finished segments are kept")


@app.command()
@takes(FarmCommand)
def retry(out_dir: Folder, **options: Unpack[FarmOptions]) -> None:
    """Render again what is missing in a folder, with the inputs and options of its last render."""
    from livematte.cli.many import render_folder
    from livematte.farm.status import read_call

    paths, given = read_call(out_dir)
    render_folder(paths, out_dir, given)
