"""``livematte devices``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from livematte.cli import options, terminal

if TYPE_CHECKING:
    from livematte.video.modes import CameraInfo


def devices(as_json: options.Json = False) -> None:
    """List the cameras, with the id that --camera takes and what each offers.

    An id stays the same when cameras are plugged in another order; names and parts of names work, too.
    """
    terminal.configure(as_json=as_json, quiet=False)
    from livematte.errors import InputError
    from livematte.video.devices import find_camera, list_cameras

    cameras = list_cameras()
    try:
        default = find_camera("auto", cameras).id
    except InputError:
        default = None
    if as_json:
        told = [
            {**terminal.jsonable(camera), "default": camera.id == default} for camera in cameras
        ]  # fmt: skip
        print(json.dumps(told))
        return
    if not cameras:
        print("no camera was found; a video can stand in for one: livematte live --input me.mp4")
        return
    _show(cameras, default)


def _show(cameras: list[CameraInfo], default: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for camera in cameras:
        mark = " *" if camera.id == default else ""
        kind = " (virtual)" if camera.virtual else ""
        console.print(f"{camera.name}{kind}{mark}", style="bold", markup=False, highlight=False)
        table = Table(show_header=False, box=None, padding=(0, 2))
        table.add_column(style="cyan")
        table.add_column(overflow="fold")
        table.add_row("id", camera.id)
        if camera.address != camera.id:
            table.add_row("opened as", camera.address)
        if camera.trouble:
            table.add_row("trouble", camera.trouble)
        for number, (format, lines) in enumerate(_by_format(camera).items()):
            table.add_row("modes" if number == 0 else "", f"{format}: {', '.join(lines)}")
        console.print(table)
    if default is not None:
        console.print("* used unless --camera says otherwise", style="dim")


def _by_format(camera: CameraInfo) -> dict[str, list[str]]:
    """``{"mjpeg": ["1280x720 30 fps", ...]}``."""
    found: dict[str, list[str]] = {}
    for mode in camera.modes:
        rate = f" {float(max(mode.rates)):.4g} fps" if mode.rates else ""
        found.setdefault(mode.pixel_format, []).append(f"{mode.width}x{mode.height}{rate}")
    return found
