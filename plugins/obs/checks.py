"""What ``livematte doctor`` says of OBS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livematte.errors import LivematteError, MissingExtraError
from livematte.findings import Finding

if TYPE_CHECKING:
    from livematte.plugins.obs.client import ObsClient

GROUP = "OBS"


def obs() -> list[Finding]:
    """Whether OBS answers on this machine, its version and WebSocket server, the password, our item.

    OBS that is not running is no fault: nobody has to use it.
    """
    try:
        from livematte.plugins.obs.client import (
            ObsAbsentError,
            ObsClient,
            WrongPasswordError,
            read_password,
        )
    except MissingExtraError:
        return [
            _finding("package", None, "obs-websocket-py is not installed", "pip install 'livematte[obs]'")
        ]
    try:
        client = ObsClient(password=read_password(), timeout=1.5)
    except ObsAbsentError as error:
        where, _, mend = str(error).partition(": ")
        return [_finding("reachable", None, where, mend)]
    except WrongPasswordError as error:
        what, _, mend = str(error).partition("): ")
        return [_finding("reachable", True, "OBS answers"), _finding("password", False, f"{what})", mend)]
    except LivematteError as error:
        return [_finding("websocket", False, str(error), "look at Tools > WebSocket Server Settings in OBS")]
    try:
        return [_finding("reachable", True, "OBS answers"), *_inside(client)]
    except (LivematteError, KeyError) as error:
        return [_finding("reachable", False, f"OBS answers, but not as it should: {error}", "restart OBS")]
    finally:
        client.close()


def _finding(name: str, good: bool | None, what: str, mend: str = "") -> Finding:
    return Finding(name, good, what, mend, GROUP)


def _inside(client: ObsClient) -> list[Finding]:
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
            "there" if media else f"this OBS has no {MEDIA_KIND}",
            "" if media else "install OBS's own plug-ins (Debian: apt-get install obs-plugins)",
        ),
        _finding(
            "lua source", None, "loaded" if LUA_KIND in kinds else "not loaded; only the route lua needs it"
        ),
        _finding(
            "item",
            None,
            "not there" if item is None else f"{item.name} in {', '.join(item.scenes) or 'no scene'}",
        ),
    ]
