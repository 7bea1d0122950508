"""``livematte live``."""

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
from livematte.cli.profiles import Profile, typed
from livematte.errors import SessionError, UsageError
from livematte.options import LiveOptions
from livematte.options.commands import LiveCommand, ShowOptions
from livematte.options.declaration import input_files, pick

if TYPE_CHECKING:
    from livematte.streaming.control import Control
    from livematte.streaming.session import Session


@takes(LiveCommand)
def live(context: typer.Context, profile: Profile = None, **options: Unpack[LiveCommand]) -> None:
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
    from livematte.video import trial_decode

    trial_decode.begin(*input_files(LiveOptions, options).values())  # in parallel with the imports
    from livematte.streaming.session import live as begin

    own, wanted = pick(ShowOptions, options), pick(LiveOptions, options)
    _one_source(context, wanted)
    with (
        stop_event() as stop,
        preview_options.open_preview(
            own["preview"], own["preview_backgrounds"], wanted["placeholder"]
        ) as screen,
    ):
        session = begin(**wanted)
        with session, _control(session, stop, own["name"]):
            watch(session, stop, stats=own["stats"], seconds=own["seconds"], screen=screen)
        last = session.stats()
    terminal.event_if_json("done", **vars(last))
    terminal.say(summary(last))


def _one_source(context: typer.Context, options: LiveOptions) -> None:
    """Drop the profile's camera or input where the other one is typed. Raises UsageError."""
    camera, source = typed(context, "camera"), typed(context, "input")
    if options["camera"] is not None and options["input"] is not None and camera != source:
        options["input" if camera else "camera"] = None
    if options["input"] is not None and source and typed(context, "pixel_format"):
        raise UsageError(
            f"pixel-format {options['pixel_format']!r}: a camera is asked for it, and --input plays a file "
            "or an address"
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
    screen: preview_options.Screen | None = None,
) -> None:
    """Tell and show what there is until the session ends or ``stop`` is set. Raises why it ended."""
    teller = LiveReporter(session, stats=stats, seconds=seconds)
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
