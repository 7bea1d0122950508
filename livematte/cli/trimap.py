"""``livematte trimap``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livematte.cli import options, terminal
from livematte.cli.interrupt import stop_event
from livematte.cli.render import tell
from livematte.defaults import DEFAULT_MODEL


def trimap(
    source: Annotated[str, typer.Argument(metavar="IN", help="A picture or a video.")],
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUT", help="A picture ([b].png[/b] …), a video ([b].mkv[/b] …) or [b]out/%04d.png[/b]."
        ),
    ],
    model: options.ModelName = DEFAULT_MODEL,
    weights: options.Weights = None,
    size: options.Size = None,
    temporal: options.Temporal = "on",
    keep_islands: options.KeepIslands = False,
    overwrite: options.Overwrite = True,
    start: options.Start = None,
    end: options.End = None,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write what a network leaves in doubt: black background, grey unknown, white foreground.

    Correct it in any paint program and give it to livematte image --trimap.

    [bold]Examples[/bold]

    [cyan]livematte trimap me.jpg trimap.png[/cyan]
    [cyan]livematte trimap me.mp4 trimap.mkv[/cyan]
    """
    terminal.configure(as_json=as_json, quiet=quiet)
    from livematte.video import trial

    trial.begin(source)  # beside the imports
    from livematte import api

    with stop_event() as stop, terminal.display(Path(source).name) as display:
        report = api.trimap(
            source,
            target,
            model=model,
            weights=weights,
            size=size,
            device=device,
            runtime=runtime,
            precision=precision,
            threads=threads,
            temporal=temporal,
            keep_islands=keep_islands,
            start=start,
            end=end,
            overwrite=overwrite,
            progress=display,
            stop=stop,
        )
    tell(report)
    if report.interrupted:
        raise typer.Exit(130)
