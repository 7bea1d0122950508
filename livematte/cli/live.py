"""Command ``livematte live``."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import typer
from typing_extensions import Unpack

from livematte.cli import preview_options, terminal
from livematte.cli.interrupt import stop_event
from livematte.cli.live_reporter import LOOK, LiveReporter, summary
from livematte.cli.parameters import takes
from livematte.cli.pipes import written_pipe
from livematte.cli.profiles import Profile, typed
from livematte.errors import SessionError, UsageError
from livematte.options import LiveOptions
from livematte.options.commands import LiveCommand, ShowOptions
from livematte.options.declaration import input_files, pick
from livematte.streaming.null_sink import NULL_SINK

if TYPE_CHECKING:
    from livematte.streaming.control import Control
    from livematte.streaming.session import Session

COMMAND_CLASS = preview_options.BarePreview


@takes(LiveCommand)
def live(context: typer.Context, profile: Profile = None, **options: Unpack[LiveCommand]) -> None:
    """Replace the background of a camera picture in real time.

    Until the first valid matte, and after any detected fault, viewers see the placeholder, not the room.
    Ctrl-C ends the session; [b]livematte ctl[/b] changes options while it runs.

    [bold]Examples[/bold]

    [cyan]livematte live -b beach.jpg[/cyan]  a virtual webcam for video calls
    [cyan]livematte live -b blur --camera "HD Webcam" --on-demand[/cyan]  release the unused camera
    [cyan]livematte live --to none --preview -b beach.jpg[/cyan]  only a preview
    [cyan]livematte live --input me.mp4 -b beach.jpg[/cyan]  a video instead of a camera
    [cyan]livematte live --profile meeting.toml[/cyan]  options from a file
    """
    from livematte.video import trial_decode
    from livematte.video.pixel_limit import limit_pixels

    with limit_pixels(options):
        trial_decode.begin(*input_files(LiveOptions, options).values())  # in parallel with the imports
    from livematte.streaming.launch import live as begin

    own, wanted = pick(ShowOptions, options), pick(LiveOptions, options)
    _one_source(context, wanted)
    with (
        stop_event() as stop,
        preview_options.open_preview(
            own["preview"], own["preview_backgrounds"], wanted["placeholder"]
        ) as screen,
    ):
        with written_pipe(wanted["input"], stop):
            session = begin(**wanted)
        if (began := terminal.command_began()) is not None:
            session.count_from(began)
        with session, _control(session, stop, own["name"]):
            watch(session, stop, stats=own["stats"], seconds=own["seconds"], screen=screen)
        last = session.stats()
    terminal.event_if_json("done", **vars(last))
    terminal.say(summary(last))


def _one_source(context: typer.Context, options: LiveOptions) -> None:
    """Remove camera or input of the profile if the other one is typed. Raises UsageError."""
    camera, source = typed(context, "camera"), typed(context, "input")
    if options["camera"] is not None and options["input"] is not None and camera != source:
        options["input" if camera else "camera"] = None
    if options["input"] is not None and source and typed(context, "pixel_format"):
        raise UsageError(
            f"pixel-format {options['pixel_format']!r} is only for cameras: remove it, or remove --input"
        )


def _control(session: Session, stop: threading.Event, name: str) -> AbstractContextManager[Control | None]:
    """Start the control server for ``livematte ctl``. If it cannot start, print a note and continue."""
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
    screen: preview_options.Screen | None = None,
) -> None:
    """Print reports and show the preview until the session ends or ``stop`` is set.

    Raises:
        LivematteError: the session ended because of this error.
    """
    reporter = LiveReporter(session, stats=stats, seconds=seconds)
    if screen is None and not stats and all(sink.name == NULL_SINK for sink in session.sinks):
        terminal.note(
            "live, but nobody sees it: the output is none; add --preview to see the picture, or --stats for "
            "numbers; Ctrl-C ends"
        )
    try:
        if screen is not None:
            with reporter.holding_back() if screen.covers_notes else nullcontext():
                if screen.show(session, lambda: stop.is_set() or reporter.look()):
                    return
        while not stop.is_set() and not session.wait(LOOK):
            if reporter.look():
                return
    finally:
        reporter.wipe()
