"""Commands ``livematte ctl``: change a live session while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from livematte.cli import terminal
from livematte.cli.parameters import completion, takes
from livematte.options import CHANGES
from livematte.options.commands import ControlCommand
from livematte.options.declaration import Declared

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Change a live session while it runs.",
    epilog="Examples:  [cyan]livematte ctl background beach.jpg[/cyan]     [cyan]livematte ctl pause[/cyan]",
)


_NUMBERS = {"ignore_unknown_options": True}
"""So that -3 is parsed as a number."""


def _ask(command: str, value: object, session: str | None) -> dict[str, Any]:
    from livematte.streaming.session_registry import ask

    facts = ask(command, value, session=session)
    terminal.event_if_json(command, **facts)
    return facts


def _change(changed: Declared) -> Callable[..., None]:
    """Return the command that changes an option of a session, according to its declaration."""
    option, change = changed.option, changed.option.change
    assert change is not None

    def command(value: Any, session: str | None) -> None:
        if option.path:
            from livematte.profile import resolve_background_path

            value = resolve_background_path(value, Path.cwd())  # the session may run in another folder
        facts = _ask(changed.name, value, session)
        terminal.say(f"{changed.name}: {facts[changed.name]}")

    shown = typer.Argument(metavar=option.metavar, help=change.help, autocompletion=completion(changed))
    command.__annotations__["value"] = Annotated[changed.command_type, shown]
    command.__doc__ = change.summary
    return takes(ControlCommand)(command)


for _changed in CHANGES.values():
    app.command(_changed.name, context_settings=_NUMBERS)(_change(_changed))


@app.command(context_settings=_NUMBERS)
@takes(ControlCommand)
def blur(
    strength: Annotated[
        float,
        typer.Argument(metavar="N", help="Standard deviation in pixels for a height of 720, up to 200."),
    ],
    session: str | None,
) -> None:
    """Blur the room as the background."""
    value = int(strength) if strength.is_integer() else strength
    facts = _ask("blur", value, session)
    terminal.say(f"background: {facts['background']}")


@app.command()
@takes(ControlCommand)
def pause(session: str | None) -> None:
    """Show viewers the placeholder until [b]resume[/b]."""
    _ask("pause", None, session)
    terminal.say("paused: viewers see the placeholder")


@app.command()
@takes(ControlCommand)
def freeze(session: str | None) -> None:
    """Keep the picture that viewers see now until [b]resume[/b]."""
    _ask("freeze", None, session)
    terminal.say("frozen: viewers keep the present picture")


@app.command()
@takes(ControlCommand)
def resume(session: str | None) -> None:
    """Show the picture again after [b]pause[/b] or [b]freeze[/b]."""
    _ask("resume", None, session)
    terminal.say("resumed")


@app.command()
@takes(ControlCommand)
def stats(session: str | None) -> None:
    """Print frame rate, latency, dropped and repeated frames, and the present output."""
    facts = _ask("stats", None, session)
    from livematte.cli.live_reporter import format_line, format_viewers
    from livematte.streaming.stats import LiveStats

    state = LiveStats(**{field.name: facts["stats"][field.name] for field in fields(LiveStats)})
    name = f"{facts['session']!r}, " if facts["session"] else ""
    terminal.say(f"session: {name}pid {facts['pid']}, for {terminal.duration(state.seconds)}")
    terminal.say(f"background: {facts['background']}")
    terminal.say(f"model: {facts['model']}")
    terminal.say(format_viewers(state))
    terminal.say(format_line(state))
    for line in state.notes:
        terminal.note(line)


@app.command()
@takes(ControlCommand)
def stop(session: str | None) -> None:
    """End the session, as Ctrl-C does."""
    facts = _ask("stop", None, session)
    terminal.say(f"session {facts['session'] or facts['pid']} ends")


app.registered_commands.sort(key=lambda each: str(each.name or getattr(each.callback, "__name__", "")))
