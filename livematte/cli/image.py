"""``livematte image``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livematte.cli import options, terminal
from livematte.cli.render import tell
from livematte.defaults import DEFAULT_MODEL


def image(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A picture, or a video whose first frame is taken.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="[b].png[/b], [b].jpg[/b], [b].webp[/b] …")],
    background: options.Background = "transparent",
    fit: options.Fit = "cover",
    model: options.ModelOrRefiner = DEFAULT_MODEL,
    weights: options.Weights = None,
    size: options.Size = None,
    trimap: options.Trimap = None,
    keep_islands: options.KeepIslands = False,
    refine: options.Refine = "guided",
    refine_weights: options.RefineWeights = None,
    refine_size: options.RefineSize = None,
    refine_tta: options.RefineTta = False,
    foreground: options.Foreground = True,
    alpha_out: options.AlphaOut = None,
    foreground_out: options.ForegroundOut = None,
    debug_view: options.DebugView = None,
    overwrite: options.Overwrite = True,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Cut the people out of one picture.

    [bold]Examples[/bold]

    [cyan]livematte image me.jpg me.png[/cyan]  on nothing: transparent
    [cyan]livematte image me.jpg out.jpg -b beach.jpg[/cyan]  on another picture
    [cyan]livematte image me.jpg out.png -b blur[/cyan]  like a portrait lens
    [cyan]livematte image me.jpg out.png --trimap drawn.png --refine NAME[/cyan]  where you drew the outline
    """
    terminal.configure(as_json=as_json, quiet=quiet)
    from livematte.video import trial

    trial.begin(source, background, trimap)  # beside the imports
    from livematte import api

    tell(
        api.image(
            source,
            target,
            background=background,
            fit=fit,
            model=model,
            weights=weights,
            size=size,
            device=device,
            runtime=runtime,
            precision=precision,
            threads=threads,
            trimap=trimap,
            keep_islands=keep_islands,
            refine=refine,
            refine_weights=refine_weights,
            refine_size=refine_size,
            refine_tta=refine_tta,
            foreground=foreground,
            alpha_out=alpha_out,
            foreground_out=foreground_out,
            debug_view=debug_view,
            overwrite=overwrite,
        )
    )
