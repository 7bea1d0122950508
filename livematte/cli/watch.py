"""Command ``livematte watch``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.interrupt import stop_event
from livematte.cli.many import say_file
from livematte.cli.parameters import takes
from livematte.options.commands import WatchCommand
from livematte.options.many import MANY, WatchOptions

if TYPE_CHECKING:
    from livematte.farm.records import FileResult


@takes(WatchCommand)
def watch(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to watch.")],
    out_dir: Annotated[
        str,
        typer.Option("--out-dir", metavar="DIR", help="Folder or URL for the results.", rich_help_panel=MANY),
    ],
    **options: Unpack[WatchOptions],
) -> None:
    """Render every video that appears in a folder.

    A video is rendered when its size does not change any more. After a restart, what is finished is not
    rendered again. Ctrl-C ends it and leaves no unfinished file. [b]docs/farm.md[/b] has a systemd unit.
    """
    from livematte.farm.watch import watch as run

    def tell(result: FileResult) -> None:
        say_file(result)
        if result.state == "done":
            terminal.say(f"{result.output}")

    options = {"overwrite": None, **options}
    terminal.event_if_json("start", folder=folder, out_dir=out_dir)
    with stop_event() as stop:
        terminal.note(f"watching {folder}; Ctrl-C ends it")
        run(folder, out_dir, finished=tell, stop=stop, **options)
    terminal.event_if_json("done")
