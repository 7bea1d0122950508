"""Checks of OBS for ``livematte doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livematte.errors import LivematteError, MissingExtraError
from livematte.protocols import Finding

if TYPE_CHECKING:
    from livematte.plugins.obs.client import ObsClient

GROUP = "OBS"


def obs() -> list[Finding]:
    """Check OBS on this machine: reachable, version, WebSocket server, password, sources, livematte's source.

    OBS that is not running is not reported as an error, because using OBS is optional.
    """
    try:
        from livematte.plugins.obs.client import (
            ObsClient,
            ObsUnreachableError,
            WrongPasswordError,
            read_password,
        )
    except MissingExtraError:
        return [_finding("package", None, "obs-websocket-py is not installed", "pip install '.[obs]'")]
    try:
        client = ObsClient(password=read_password(), timeout=1.5)
    except ObsUnreachableError as error:
        problem, _, fix = str(error).partition(": ")
        return [_finding("reachable", None, problem, fix)]
    except WrongPasswordError as error:
        problem, _, fix = str(error).partition("): ")
        return [_finding("reachable", True, "OBS answers"), _finding("password", False, f"{problem})", fix)]
    except LivematteError as error:
        return [_finding("websocket", False, str(error), "check Tools > WebSocket Server Settings in OBS")]
    try:
        return [_finding("reachable", True, "OBS answers"), *_connected_findings(client)]
    except (LivematteError, KeyError) as error:
        return [_finding("reachable", False, f"OBS sent an unexpected answer: {error}", "restart OBS")]
    finally:
        client.close()


def _finding(name: str, good: bool | None, what: str, fix: str = "") -> Finding:
    return Finding(name, good, what, fix, GROUP)


def _connected_findings(client: ObsClient) -> list[Finding]:
    from livematte.plugins.obs.controller import LUA_KIND, MEDIA_KIND, ObsController

    controller = ObsController(client)
    version = controller.version()
    kinds = client.call("GetInputKindList")["inputKinds"]
    item = controller.find()
    media = MEDIA_KIND in kinds
    return [
        _finding("version", True, f"OBS {version['obsVersion']}"),
        _finding("websocket", True, f"obs-websocket {version['obsWebSocketVersion']}"),
        _finding("password", True, "accepted"),
        _finding(
            "media source",
            media,
            "available" if media else f"this OBS has no source of kind {MEDIA_KIND}",
            "" if media else "install the plug-ins of OBS (Debian: apt-get install obs-plugins)",
        ),
        _finding(
            "lua source", None, "loaded" if LUA_KIND in kinds else "not loaded; needed only for the route lua"
        ),
        _finding(
            "item",
            None,
            "not found" if item is None else f"{item.name} in {', '.join(item.scenes) or 'no scene'}",
        ),
    ]
