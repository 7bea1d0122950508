"""Commands of plug-ins: entry points in the group ``livematte.commands``, each a Typer app.

``livematte --help`` imports these apps. They must import large libraries only inside their functions.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from livematte import registry
from livematte.cli import terminal
from livematte.errors import LivematteError, ModelError

PANEL = "Plug-ins"


class PluginGroup(TyperGroup):
    """A command group that also looks up the commands of plug-ins."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the built-in commands, then of those of plug-ins."""
        own = super().list_commands(ctx)
        theirs = registry.names("commands")
        for name in theirs:
            if name in own and not ctx.resilient_parsing:
                registry.warn_once(f"command {_described(name)} is not used: livematte has one of that name")
        return [*own, *(name for name in theirs if name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command, or None if it does not exist or cannot be loaded, which is noted."""
        found = super().get_command(ctx, cmd_name)
        if found is not None or cmd_name not in registry.names("commands"):
            return found
        try:
            return load_command(cmd_name)
        except LivematteError as error:
            if not ctx.resilient_parsing:  # the shell asks for suggestions
                registry.warn_once(f"{error}; uninstall or update that package")
            return None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that ``args`` starts with.

        Raises:
            LivematteError: the command is installed but cannot be loaded.
        """
        if args and super().get_command(ctx, args[0]) is None and args[0] in registry.names("commands"):
            # Before the plug-in is loaded, so that errors are JSON.
            terminal.configure(as_json="--json" in args, quiet=False)
            load_command(args[0])
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """Return the command of a plug-in.

    Raises:
        ModelError: it cannot be loaded, or is no Typer app.
    """
    loaded = registry.load("commands", name)
    try:
        command: Any = typer.main.get_command(loaded)
    except Exception as error:
        raise ModelError(
            f"{_described(name)} is installed but is not a Typer app with commands: {registry.reason(error)}"
        ) from error
    command.name = name
    command.rich_help_panel = PANEL
    return command


def _described(name: str) -> str:
    return registry.describe(registry.entry("commands", name))
