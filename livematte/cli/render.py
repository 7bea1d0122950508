"""Command ``livematte render``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.interrupt import stop_event
from livematte.cli.many import OutDir, render_folder, show_plan
from livematte.cli.parameters import takes
from livematte.cli.profiles import Profile
from livematte.errors import UsageError
from livematte.options import RenderOptions
from livematte.options.commands import RenderCommand
from livematte.options.declaration import defaults, input_files, pick
from livematte.options.many import ManyOptions, PlanOptions, RenderManyOptions

if TYPE_CHECKING:
    from livematte.api import RenderReport

_NAME_FOLDER = ": for many videos name a folder for the results, --out-dir DIR"


@takes(RenderCommand)
def render(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="Input video, [b]-[/b] for standard input, or pictures: a folder, [b]'*.png'[/b], "
            "[b]%04d.png[/b] or [b]####.png[/b].",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[OUT]",
            help="Output: [b].mp4[/b] [b].mov[/b] [b].mkv[/b] [b].webm[/b], [b]out/%04d.png[/b], or [b]-[/b] "
            "for standard output with [b]--format[/b]. May be left out with [b]--alpha-out[/b], "
            "[b]--foreground-out[/b] or [b]--debug-view[/b].",
            show_default=False,
        ),
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="...", help="With [b]--out-dir[/b]: any number of files and folders."),
    ] = None,
    out_dir: OutDir = None,
    profile: Profile = None,
    **options: Unpack[RenderCommand],
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
    [cyan]livematte render me.mov --alpha-out matte.mov[/cyan]  only the matte (ProRes)
    [cyan]livematte render me.mp4 try.mp4 --start 10 --end 15[/cyan]  only five seconds
    [cyan]cat me.mkv | livematte render - - --format matroska | mpv -[/cyan]  in a pipeline
    [cyan]livematte render me.mp4 out.mp4 --device cuda:0,cuda:1[/cyan]  two GPUs in parallel
    [cyan]livematte render lectures --out-dir done[/cyan]  all videos of a folder
    """
    paths = [source, *([target] if target is not None else []), *(more or [])]
    if out_dir is not None:
        wanted, many = pick(PlanOptions, options), pick(RenderManyOptions, options)
        if wanted.get("plan"):
            show_plan(paths, out_dir, wanted.get("price"), many)
        else:
            render_folder(paths, out_dir, many)
        return
    _check_single(paths, options)
    single = pick(RenderOptions, options)
    from livematte.video import trial_decode
    from livematte.video.pixel_limit import limit_pixels

    with limit_pixels(single):
        trial_decode.begin(
            source, *input_files(RenderOptions, single).values()
        )  # in parallel with the imports
    given = {name: single[name] for name in ("background", "model")}
    if target == "-" and terminal.is_json():
        raise UsageError("--json and OUT - both write to standard output: leave one out")
    from livematte.output_paths import output_paths
    from livematte.resolve import video_suffix

    targets = output_paths(target, single, source, video_suffix(single))
    confirm_overwrite(source, targets.values(), single)
    from livematte import api
    from livematte.video.spool import as_file, spoken

    terminal.event_if_json("start", input=source, output=targets.get("picture"), **given)
    with stop_event() as stop, as_file(source, stop=stop, say=terminal.note) as file:
        with terminal.display(Path(spoken(source)).name) as display:
            report = api.render(file, targets.get("picture"), progress=display, stop=stop, **single)
        notes = [note.replace(file, spoken(source)) for note in report.notes]
    tell(replace(report, notes=notes))
    if report.interrupted:
        raise typer.Exit(130)


def _check_single(paths: list[str], options: RenderCommand) -> None:
    """Raise UsageError unless the arguments are one video or sequence of pictures, and at most one output."""
    if len(paths) > 2:
        raise UsageError(f"{len(paths)} paths{_NAME_FOLDER}")
    if _is_folder_of_videos(Path(paths[0])):
        raise UsageError(f"{paths[0]} is a folder of videos{_NAME_FOLDER}")
    many = {**defaults(ManyOptions), **defaults(PlanOptions)}
    changed = [name for name, value in many.items() if options.get(name, value) != value]
    if changed:
        raise UsageError(f"--{changed[0].replace('_', '-')} is for many videos: add --out-dir DIR")


def _is_folder_of_videos(folder: Path) -> bool:
    """Return True if a folder contains videos, but no pictures, which would be a sequence."""
    from livematte.farm.files import VIDEO_SUFFIXES
    from livematte.video.picture_sequence import PICTURES

    try:
        suffixes = {path.suffix.lower() for path in folder.iterdir()}
    except OSError:  # it is no folder, or it cannot be read, which the render reports
        return False
    return bool(suffixes & VIDEO_SUFFIXES) and not suffixes & PICTURES


def confirm_overwrite(source: str, targets: Iterable[str], options: Mapping[str, Any]) -> None:
    """Make sure that no file of the user's is replaced by mistake: ask in a terminal, otherwise refuse.

    Files that livematte wrote are replaced. ``--overwrite`` and ``--no-overwrite`` decide without a question.

    Raises:
        UsageError: a file that livematte did not write, and nobody says yes.
    """
    if "overwrite" in options:
        return
    from livematte.output_paths import foreign_output, same_file

    # The call itself refuses an output that is the input.
    others = [each for each in targets if not same_file(Path(source), Path(each))]
    for line in filter(None, map(foreign_output, others)):
        if not (terminal.can_ask() and typer.confirm(f"{line}. Replace it?", err=True)):
            raise UsageError(f"{line}: use another name for the output, or --overwrite to replace it")


def tell(report: RenderReport) -> None:
    """Print the result of a render, as text or as a JSON event."""
    terminal.event_if_json("done", **vars(report))
    for path in report.outputs if not report.interrupted else ():  # else the notes name the files
        if str(path) != "-":
            terminal.say(str(path))
    frames = "1 frame" if report.frames == 1 else f"{report.frames} frames"
    ended = " (stopped early)" if report.interrupted else ""
    speed = f", {report.fps:.1f} frames per second" if report.frames > 1 else ""
    terminal.say(f"{frames} in {report.seconds:.1f} s{speed}{ended}")
    if report.damaged:
        terminal.note(f"{report.damaged} damaged packets or frames of the input were skipped")
    for line in report.notes:
        terminal.note(line)
