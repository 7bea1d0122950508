"""``livematte live``."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from livematte.cli import options, previewing, terminal
from livematte.cli.interrupt import stop_event
from livematte.cli.profiles import Profile, typed
from livematte.cli.telling import LOOK, Teller, summary
from livematte.defaults import DEFAULT_MODEL
from livematte.errors import SessionError, UsageError

if TYPE_CHECKING:
    from livematte.streaming.control import Control
    from livematte.streaming.session import Session

_INPUT, _OUTPUT, _BEHAVIOUR = "The camera", "The output", "How it behaves"


def live(
    context: typer.Context,
    profile: Profile = None,
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH",
            help="Its id or name; [b]livematte devices[/b] lists them. The first one otherwise.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="A video or address played in real time, in place of a camera.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    pixel_format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Ask the camera for [b]mjpeg[/b], [b]yuyv422[/b] ...", rich_help_panel=_INPUT
        ),
    ] = None,
    mirror: Annotated[
        bool,
        typer.Option("--mirror/--no-mirror", metavar="", help="Left becomes right.", rich_help_panel=_INPUT),
    ] = False,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Where pictures go: {previewing.OUTPUTS}, or [b]none[/b] for a preview alone. May be given "
            "more than once; [b]virtualcam[/b] otherwise.",
            autocompletion=options.complete_names("sinks"),
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    sink_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME.OPTION=VALUE",
            help="An output's own option, e.g. [b]virtualcam.device=/dev/video10[/b].",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    resolution: Annotated[
        str,
        typer.Option(
            metavar="WIDTHxHEIGHT", help="Of the output; asked of the camera, too.", rich_help_panel=_OUTPUT
        ),
    ] = "1280x720",
    rate: Annotated[
        float, typer.Option(metavar="FPS", help="Frames a second.", rich_help_panel=_OUTPUT)
    ] = 30.0,
    background: Annotated[
        str | None,
        typer.Option(
            "--background",
            "-b",
            metavar="WHAT",
            help="A colour, a picture, a video (looped), [b]blur[/b], [b]blur:40[/b], or "
            "[b]transparent[/b] where the output can.",
            autocompletion=options.complete_background,
            rich_help_panel=options.BACKDROP,
        ),
    ] = None,
    fit: options.Fit = "cover",
    placeholder: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="What viewers see while there is no good matte: a background too. Otherwise the background.",
            rich_help_panel=options.BACKDROP,
        ),
    ] = None,
    on_demand: Annotated[
        bool,
        typer.Option(
            "--on-demand/--no-on-demand",
            metavar="",
            help="Let go of the camera while nobody watches.",
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = False,
    delay: Annotated[
        float,
        typer.Option(
            metavar="MS",
            help="Show each picture that long after its capture: steadier, or in step with delayed sound.",
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = 0.0,
    lag_ok: Annotated[
        bool,
        typer.Option(
            "--lag-ok/--no-lag-ok",
            metavar="",
            help="Composite with the newest matte instead of the frame's own, up to 0.1 s older: quicker, "
            "but [b]a strip of the room is seen[/b] where somebody moves.",
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = False,
    govern: Annotated[
        bool,
        typer.Option(
            "--govern/--no-govern",
            metavar="",
            help="May resolution be less where the machine cannot hold the rate?",
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = True,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="End after that long.", rich_help_panel=_BEHAVIOUR),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What [b]livematte ctl --session[/b] may call it, where several run.",
            rich_help_panel=_BEHAVIOUR,
        ),
    ] = "",
    model: options.ModelName = DEFAULT_MODEL,
    weights: options.Weights = None,
    size: options.Size = None,
    temporal: options.Temporal = "on",
    keep_islands: options.KeepIslands = False,
    refine: options.Refine = "guided",
    refine_weights: options.RefineWeights = None,
    refine_size: options.RefineSize = None,
    refine_budget: options.RefineBudget = None,
    foreground: options.Foreground = True,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    preview: previewing.PreviewPlace = None,
    preview_backgrounds: previewing.PreviewBackgrounds = None,
    stats: Annotated[
        bool,
        typer.Option(
            "--stats/--no-stats",
            metavar="",
            help="Say every second how it goes: rate, latency, drops, repeats.",
            rich_help_panel=options.REPORT,
        ),
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Put another background behind the people a camera sees, live.

    Viewers never see the room: until the first good matte, and whenever anything is wrong, they get the
    placeholder. Ctrl-C ends it; [b]livematte ctl[/b] changes it while it runs.

    [bold]Examples[/bold]

    [cyan]livematte live -b beach.jpg[/cyan]  a webcam for calls
    [cyan]livematte live -b blur --camera "HD Webcam" --on-demand[/cyan]  off while nobody watches
    [cyan]livematte live --to none --preview -b beach.jpg[/cyan]  look at it first
    [cyan]livematte live --input me.mp4 -b beach.jpg[/cyan]  a video in place of a camera
    [cyan]livematte live --profile meeting.toml[/cyan]  options from a file
    """
    terminal.configure(as_json=as_json, quiet=quiet)
    from livematte.video import trial

    trial.begin(source, background, placeholder)  # beside the imports
    from livematte.profile import sink_options_of, size_of

    width, height = size_of(resolution)
    own = sink_options_of(sink_option or [])
    _check(context, delay=delay, seconds=seconds, source=source, pixel_format=pixel_format)
    wanted = [name for each in to or ["virtualcam"] for name in each.split(",") if name]
    if camera is not None and source is not None and typed(context, "camera") != typed(context, "source"):
        camera, source = (camera, None) if typed(context, "camera") else (None, source)  # not the profile's
    from livematte.streaming.session import live as begin

    with (
        stop_event() as stop,
        previewing.screen_of(preview, preview_backgrounds, placeholder) as screen,
    ):
        session = begin(
            camera=camera,
            input=source,
            to=wanted,
            sink_options=own,
            background=background,
            fit=fit,
            placeholder=placeholder,
            width=width,
            height=height,
            rate=rate,
            pixel_format=pixel_format,
            mirror=mirror,
            delay=delay / 1000,
            lag_ok=lag_ok,
            on_demand=on_demand,
            govern=govern,
            model=model,
            weights=weights,
            size=size,
            device=device,
            runtime=runtime,
            precision=precision,
            threads=threads,
            temporal=temporal,
            keep_islands=keep_islands,
            refine=refine,
            refine_weights=refine_weights,
            refine_size=refine_size,
            refine_budget=refine_budget,
            foreground=foreground,
        )
        with session, _control(session, stop, name):
            watch(session, stop, stats=stats, seconds=seconds, screen=screen)
        last = session.stats()
    terminal.event_if_json("done", **vars(last))
    terminal.say(summary(last))


