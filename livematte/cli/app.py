"""Command group ``livematte`` and its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from livematte.cli import ctl, farm
from livematte.cli.bench import bench
from livematte.cli.demo import demo
from livematte.cli.devices import devices
from livematte.cli.doctor import doctor
from livematte.cli.eval import eval  # noqa: A004
from livematte.cli.image import image
from livematte.cli.live import live
from livematte.cli.models import models
from livematte.cli.plugin_commands import PluginGroup
from livematte.cli.preview_options import BarePreview
from livematte.cli.probe import probe
from livematte.cli.render import render
from livematte.cli.train import train
from livematte.cli.trimap import trimap
from livematte.cli.version import show_version, version
from livematte.cli.watch import watch

app = typer.Typer(
    name="livematte",
    cls=PluginGroup,
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
        show_version(verbose=verbose)
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


for command, panel in (
    (render, "Commands"),
    (watch, "Commands"),
    (live, "Commands"),
    (image, "Commands"),
    (trimap, "Commands"),
    (demo, "Commands"),
    (train, "Commands"),
    (doctor, "Information"),
    (devices, "Information"),
    (models, "Information"),
    (probe, "Information"),
    (bench, "Information"),
    (eval, "Information"),
    (version, "Information"),
):
    app.command(rich_help_panel=panel, cls=BarePreview if command is live else None)(command)

app.add_typer(ctl.app, name="ctl", rich_help_panel="Commands")
app.add_typer(farm.app, name="farm", rich_help_panel="Commands")
