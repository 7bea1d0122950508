"""``livematte obs``: set OBS up for good, see how it stands, clean up."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from livematte.errors import UsageError

if TYPE_CHECKING:
    from livematte.plugins.obs.controller import ObsController

app = typer.Typer(
    name="obs",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    help="Put people into OBS Studio: set up, status, remove.",
    epilog="The password comes from OBS_PASSWORD or --obs-password-file, never from the command line.",
)

_Host = Annotated[str, typer.Option("--obs-host", metavar="NAME", help="Where OBS runs.")]
_Port = Annotated[int, typer.Option("--obs-port", metavar="N", help="Of OBS's WebSocket server.")]
_PasswordFile = Annotated[
    str | None,
    typer.Option("--obs-password-file", metavar="FILE", help="Its first line is the password."),
]
_Item = Annotated[str, typer.Option("--obs-item", metavar="NAME", help="Name of the source in OBS.")]
_Json = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]


@contextlib.contextmanager
def _controller(host: str, port: int, password_file: str | None, item: str) -> Iterator[ObsController]:
    from livematte.plugins.obs.client import ObsClient, port_number, read_password
    from livematte.plugins.obs.controller import ObsController

    port_number("obs-port", port)
    client = ObsClient(host=host, port=port, password=read_password(password_file))
    try:
        yield ObsController(client, item)
    finally:
        client.close()


@app.command()
def setup(
    scene: Annotated[
        str | None, typer.Option("--obs-scene", metavar="NAME", help="Default: the one on air.")
    ] = None,
    position: Annotated[
        str | None, typer.Option("--obs-position", metavar="X,Y", help="Upper left corner, pixels.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--obs-size", metavar="WxH", help="Box it is fitted into; default: all.")
    ] = None,
    route: Annotated[str, typer.Option("--obs-route", metavar="HOW", help="media or lua.")] = "media",
    stream_port: Annotated[
        int | None, typer.Option("--obs-stream-port", metavar="N", help="Of livematte's stream.")
    ] = None,
    item: _Item = "livematte",
    host: _Host = "127.0.0.1",
    port: _Port = 4455,
    password_file: _PasswordFile = None,
    as_json: _Json = False,
) -> None:
    """Add livematte's source to a scene for good: it stays when livematte ends, and shows it when it runs.

    Without this, [cyan]livematte live --to obs[/cyan] adds it when it starts and takes it away when it ends.
    """
    from livematte.plugins.obs.client import port_number
    from livematte.plugins.obs.controller import LUA_KIND, MEDIA_KIND, media_settings, parse_place
    from livematte.plugins.obs.overlay import HOST, PORT

    if route not in ("media", "lua"):
        raise UsageError(f"unknown route {route!r}: allowed are media, lua")
    place = parse_place(position, size)
    url = f"tcp://{HOST}:{port_number('obs-stream-port', PORT if stream_port is None else stream_port)}"
    kind = MEDIA_KIND if route == "media" else LUA_KIND
    settings = media_settings(url) if route == "media" else {}
    with _controller(host, port, password_file, item) as controller:
        done = controller.ensure(kind, settings, scene=scene, place=place, keep=True)
        found = controller.find()
        scenes = list(found.scenes) if found is not None else []
    if as_json:
        typer.echo(json.dumps({"name": item, "done": done, "scenes": scenes}))
    else:
        typer.echo(f"{item}: {done} in {', '.join(scenes)}. Now: livematte live --to obs")


@app.command()
def status(
    item: _Item = "livematte",
    host: _Host = "127.0.0.1",
    port: _Port = 4455,
    password_file: _PasswordFile = None,
    as_json: _Json = False,
) -> None:
    """Say which OBS answers, and what livematte has in it."""
    from livematte.plugins.obs.controller import KEPT, LUA_KIND

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
                "stays": found.mark == KEPT,
                "showing": showing,
            },
        }
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"OBS {version['obsVersion']}, websocket {version['obsWebSocketVersion']}, on air: {scene}")
    if found is None:
        typer.echo(f"{item}: not there; livematte live --to obs adds it")
        return
    stays = "stays" if found.mark == KEPT else "goes when livematte ends"
    route = "lua" if found.kind == LUA_KIND else "media"
    seen = "can be seen" if showing else "is hidden"
    typer.echo(f"{found.name}: in {', '.join(found.scenes) or 'no scene'}, route {route}, {stays}, {seen}")


@app.command()
def remove(
    item: _Item = "livematte",
    host: _Host = "127.0.0.1",
    port: _Port = 4455,
    password_file: _PasswordFile = None,
    as_json: _Json = False,
) -> None:
    """Take livematte's source out of OBS; nothing else is touched."""
    with _controller(host, port, password_file, item) as controller:
        done = controller.remove()
    told = "removed" if done else "was not there"
    typer.echo(json.dumps({"name": item, "done": told}) if as_json else f"{item}: {told}")


@app.command()
def script() -> None:
    """Say where livematte.lua is, for Tools > Scripts in OBS."""
    from pathlib import Path

    typer.echo(Path(__file__).with_name("livematte.lua"))
