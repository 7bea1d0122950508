"""``livematte devices``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.options.commands import JsonOption

if TYPE_CHECKING:
    from livematte.video.camera_modes import CameraInfo


@takes(JsonOption)
def devices() -> None:
    """List the cameras with their id (for --camera) and modes.

    The id of a camera does not depend on the order in which cameras are connected. --camera also accepts a
    name or a part of it.
    """
    from livematte.errors import InputError
    from livematte.video.camera_devices import find_camera, list_cameras

    cameras = list_cameras()
    try:
        default = find_camera("auto", cameras).id
    except InputError:
        default = None
    if terminal.is_json():
        rows = [
            {**terminal.jsonable(camera), "default": camera.id == default} for camera in cameras
        ]  # fmt: skip
        print(json.dumps(rows))
        return
    if not cameras:
        print("no camera found; to use a video instead: livematte live --input me.mp4")
        return
    _show(cameras, default)


def _show(cameras: list[CameraInfo], default: str | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for camera in cameras:
        mark = " *" if camera.id == default else ""
        kind = " (virtual)" if camera.virtual else ""
        console.print(terminal.cell(f"{camera.name}{kind}{mark}", "bold"))
        table = Table(show_header=False, box=None, padding=(0, 2))
        table.add_column(style="cyan")
        table.add_column(overflow="fold")
        table.add_row("id", terminal.cell(camera.id))
        if camera.address != camera.id:
            table.add_row("opened as", terminal.cell(camera.address))
        if camera.trouble:
            table.add_row("problem", terminal.cell(camera.trouble))
        for number, (format, lines) in enumerate(_by_format(camera).items()):
            table.add_row("modes" if number == 0 else "", terminal.cell(f"{format}: {', '.join(lines)}"))
        console.print(table)
    if default is not None:
        console.print("* default of --camera", style="dim")


def _by_format(camera: CameraInfo) -> dict[str, list[str]]:
    """Group the modes by pixel format: ``{"mjpeg": ["1280x720 30 fps", ...]}``."""
    found: dict[str, list[str]] = {}
    for mode in camera.modes:
        rate = f" {float(max(mode.rates)):.4g} fps" if mode.rates else ""
        found.setdefault(mode.pixel_format, []).append(f"{mode.width}x{mode.height}{rate}")
    return found
