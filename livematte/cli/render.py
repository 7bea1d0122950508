"""Command ``livematte render``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.interrupt import stop_event
from livematte.cli.many import OutDir, render_folder
from livematte.cli.parameters import takes
from livematte.cli.profiles import Profile
from livematte.errors import UsageError
from livematte.options import RenderOptions
from livematte.options.commands import RenderCommand
from livematte.options.declaration import defaults, input_files, pick
from livematte.options.many import ManyOptions, RenderManyOptions

if TYPE_CHECKING:
    from livematte.api import RenderReport


@takes(RenderCommand)
def render(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="Input video, or pictures: a folder, [b]'*.png'[/b], [b]%04d.png[/b] or [b]####.png[/b].",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="OUT",
            help="Output: [b].mp4[/b] [b].mov[/b] [b].mkv[/b] [b].webm[/b], or [b]out/%04d.png[/b] "
            "([b].exr[/b], [b].tiff[/b] …).",
        ),
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="...", help="With [b]--out-dir[/b]: any number of files and folders."),
    ] = None,
    out_dir: OutDir = None,
    profile: Profile = None,
    **options: Unpack[RenderManyOptions],
) -> None:
    """Replace the background of a video.

    Sound, subtitles, chapters and timing are kept unchanged.
    OUT is created when the render is complete. Ctrl-C stops early and keeps the frames rendered so far.

    [bold]Examples[/bold]

    [cyan]livematte render me.mp4 out.mp4[/cyan]  green background
    [cyan]livematte render me.mp4 out.mp4 -b beach.jpg[/cyan]  picture
    [cyan]livematte render me.mp4 out.mp4 -b waves.mp4[/cyan]  video, looped
    [cyan]livematte render me.mp4 out.mp4 -b blur:30[/cyan]  the original background, blurred
    [cyan]livematte render me.mp4 out.mov -b transparent[/cyan]  for a video editor (ProRes 4444)
    [cyan]livematte render me.mp4 out.webm -b transparent[/cyan]  for a web page (VP9)
    [cyan]livematte render me.mp4 out.mp4 --alpha-out matte.mp4[/cyan]  also write the matte
    [cyan]livematte render me.mp4 try.mp4 --start 10 --end 15[/cyan]  only five seconds
    [cyan]livematte render me.mp4 out.mp4 --device cuda:0,cuda:1[/cyan]  two GPUs in parallel
    [cyan]livematte render lectures --out-dir done[/cyan]  all videos of a folder
    """
    paths = [source, *([target] if target is not None else []), *(more or [])]
    if out_dir is not None:
        render_folder(paths, out_dir, options)
        return
    _check_single(paths, options)
    assert target is not None
    single = pick(RenderOptions, options)
    from livematte.video import trial_decode

    trial_decode.begin(source, *input_files(RenderOptions, single).values())  # in parallel with the imports
    from livematte import api

    given = {name: single[name] for name in ("background", "model")}
    terminal.event_if_json("start", input=source, output=target, **given)
    with stop_event() as stop, terminal.display(Path(source).name) as display:
        report = api.render(source, target, progress=display, stop=stop, **single)
    tell(report)
    if report.interrupted:
        raise typer.Exit(130)


def _check_single(paths: list[str], options: RenderManyOptions) -> None:
    """Raise UsageError unless the arguments are one video and its output."""
    folder = next((path for path in paths if Path(path).is_dir() and not path.endswith(("/", os.sep))), None)
    if len(paths) > 2 or (folder is not None and folder == paths[0]):
        what = f"{len(paths)} paths" if len(paths) > 2 else f"{folder} is a folder"
        raise UsageError(f"{what}: for many videos name a folder for the results, --out-dir DIR")
    if len(paths) < 2:
        raise UsageError(f"the output of {paths[0]} is missing: livematte render {paths[0]} OUT")
    changed = [name for name, value in defaults(ManyOptions).items() if options.get(name, value) != value]
    if changed:
        raise UsageError(f"--{changed[0].replace('_', '-')} is for many videos: add --out-dir DIR")


def tell(report: RenderReport) -> None:
    """Print the result of a render, as text or as a JSON event."""
    terminal.event_if_json("done", **vars(report))
    for path in (
        report.outputs if not report.interrupted else ()
    ):  # after an early stop the notes name the files
        terminal.say(str(path))
    frames = "1 frame" if report.frames == 1 else f"{report.frames} frames"
    ended = " (stopped early)" if report.interrupted else ""
    speed = f", {report.fps:.1f} frames per second" if report.frames > 1 else ""
    terminal.say(f"{frames} in {report.seconds:.1f} s{speed}{ended}")
    if report.damaged:
        terminal.note(f"{report.damaged} damaged packets or frames of the input were skipped")
    for line in report.notes:
        terminal.note(line)
