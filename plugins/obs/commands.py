"""``livematte obs``: add livematte's source to OBS permanently, show its status, remove it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from livematte.errors import UsageError
from livematte.printable import printable

if TYPE_CHECKING:
    from livematte.plugins.obs.controller import ObsController

app = typer.Typer(
    name="obs",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    help="Manage livematte's source in OBS Studio.",
    epilog="Give the password in the variable OBS_PASSWORD or with --obs-password-file.",
)

_Host = Annotated[str, typer.Option("--obs-host", metavar="NAME", help="Computer that runs OBS.")]
_Port = Annotated[int, typer.Option("--obs-port", metavar="N", help="Port of the WebSocket server of OBS.")]
_PasswordFile = Annotated[
    str | None,
    typer.Option("--obs-password-file", metavar="FILE", help="File with the password in its first line."),
]
_Item = Annotated[str, typer.Option("--obs-item", metavar="NAME", help="Name of the source in OBS.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@contextlib.contextmanager
def _controller(host: str, port: int, password_file: str | None, item: str) -> Iterator[ObsController]:
    from livematte.plugins.obs.client import ObsClient, parse_port, read_password
    from livematte.plugins.obs.controller import ObsController

    parse_port("obs-port", port)
    client = ObsClient(host=host, port=port, password=read_password(password_file))
    try:
        yield ObsController(client, item)
    finally:
        client.close()


@app.command()
def setup(
    scene: Annotated[
        str | None,
        typer.Option("--obs-scene", metavar="NAME", help="Scene; default: the scene on air."),
    ] = None,
    position: Annotated[
        str | None, typer.Option("--obs-position", metavar="X,Y", help="Upper left corner, in pixels.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--obs-size", metavar="WxH", help="Bounding box; default: the canvas.")
    ] = None,
    route: Annotated[
        str, typer.Option("--obs-route", metavar="NAME", help="Kind of the source: media or lua.")
    ] = "media",
    stream_port: Annotated[
        int | None, typer.Option("--obs-stream-port", metavar="N", help="Port of livematte's stream.")
    ] = None,
    item: _Item = "livematte",
    host: _Host = "127.0.0.1",
    port: _Port = 4455,
    password_file: _PasswordFile = None,
    as_json: _Json = False,
) -> None:
    """Add livematte's source to a scene permanently.

    Without this, [cyan]livematte live --to obs[/cyan] adds the source at its start and removes it at its end.
    """
    from livematte.plugins.obs.client import parse_port
    from livematte.plugins.obs.controller import LUA_KIND, MEDIA_KIND, media_settings
    from livematte.plugins.obs.placement import parse_placement
    from livematte.plugins.obs.stream_secret import load_secret
    from livematte.plugins.obs.stream_server import PORT, stream_address

    if route not in ("media", "lua"):
        raise UsageError(f"unknown route {route!r}: use media or lua")
    placement = parse_placement(position, size)
    wanted = parse_port("obs-stream-port", PORT if stream_port is None else stream_port)
    kind = MEDIA_KIND if route == "media" else LUA_KIND
    settings = media_settings(stream_address(wanted, load_secret())) if route == "media" else {}
    with _controller(host, port, password_file, item) as controller:
        done = controller.ensure(kind, settings, scene=scene, placement=placement, permanent=True)
        found = controller.find()
        scenes = list(found.scenes) if found is not None else []
    if as_json:
        typer.echo(json.dumps({"name": item, "done": done, "scenes": scenes}))
    else:
        typer.echo(f"{item}: {done} in {printable(', '.join(scenes))}. Next command: livematte live --to obs")


@app.command()
def status(
    item: _Item = "livematte",
    host: _Host = "127.0.0.1",
    port: _Port = 4455,
    password_file: _PasswordFile = None,
    as_json: _Json = False,
) -> None:
    """Show the version of OBS, its scene on air and livematte's source in it."""
    from livematte.plugins.obs.controller import LUA_KIND, PERMANENT

    with _controller(host, port, password_file, item) as controller:
        version, scene, found = controller.version(), controller.current_scene(), controller.find()
        showing = controller.showing() if found is not None else False
    if as_json:
        facts = {
            "obs": version["obsVersion"],
            "websocket": version["obsWebSocketVersion"],
            "scene": scene,
            "item": found
            and {
                "name": found.name,
                "kind": found.kind,
                "scenes": found.scenes,
                "stays": found.mark == PERMANENT,
                "showing": showing,
            },
        }
        typer.echo(json.dumps(facts))
        return
    typer.echo(
        f"OBS {version['obsVersion']}, websocket {version['obsWebSocketVersion']}, "
        f"scene on air: {printable(scene)}"
    )
    if found is None:
        typer.echo(f"{item}: not found; livematte live --to obs adds it")
        return
    lifetime = "permanent" if found.mark == PERMANENT else "removed when livematte ends"
    route = "lua" if found.kind == LUA_KIND else "media"
    visibility = "visible" if showing else "hidden"
    typer.echo(
        f"{found.name}: in {', '.join(found.scenes) or 'no scene'}, route {route}, {lifetime}, {visibility}"
    )


@app.command()
def remove(
    item: _Item = "livematte",
    host: _Host = "127.0.0.1",
    port: _Port = 4455,
    password_file: _PasswordFile = None,
    as_json: _Json = False,
) -> None:
    """Remove livematte's source from OBS. Other sources are not changed."""
    with _controller(host, port, password_file, item) as controller:
        done = controller.remove()
    result = "removed" if done else "not found"
    typer.echo(json.dumps({"name": item, "done": result}) if as_json else f"{item}: {result}")


@app.command()
def script() -> None:
    """Print the path of livematte.lua, to be added in Tools > Scripts of OBS."""
    from pathlib import Path

    typer.echo(Path(__file__).with_name("livematte.lua"))
