"""Command ``livematte trimap``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.interrupt import stop_event
from livematte.cli.parameters import takes
from livematte.cli.render import confirm_overwrite, tell
from livematte.options import TrimapOptions
from livematte.options.commands import TrimapCommand


@takes(TrimapCommand)
def trimap(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="Input picture or video; [b]-[/b] for standard input.")
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="Output: a picture ([b].png[/b] …), a video ([b].mkv[/b] …) or [b]out/%04d.png[/b].",
        ),
    ],
    **options: Unpack[TrimapOptions],
) -> None:
    """Write a trimap computed by a network: background black, unknown grey (128), foreground white.

    Edit it in any paint program and use it with livematte image --trimap.

    [bold]Examples[/bold]

    [cyan]livematte trimap me.jpg trimap.png[/cyan]
    [cyan]livematte trimap me.mp4 trimap.mkv[/cyan]
    """
    from livematte.video import trial_decode
    from livematte.video.pixel_limit import limit_pixels

    with limit_pixels(options):
        trial_decode.begin(source)  # in parallel with the imports
    from livematte.output_paths import is_picture, output_path

    target = output_path(target, source, ".png" if is_picture(source) else ".mkv")
    confirm_overwrite(source, [target], options)
    from livematte import api
    from livematte.video.spool import as_file, spoken

    with (
        stop_event() as stop,
        as_file(source, stop=stop, say=terminal.note) as file,
        terminal.display(Path(spoken(source)).name) as display,
    ):
        report = api.trimap(file, target, progress=display, stop=stop, **options)
    tell(report)
    if report.interrupted:
        raise typer.Exit(130)
