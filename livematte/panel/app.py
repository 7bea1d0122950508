"""The addresses of the panel: its page, its state, and everything that the page and hardware keys do."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from livematte import registry
from livematte.errors import LivematteError, UsageError
from livematte.options import CHANGES
from livematte.panel.child import run_json
from livematte.panel.folders import (
    PICTURES,
    VIDEOS,
    Folders,
    encode_jpeg,
    first_picture,
    resolve_panel_background,
    thumbnail,
)
from livematte.panel.guard import Guard
from livematte.panel.hub import SessionHub
from livematte.panel.render_queue import ENDINGS, RenderQueue, describe_options
from livematte.panel.socket import PageSocket

STATIC = Path(__file__).parent / "static"
_BODY_BYTES = 1 << 16
_PREVIEW_WIDTH = 960
_SWITCHES = ("pause", "resume", "freeze", "stop")
"""Commands of a session without a value."""
_PLUGIN_COMMANDS = ("status", "setup")
"""Commands of plug-ins that the page may run."""


@dataclass(frozen=True)
class PanelFolders:
    """Folders that the user opened to the panel when it was started."""

    profiles: Path
    backgrounds: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()


class PanelApp:
    """All that the panel answers.

    Args:
        folders: the only folders whose files are read and written.

    Raises:
        InputError: one of the folders does not exist.
    """

    def __init__(self, folders: PanelFolders) -> None:
        self.backgrounds = Folders(folders.backgrounds, (*PICTURES, *VIDEOS))
        self.files = Folders(folders.files, VIDEOS)
        self.hub = SessionHub(folders.profiles)
        self.queue = RenderQueue(self.files, self.backgrounds, self.hub.tell)
        self._previews: dict[str, bytes] = {}
        self._previewing = asyncio.Lock()

    def routes(self) -> list[Any]:
        """Return the routes."""
        post, page = ["POST"], STATIC / "index.html"
        return [
            Route("/", lambda _: FileResponse(page)),
            Route("/api/state", self._state),
            Route("/api/choices", self._choices),
            Route("/api/doctor", self._command("doctor")),
            Route("/api/devices", self._command("devices")),
            Route("/api/plugins/{name}/{command}", self._plugin, methods=["GET", "POST"]),
            Route("/api/profiles/{name}/start", self._start, methods=post),
            Route("/api/sessions/{name}/save", self._save, methods=post),
            Route("/api/sessions/{name}/{command}", self._change, methods=post),
            Route("/api/render", self._render, methods=post),
            Route("/api/render/preview", self._preview, methods=post),
            Route("/api/render/preview/{kind}", self._preview_picture),
            Route("/api/render/{number:int}/cancel", self._cancel, methods=post),
            Route("/thumbnails/{kind}/{name:path}", self._thumbnail),
            Route("/files/{name:path}", self._file),
            WebSocketRoute("/socket", self._socket),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Run the hub and the queue while the server runs."""
        work = [asyncio.ensure_future(each) for each in (self.hub.run(), self.queue.run())]
        try:
            yield
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self.hub.close()

    async def _state(self, _: Request) -> Response:
        return JSONResponse({**self.hub.state(), "jobs": self.queue.state()})

    async def _choices(self, _: Request) -> Response:
        """Return everything that the page lets choose."""
        models, refiners, sinks = (registry.names(group) for group in ("models", "refiners", "sinks"))
        return JSONResponse({
            "backgrounds": await asyncio.to_thread(self.backgrounds.names),
            "files": await asyncio.to_thread(self.files.names),
            "models": models,
            "refine": ["guided", "none", *refiners],
            "to": [*sinks, "none"],
            "plugins": [name for name in registry.names("commands") if name in sinks],
            "options": describe_options(),
            "endings": ENDINGS,
        })  # fmt: skip

    def _command(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def run(_: Request) -> Response:
            return JSONResponse(await run_json(name, "--json"))

        return run

    async def _plugin(self, request: Request) -> Response:
        name, command = request.path_params["name"], request.path_params["command"]
        if name not in registry.names("commands") or command not in _PLUGIN_COMMANDS:
            raise UsageError(f"there is no command {name} {command} of a plug-in")
        if (request.method == "POST") != (command == "setup"):
            return JSONResponse({"error": f"{command} needs another method"}, 405)
        return JSONResponse(await run_json(name, command, "--json"))

    async def _start(self, request: Request) -> Response:
        await asyncio.to_thread(self.hub.profile_names)
        self.hub.start(request.path_params["name"])
        return JSONResponse({"starting": request.path_params["name"]})

    async def _save(self, request: Request) -> Response:
        value = await read_body(request)
        if not isinstance(value, str):
            raise UsageError("the name of the profile is missing")
        await self.hub.save_profile(request.path_params["name"], value)
        return JSONResponse({"saved": value})

    async def _change(self, request: Request) -> Response:
        name, command = request.path_params["name"], request.path_params["command"]
        value = await read_body(request)
        if command == "toggle":
            command = "resume" if self.hub.find(name).state.get("paused") else "pause"
        elif command == "background":
            value = await asyncio.to_thread(resolve_panel_background, value, self.backgrounds)
        elif command == "camera":
            await self._check_camera(value)
        elif command not in (*CHANGES, *_SWITCHES):
            known = ", ".join((*CHANGES, *_SWITCHES, "toggle", "save"))
            raise UsageError(f"unknown command {command!r}: known are {known}")
        return JSONResponse(await self.hub.ask(name, command, value))

    async def _check_camera(self, value: object) -> None:
        """Refuse what is in no list: a camera could also be an address."""
        from livematte.video.camera_devices import list_cameras

        known = [camera.id for camera in await asyncio.to_thread(list_cameras)]
        if value not in (*known, None, "default"):
            raise UsageError(f"there is no camera {value!r}: known are {', '.join(known) or 'none'}")

    async def _render(self, request: Request) -> Response:
        given = await read_object(request)
        name, ending = str(given.get("file")), str(given.get("ending", ".mp4"))
        job = self.queue.add(name, given.get("options", {}), ending)
        return JSONResponse(job.facts())

    async def _cancel(self, request: Request) -> Response:
        self.queue.cancel(request.path_params["number"])
        return JSONResponse({"cancelled": request.path_params["number"]})

    async def _preview(self, request: Request) -> Response:
        """Render the first frame; the pictures are fetched afterwards."""
        given = await read_object(request)
        name = str(given.get("file"))
        async with self._previewing:
            made = await self.queue.preview(name, given.get("options", {}))
            try:
                pictures = {"before": await asyncio.to_thread(self._before, name)}
                for kind, path in made.items():
                    picture = await asyncio.to_thread(first_picture, path, _PREVIEW_WIDTH)
                    pictures[kind] = encode_jpeg(picture, 90)
            finally:
                for path in made.values():
                    shutil.rmtree(path.parents[1], ignore_errors=True)
            self._previews = pictures
        return JSONResponse({"pictures": sorted(pictures)})

    def _before(self, name: str) -> bytes:
        return encode_jpeg(first_picture(self.files.find(name), _PREVIEW_WIDTH), 90)

    async def _preview_picture(self, request: Request) -> Response:
        found = self._previews.get(request.path_params["kind"])
        if found is None:
            return JSONResponse({"error": "there is no such picture"}, 404)
        return Response(found, media_type="image/jpeg")

    async def _thumbnail(self, request: Request) -> Response:
        folders = {"backgrounds": self.backgrounds, "files": self.files}.get(request.path_params["kind"])
        if folders is None:
            return JSONResponse({"error": "there is no such folder"}, 404)
        path = await asyncio.to_thread(folders.find, request.path_params["name"])
        return Response(await asyncio.to_thread(thumbnail, path), media_type="image/jpeg")

    async def _file(self, request: Request) -> Response:
        return FileResponse(await asyncio.to_thread(self.files.find, request.path_params["name"]))

    async def _socket(self, socket: WebSocket) -> None:
        await PageSocket(socket, self.hub, self.queue).run()


async def read_body(request: Request) -> Any:
    """Return the value of a request: the member ``value`` of a JSON object, or the plain text.

    Raises:
        UsageError: too long, or broken JSON.
    """
    text = await _read_text(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return text.strip() or None
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise UsageError("the request is no JSON") from None
    return given.get("value") if isinstance(given, Mapping) else given


async def read_object(request: Request) -> Mapping[str, Any]:
    """Return the JSON object of a request. Raises UsageError."""
    with suppress(ValueError, RecursionError):
        given = json.loads(await _read_text(request))
        if isinstance(given, dict):
            return given
    raise UsageError("the request is no JSON object")


async def _read_text(request: Request) -> str:
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > _BODY_BYTES:
            raise UsageError(f"the request is too long: use at most {_BODY_BYTES} bytes")
    return received.decode("utf-8", "replace")


async def refuse(_: Request, error: Exception) -> Response:
    """Answer with the error in one line: 400 for a wrong request, 502 if the work failed."""
    code = 400 if isinstance(error, UsageError) else 502
    return JSONResponse({"error": " ".join(str(error).split())}, code)


def make_app(folders: PanelFolders, token: str, port: int) -> ASGIApp:
    """Return the whole panel, guarded. Raises InputError for a folder that does not exist."""
    panel = PanelApp(folders)
    app = Starlette(
        routes=panel.routes(), lifespan=panel.lifespan, exception_handlers={LivematteError: refuse}
    )
    return Guard(app, token, port)
