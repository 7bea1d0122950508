"""Typer parameters and shell completion, generated from the declarations in :mod:`livematte.options`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from livematte import registry
from livematte.cli import terminal
from livematte.options.declaration import REQUIRED, Declared, declared, keywords

COLOURS = ("green", "white", "black", "gray", "blue", "red")
"""Colours that the shell suggests; any CSS colour is allowed."""


def complete_names(*groups: str) -> Callable[[str], list[str]]:
    """Return a completion function for the names registered in ``livematte.<group>``."""
    return lambda incomplete: [
        name for group in groups for name in registry.names(group) if name.startswith(incomplete)
    ]


def complete_background(incomplete: str) -> list[tuple[str, str]]:
    """Return completions for a background, each with a description."""
    words = [("transparent", "alpha channel"), ("blur", "blurred room"), ("blur:40", "stronger blur")]
    words += [(colour, "a colour") for colour in COLOURS]
    folder = Path(incomplete).parent if Path(incomplete).name != incomplete else Path()
    with suppress(OSError):
        words += [(str(path), "a file") for path in sorted(folder.iterdir())[:200]]
    return [(word, what) for word, what in words if word.startswith(incomplete)]


def completion(each: Declared) -> Callable[[str], Any] | None:
    """Return the completion function for the value of an option; None uses the default of the shell."""
    option = each.option
    words = [*each.choices, *option.examples]
    if option.path == "background":
        return complete_background
    if not (words or option.names):
        return None
    registered = complete_names(*option.names)
    return lambda incomplete: [
        *(word for word in words if word.startswith(incomplete)),
        *registered(incomplete),
    ]


def parameter(each: Declared) -> Parameter:
    """Return an option as a Typer parameter."""
    option, kind = each.option, each.command_type
    long_flags = option.flags if option.flags and option.flags[0].startswith("--") else None
    switch = kind in (bool, bool | None)
    no = f"/--no-{each.flag.removeprefix('--')}" if switch else ""
    info = typer.Option(
        *(long_flags or (f"{each.flag}{no}", *option.flags)),
        metavar="" if option.metavar is None and switch else option.metavar,
        help=option.help,
        min=option.least,
        autocompletion=completion(each),
        rich_help_panel=option.panel,
    )
    default = each.command_default
    return Parameter(
        each.command_name,
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if default is REQUIRED else default,
        annotation=Annotated[kind, info],
    )


def takes(group: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: add the options of ``group`` to the parameters of a command.

    The command receives them as checked Python keywords. ``json`` and ``quiet`` configure :mod:`terminal` and
    are not passed on.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        shared = {each.name: parameter(each) for each in declared(group) if each.option.command}
        every = signature(command, eval_str=True).parameters.values()
        own = [each for each in every if each.kind is not Parameter.VAR_KEYWORD and each.name not in shared]

        @wraps(command)
        def run(**given: Any) -> Any:
            terminal.configure(as_json=given.pop("json", False), quiet=given.pop("quiet", False))
            own_values = {each.name: given.pop(each.name) for each in own}
            return command(**own_values, **keywords(group, given))

        both = [*own, *shared.values()]
        result: Any = run
        result.__signature__ = Signature([each.replace(kind=Parameter.KEYWORD_ONLY) for each in both])
        result.__annotations__ = {each.name: each.annotation for each in both}
        del result.__wrapped__
        return run

    return decorate
