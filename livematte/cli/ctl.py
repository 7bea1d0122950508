"""``livematte ctl``: change a live session while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from livematte.cli import terminal
from livematte.cli.parameters import completion, takes
from livematte.options import CHANGES
from livematte.options.commands import SteerCommand
from livematte.options.declaration import Declared

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Change a live session while it runs.",
    epilog="As in:  [cyan]livematte ctl background beach.jpg[/cyan]     [cyan]livematte ctl pause[/cyan]",
)


def _ask(command: str, value: object, session: str | None) -> dict[str, Any]:
    from livematte.streaming.session_registry import ask

    facts = ask(command, value, session=session)
    terminal.event_if_json(command, **facts)
    return facts


def _change(changed: Declared) -> Callable[..., None]:
    """The command that changes an option of the session, as its declaration says."""
    option, change = changed.option, changed.option.change
    assert change is not None

    def command(value: str, session: str | None) -> None:
        if option.path:
            from livematte.profile import rooted_background

            value = rooted_background(value, Path.cwd())  # the session may run in another folder
        facts = _ask(changed.name, value, session)
        terminal.say(f"{changed.name}: {facts[changed.name]}")

    shown = typer.Argument(metavar=option.metavar, help=change.help, autocompletion=completion(option))
    command.__annotations__["value"] = Annotated[str, shown]
    command.__doc__ = change.summary
    return takes(SteerCommand)(command)


for _changed in CHANGES.values():
    app.command(_changed.name)(_change(_changed))


@app.command(context_settings={"ignore_unknown_options": True})  # -3 is a number, and wrong as such
@takes(SteerCommand)
def blur(
    strength: Annotated[float, typer.Argument(metavar="N", help="Pixels at 720 rows, up to 200.")],
    session: str | None,
) -> None:
    """Show the room itself, out of focus."""
    value = int(strength) if strength.is_integer() else strength
    facts = _ask("blur", value, session)
    terminal.say(f"background: {facts['background']}")


@app.command()
@takes(SteerCommand)
def pause(session: str | None) -> None:
    """Show viewers the placeholder until [b]resume[/b]."""
    _ask("pause", None, session)
    terminal.say("paused: viewers see the placeholder")


@app.command()
@takes(SteerCommand)
def resume(session: str | None) -> None:
    """Show people again."""
    _ask("resume", None, session)
    terminal.say("resumed")


@app.command()
@takes(SteerCommand)
def stats(session: str | None) -> None:
    """Say how it does: rate, latency, drops, repeats, what viewers see."""
    facts = _ask("stats", None, session)
    from livematte.cli.live_reporter import format_line
    from livematte.streaming.stats import LiveStats

    state = LiveStats(**{field.name: facts["stats"][field.name] for field in fields(LiveStats)})
    called = f"{facts['session']!r}, " if facts["session"] else ""
    terminal.say(f"session: {called}pid {facts['pid']}, for {terminal.duration(state.seconds)}")
    terminal.say(f"background: {facts['background']}")
    terminal.say(f"model: {facts['model']}")
    showing = "people" if state.showing == "picture" else f"the placeholder: {state.showing}"
    terminal.say(f"viewers see {showing}")
    terminal.say(format_line(state))
    for line in state.notes:
        terminal.note(line)


@app.command()
@takes(SteerCommand)
def stop(session: str | None) -> None:
    """End it, as Ctrl-C does."""
    facts = _ask("stop", None, session)
    terminal.say(f"session {facts['session'] or facts['pid']} ends")


app.registered_commands.sort(key=lambda each: str(each.name or getattr(each.callback, "__name__", "")))
