"""``livematte ctl``: change a live session while it runs."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from livematte.cli import options, terminal

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Change a live session while it runs.",
    epilog="As in:  [cyan]livematte ctl background beach.jpg[/cyan]     [cyan]livematte ctl pause[/cyan]",
)

_Session = Annotated[
    str | None,
    typer.Option(
        "--session", "-s", metavar="WHICH", help="Its [b]--name[/b] or process number, where several run."
    ),
]


def _ask(command: str, value: object, session: str | None, *, as_json: bool, quiet: bool) -> dict[str, Any]:
    terminal.configure(as_json=as_json, quiet=quiet)
    from livematte.streaming.sessions import ask

    facts = ask(command, value, session=session)
    terminal.event_if_json(command, **facts)
    return facts


@app.command()
def background(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A colour, a picture, a video (looped), [b]blur[/b], [b]blur:40[/b] or [b]transparent[/b].",
            autocompletion=options.complete_background,
        ),
    ],
    session: _Session = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Put something else behind people."""
    from livematte.profile import rooted_background

    whole = rooted_background(what, Path.cwd())  # the session may have been started in another folder
    facts = _ask("background", whole, session, as_json=as_json, quiet=quiet)
    terminal.say(f"background: {facts['background']}")


@app.command(context_settings={"ignore_unknown_options": True})  # -3 is a number, and wrong as such
def blur(
    strength: Annotated[float, typer.Argument(metavar="N", help="Pixels at 720 rows, up to 200.")],
    session: _Session = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show the room itself, out of focus."""
    value = int(strength) if strength.is_integer() else strength
    facts = _ask("blur", value, session, as_json=as_json, quiet=quiet)
    terminal.say(f"background: {facts['background']}")


@app.command()
def model(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="One of [b]livematte models[/b].",
            autocompletion=options.complete_names("models"),
        ),
    ],
    session: _Session = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Let another network work; the old one goes on until it is ready."""
    facts = _ask("model", name, session, as_json=as_json, quiet=quiet)
    terminal.say(f"model: {facts['model']}")


@app.command()
def pause(session: _Session = None, as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Show viewers the placeholder until [b]resume[/b]."""
    _ask("pause", None, session, as_json=as_json, quiet=quiet)
    terminal.say("paused: viewers see the placeholder")


@app.command()
def resume(session: _Session = None, as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Show people again."""
    _ask("resume", None, session, as_json=as_json, quiet=quiet)
    terminal.say("resumed")


@app.command()
def stats(session: _Session = None, as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Say how it does: rate, latency, drops, repeats, what viewers see."""
    facts = _ask("stats", None, session, as_json=as_json, quiet=quiet)
    from livematte.cli.telling import line_of
    from livematte.streaming.stats import LiveStats

    state = LiveStats(**{field.name: facts["stats"][field.name] for field in fields(LiveStats)})
    called = f"{facts['session']!r}, " if facts["session"] else ""
    terminal.say(f"session: {called}pid {facts['pid']}, for {terminal.duration(state.seconds)}")
    terminal.say(f"background: {facts['background']}")
    terminal.say(f"model: {facts['model']}")
    showing = "people" if state.showing == "picture" else f"the placeholder: {state.showing}"
    terminal.say(f"viewers see {showing}")
    terminal.say(line_of(state))
    for line in state.notes:
        terminal.note(line)


@app.command()
def stop(session: _Session = None, as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """End it, as Ctrl-C does."""
    facts = _ask("stop", None, session, as_json=as_json, quiet=quiet)
    terminal.say(f"session {facts['session'] or facts['pid']} ends")
