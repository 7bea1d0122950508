"""``livematte render``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.interrupt import stop_event
from livematte.cli.parameters import takes
from livematte.cli.profiles import Profile
from livematte.options import RenderOptions
from livematte.options.commands import RenderCommand
from livematte.options.declaration import input_files

if TYPE_CHECKING:
    from livematte.api import RenderReport


@takes(RenderCommand)
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
    **options: Unpack[RenderOptions],
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
    from livematte.video import trial_decode

    trial_decode.begin(source, *input_files(RenderOptions, options).values())  # in parallel with the imports
    from livematte import api

    asked = {name: options[name] for name in ("background", "model")}
    terminal.event_if_json("start", input=source, output=target, **asked)
    with stop_event() as stop, terminal.display(Path(source).name) as display:
        report = api.render(source, target, progress=display, stop=stop, **options)
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
