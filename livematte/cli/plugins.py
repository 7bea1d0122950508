"""Commands that plug-ins bring: entry points in the group ``livematte.commands``, name → a Typer app.

Such an app imports what is heavy inside its functions, as the commands here do: ``--help`` asks it for its
summary.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from livematte import registry
from livematte.cli import terminal
from livematte.errors import LivematteError

PANEL = "Other programs"


class WithPlugins(TyperGroup):
    """A group that looks its further commands up when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The built-in ones, then the plug-ins'."""
        own = super().list_commands(ctx)
        return [*own, *(name for name in registry.names("commands") if name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; None where there is none, or none that can be loaded."""
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
        """The command that ``args`` begins with.

        Raises:
            LivematteError: it is installed but cannot be loaded.
        """
        if args and args[0] in registry.names("commands"):
            terminal.configure(as_json="--json" in args, quiet=False)  # a plug-in cannot say it of errors
            if self.get_command(ctx, args[0]) is None:
                registry.load("commands", args[0])
        return super().resolve_command(ctx, args)
