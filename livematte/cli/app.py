"""Command group ``livematte`` and its commands."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any

import typer

from livematte.cli.plugin_commands import PluginGroup

COMMANDS = {
    "render": "Commands",
    "watch": "Commands",
    "live": "Commands",
    "panel": "Commands",
    "image": "Commands",
    "trimap": "Commands",
    "demo": "Commands",
    "train": "Commands",
    "ctl": "Commands",
    "farm": "Commands",
    "doctor": "Information",
    "devices": "Information",
    "models": "Information",
    "probe": "Information",
    "bench": "Information",
    "eval": "Information",
    "version": "Information",
}
"""Built-in commands and their panels in the help, in its order. Each is in the module of its name."""


class BuiltInCommands(MutableMapping[str, Any]):
    """Commands by name. A module is imported when its command is read, so that ``livematte ctl`` is quick."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._load(name, COMMANDS[name])
        return self._loaded[name]

    @staticmethod
    def _load(name: str, panel: str) -> Any:
        module = import_module(f"livematte.cli.{name}")
        part = getattr(module, "app", None)
        if part is None:  # a function, not a group of commands
            part = typer.Typer(rich_markup_mode="rich", add_completion=False)
            part.command(name, cls=getattr(module, "COMMAND_CLASS", None))(getattr(module, name))
        command: Any = typer.main.get_command(part)
        command.name, command.rich_help_panel = name, panel
        return command

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS or name in self._loaded

    def __iter__(self) -> Iterator[str]:
        return iter([*COMMANDS, *(name for name in self._loaded if name not in COMMANDS)])

    def __len__(self) -> int:
        return len(list(iter(self)))


class CommandGroup(PluginGroup):
    """The built-in commands and those of plug-ins."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = BuiltInCommands()


app = typer.Typer(
    name="livematte",
    cls=CommandGroup,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First test:  [cyan]livematte demo[/cyan]     "
    "Render a video:  [cyan]livematte render me.mp4 out.mp4 --background beach.jpg[/cyan]",
)


@app.callback(invoke_without_command=True)
def livematte(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", metavar="", help="Print the version.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            metavar="",
            help="With --version: also print the versions of FFmpeg and the runtimes, and the system.",
        ),
    ] = False,
) -> None:
    """Replace the background behind people in video, without a green screen."""
    if show:
        from livematte.cli.version import show_version

        show_version(verbose=verbose)
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)
