"""Commands of plug-ins: entry points in the group ``livematte.commands``, each a Typer app.

``livematte --help`` imports these apps. They must import large libraries only inside their functions.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from livematte import registry
from livematte.cli import terminal
from livematte.errors import LivematteError

PANEL = "Plug-ins"


class PluginGroup(TyperGroup):
    """A command group that also looks up the commands of plug-ins."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the built-in commands, then of those of plug-ins."""
        own = super().list_commands(ctx)
        return [*own, *(name for name in registry.names("commands") if name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command, or None if it does not exist or cannot be loaded."""
        found = super().get_command(ctx, cmd_name)
        if found is not None or cmd_name not in registry.names("commands"):
            return found
        try:
            command: Any = typer.main.get_command(registry.load("commands", cmd_name))
        except LivematteError:
            return None
        command.name = cmd_name
        command.rich_help_panel = PANEL
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that ``args`` starts with.

        Raises:
            LivematteError: the command is installed but cannot be loaded.
        """
        if args and args[0] in registry.names("commands"):
            # Before the plug-in is loaded, so that errors are JSON.
            terminal.configure(as_json="--json" in args, quiet=False)
            if self.get_command(ctx, args[0]) is None:
                registry.load("commands", args[0])
        return super().resolve_command(ctx, args)
