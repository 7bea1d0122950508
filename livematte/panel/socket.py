"""The WebSocket of the page: states as JSON text, pictures as binary messages."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from livematte.errors import LivematteError
from livematte.panel.hub import SessionHub
from livematte.panel.render_queue import RenderQueue

FASTEST = 15.0
"""Largest number of pictures per second."""
_KINDS = {"composite": b"\0", "matte": b"\1"}
_SECONDS = 0.2
"""Shortest interval between two states."""
_MESSAGE_BYTES = 1 << 12


class PageSocket:
    """One open page. The page asks for pictures of one session and confirms each before the next is sent."""

    def __init__(self, socket: WebSocket, hub: SessionHub, queue: RenderQueue) -> None:
        self._socket, self._hub, self._queue = socket, hub, queue
        self._session, self._matte, self._width, self._rate = "", False, 640, 10.0
        self._drawn, self._wanted = asyncio.Event(), asyncio.Event()
        self._drawn.set()

    async def run(self) -> None:
        """Serve the page until it is closed."""
        await self._socket.accept()
        work = [asyncio.ensure_future(each) for each in (self._states(), self._pictures())]
        try:
            while True:
                text = await self._socket.receive_text()
                if len(text) > _MESSAGE_BYTES:
                    raise ValueError("too long")
                self._take(json.loads(text))
        except (WebSocketDisconnect, ValueError, KeyError, TypeError, RuntimeError):
            pass
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            with suppress(Exception):
                await self._socket.close()

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("drawn"):
            self._drawn.set()
            return
        self._session, self._matte = str(message["show"]), bool(message.get("matte"))
        self._width = min(max(int(message.get("width", 640)), 64), 1280)
        self._rate = min(max(float(message.get("rate", 10)), 1.0), FASTEST)
        self._wanted.set()

    async def _states(self) -> None:
        changed, told = self._hub.listen(), dict[str, float]()
        try:
            while True:
                changed.clear()
                state = self._hub.state()
                for facts in state["sessions"]:
                    held = self._hub.sessions[facts["id"]]
                    if told.get(held.key) != held.noted_at:  # once a second
                        told[held.key], facts["history"] = held.noted_at, list(held.history)
                await self._socket.send_text(json.dumps({**state, "jobs": self._queue.state()}))
                await asyncio.sleep(_SECONDS)
                await changed.wait()
        finally:
            self._hub.forget(changed)

    async def _pictures(self) -> None:
        number: int | None = None
        shown: tuple[str, bool] | None = None
        while True:
            await self._wanted.wait()
            began = time.monotonic()
            key, matte = self._session, self._matte
            if not key:
                self._wanted.clear()
                continue
            if (key, matte) != shown:
                number, shown = None, (key, matte)
            try:
                wanted = {"width": self._width, "matte": matte, "after": number}
                told = await self._hub.ask(key, "picture", wanted)
            except LivematteError:
                await asyncio.sleep(0.25)
                continue
            number = told["number"]
            for view, jpeg in told["pictures"].items():
                await self._drawn.wait()
                self._drawn.clear()
                await self._socket.send_bytes(_KINDS[view] + base64.b64decode(jpeg))
            await asyncio.sleep(max(0.01, 1 / self._rate - (time.monotonic() - began)))