def _check(
    context: typer.Context,
    *,
    delay: float,
    seconds: float | None,
    source: str | None,
    pixel_format: str | None,
) -> None:
    """Refuse what only the command line can get wrong. Raises UsageError."""
    from livematte.streaming.session import LONGEST_DELAY

    longest = 1000 * LONGEST_DELAY
    if not 0 <= delay <= longest:
        raise UsageError(f"delay {delay:g} is not possible: give milliseconds, 0 to {longest:g}")
    if seconds is not None and not seconds > 0:
        raise UsageError(f"seconds {seconds:g} is not possible: give more than 0")
    if source is not None and typed(context, "source") and typed(context, "pixel_format"):
        raise UsageError(
            f"pixel-format {pixel_format!r}: a camera is asked for it, and --input plays a file or an address"
        )


def _control(session: Session, stop: threading.Event, name: str) -> AbstractContextManager[Control | None]:
    """What ``livematte ctl`` talks to; a session without it runs, too."""
    from livematte.streaming.control import Control

    try:
        return Control(session, stop.set, name=name)
    except SessionError as error:
        terminal.note(f"livematte ctl cannot reach this session: {error}")
        return nullcontext()


def watch(
    session: Session,
    stop: threading.Event,
    *,
    stats: bool,
    seconds: float | None,
    screen: previewing.Screen | None = None,
) -> None:
    """Tell and show what there is until the session ends or ``stop`` is set. Raises why it ended."""
    teller = Teller(session, stats=stats, seconds=seconds)
    try:
        if screen is not None:
            with teller.holding_back() if screen.covers_notes else nullcontext():
                if screen.show(session, lambda: stop.is_set() or teller.look()):
                    return
        while not stop.is_set() and not session.wait(LOOK):
            if teller.look():
                return
    finally:
        teller.wipe()
