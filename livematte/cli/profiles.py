"""Option ``--profile FILE``: read options from a file; see :mod:`livematte.profile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _read(context: typer.Context, path: Path | None) -> Path | None:
    """Use the options of the profile as defaults of the command, so that typed options override them."""
    command = context.command
    if path is None or context.resilient_parsing or command.name is None:
        return path
    from livematte.profile import read_profile

    context.default_map = read_profile(path, command.name)
    return path


Profile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help="Read options from a TOML file, by the same names. Options on the command line override it.",
        is_eager=True,
        callback=_read,
    ),
]


def typed(context: typer.Context, parameter: str) -> bool:
    """Return True if an option was given on the command line."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"
