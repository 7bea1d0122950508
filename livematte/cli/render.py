"""``livematte render``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livematte.cli import options, terminal
from livematte.cli.interrupt import stop_event
from livematte.cli.profiles import Profile
from livematte.defaults import DEFAULT_BACKGROUND, DEFAULT_MODEL

if TYPE_CHECKING:
    from livematte.api import RenderReport

_ENCODING = "The encoding"


def render(
    source: Annotated[
        str,
        typer.Argument(metavar="IN", help="A video that FFmpeg reads, or pictures: [b]frames/%04d.png[/b]."),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="[b].mp4[/b] [b].mov[/b] [b].mkv[/b] [b].webm[/b], or pictures: [b]out/%04d.png[/b].",
        ),
    ],
    profile: Profile = None,
    background: options.Background = DEFAULT_BACKGROUND,
    fit: options.Fit = "cover",
    model: options.ModelName = DEFAULT_MODEL,
    weights: options.Weights = None,
    size: options.Size = None,
    temporal: options.Temporal = "on",
    keep_islands: options.KeepIslands = False,
    refine: options.Refine = "guided",
    refine_weights: options.RefineWeights = None,
    refine_size: options.RefineSize = None,
    refine_budget: options.RefineBudget = None,
    refine_tta: options.RefineTta = False,
    foreground: options.Foreground = True,
    alpha_out: options.AlphaOut = None,
    foreground_out: options.ForegroundOut = None,
    debug_view: options.DebugView = None,
    overwrite: options.Overwrite = True,
    codec: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="[b]x264[/b], [b]x265[/b], [b]svtav1[/b], [b]vp9[/b], [b]prores[/b], [b]ffv1[/b]; on an "
            "NVIDIA GPU [b]h264_nvenc[/b], [b]hevc_nvenc[/b], [b]av1_nvenc[/b]; by default what the file's "
            "ending suggests.",
            rich_help_panel=_ENCODING,
        ),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Constant quality; lower is better and larger.", rich_help_panel=_ENCODING
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The encoder's own speed, e.g. [b]veryfast[/b].", rich_help_panel=_ENCODING
        ),
    ] = None,
    start: options.Start = None,
    end: options.End = None,
    device: options.Devices = "auto",
    hwaccel: options.Hwaccel = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Put another background behind the people of a video.

    Sound, subtitles, chapters and timing come along unchanged.
    OUT appears when it is whole. Ctrl-C ends early and keeps what is done.

    [bold]Examples[/bold]

    [cyan]livematte render me.mp4 out.mp4[/cyan]  on green
    [cyan]livematte render me.mp4 out.mp4 -b beach.jpg[/cyan]  on a picture
    [cyan]livematte render me.mp4 out.mp4 -b waves.mp4[/cyan]  on a video, looped
    [cyan]livematte render me.mp4 out.mp4 -b blur:30[/cyan]  in the same room, out of focus
    [cyan]livematte render me.mp4 out.mov -b transparent[/cyan]  for an editor (ProRes 4444)
    [cyan]livematte render me.mp4 out.webm -b transparent[/cyan]  for a web page (VP9)
    [cyan]livematte render me.mp4 out.mp4 --alpha-out matte.mp4[/cyan]  and the matte beside it
    [cyan]livematte render me.mp4 try.mp4 --start 10 --end 15[/cyan]  try five seconds first
    [cyan]livematte render me.mp4 out.mp4 --device cuda:0,cuda:1[/cyan]  on two GPUs side by side
    """
    terminal.configure(as_json=as_json, quiet=quiet)
    from livematte.video import trial

    trial.begin(source, background)  # beside the imports
    from livematte import api

    if as_json:
        terminal.event("start", input=source, output=target, background=background, model=model)
    with stop_event() as stop, terminal.display(Path(source).name) as display:
        report = api.render(
            source,
            target,
            background=background,
            fit=fit,
            model=model,
            weights=weights,
            size=size,
            device=device,
            hwaccel=hwaccel,
            runtime=runtime,
            precision=precision,
            threads=threads,
            temporal=temporal,
            keep_islands=keep_islands,
            refine=refine,
            refine_weights=refine_weights,
            refine_size=refine_size,
            refine_budget=refine_budget,
            refine_tta=refine_tta,
            foreground=foreground,
            alpha_out=alpha_out,
            foreground_out=foreground_out,
            debug_view=debug_view,
            codec=codec,
            crf=crf,
            preset=preset,
            start=start,
            end=end,
            overwrite=overwrite,
            progress=display,
            stop=stop,
        )
    tell(report)
    if report.interrupted:
        raise typer.Exit(130)


def tell(report: RenderReport) -> None:
    """The end of a job, for people or for programs."""
    terminal.event_if_json("done", **vars(report))
    for path in report.outputs if not report.interrupted else ():  # cut short: the notes say where it is
        terminal.say(str(path))
    frames = "1 frame" if report.frames == 1 else f"{report.frames} frames"
    ended = " (ended early)" if report.interrupted else ""
    speed = f", {report.fps:.1f} frames a second" if report.frames > 1 else ""
    terminal.say(f"{frames} in {report.seconds:.1f} s{speed}{ended}")
    if report.damaged:
        terminal.note(f"{report.damaged} damaged packets or frames of the input could not be used")
    for line in report.notes:
        terminal.note(line)
