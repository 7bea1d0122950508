"""Commands ``livematte farm status|cancel|retry``: what a cluster renders into a folder."""

from __future__ import annotations

from typing import Annotated

import typer
from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.options.commands import FarmCommand, FarmOptions

app = typer.Typer(help="Renders on a cluster: see, stop and repeat them.", no_args_is_help=True)

Folder = Annotated[str, typer.Argument(metavar="DIR", help="The --out-dir of the render: a folder or URL.")]


@app.command()
@takes(FarmCommand)
def status(out_dir: Folder, **options: Unpack[FarmOptions]) -> None:
    """Show who renders, and the finished and failed segments of each file that is not complete."""
    from livematte.farm.out_dir import current_owner, open_out_dir
    from livematte.farm.status import read_status

    out = open_out_dir(out_dir)
    found, owner = read_status(out), current_owner(out)
    if owner is not None:
        terminal.event_if_json("run", host=owner.host, process=owner.process, began=owner.began)
        terminal.say(f"{out.text} is being written by {owner}")
    for each in found:
        terminal.event_if_json("file", **vars(each))
        failed = f", {len(each.failed)} failed" if each.failed else ""
        terminal.say(f"{each.name}: {each.done} of {each.segments} segments{failed}")
        for line in each.failed:
            terminal.say(f"  {line}")
    if not found:
        terminal.say(f"{out.text}: nothing is unfinished")


@app.command()
@takes(FarmCommand)
def cancel(out_dir: Folder, **options: Unpack[FarmOptions]) -> None:
    """Stop the render into a folder. Finished segments are kept, and the same command continues later."""
    from livematte.farm.out_dir import open_out_dir
    from livematte.farm.status import request_cancel

    owner = request_cancel(open_out_dir(out_dir))
    terminal.event_if_json("cancel", host=owner.host, process=owner.process)
    terminal.say(f"the render of {owner} stops; its finished segments are kept")


@app.command()
@takes(FarmCommand)
def retry(out_dir: Folder, **options: Unpack[FarmOptions]) -> None:
    """Render again what is missing in a folder, with the inputs and options of its last render."""
    from livematte.cli.many import render_folder
    from livematte.farm.out_dir import open_out_dir
    from livematte.farm.status import read_call

    paths, given = read_call(open_out_dir(out_dir))
    render_folder(paths, out_dir, given)
