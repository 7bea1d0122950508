"""A fake OBS: an obs-websocket 5 server over TCP, written from the protocol document with the stdlib only.

It keeps scenes, inputs and items as OBS does, removes inputs late as OBS does, and answers what is wrong with
the codes and words of OBS.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import threading
import time
from typing import Any

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SALT, CHALLENGE = (
    "lM1GncleQOaCu9lT1yeUZhFYnqhsLLP1G5lAGo3ixaI=",
    "+IxH4CnCiqpX1rM9scsNynZzbOe4KhDeYcTNS3PDaeY=",
)


class RefusedError(Exception):
    def __init__(self, code: int, comment: str) -> None:
        super().__init__(comment)
        self.code, self.comment = code, comment


class FakeObs:
    def __init__(self, password: str = "secret", removal: float = 0.1) -> None:
        self.password, self.removal = password, removal
        self.inputs: dict[str, dict[str, Any]] = {}
        self.items: dict[str, list[dict[str, Any]]] = {"Scene": [], "Break": []}
        self.groups: dict[str, list[dict[str, Any]]] = {}
        self.on_air = "Scene"
        self.transforms: dict[int, dict[str, Any]] = {}
        self.filters: dict[str, list[dict[str, Any]]] = {}
        self.kinds = ["image_source", "color_source_v3", "ffmpeg_source"]
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.received: list[str] = []
        """All messages of the client, unchanged."""
        self.showing = True
        self.not_ready = 0
        self.fail: dict[str, tuple[int, str]] = {}
        self.mute = False
        self._numbers = iter(range(1, 10**6))
        self._lock = threading.RLock()
        self._connections: list[socket.socket] = []
        self.port = 0
        self.start()

    # The program's life.

    def start(self) -> None:
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.bind(("127.0.0.1", self.port))
        self._server.listen()
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def stop(self, *, rude: bool = False) -> None:
        """Quit and save the scenes. If ``rude``, reset the connections, as when OBS is killed."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                if rude:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    _send(connection, 8, struct.pack("!H", 1001) + b"Server stopping.")
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
        self._connections.clear()

    def asked(self, request: str) -> list[dict[str, Any]]:
        return [data for name, data in self.requests if name == request]

    def event(self, name: str, **data: Any) -> None:
        message = json.dumps({"op": 5, "d": {"eventType": name, "eventIntent": 1, "eventData": data}})
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                _send(connection, 1, message.encode())

    # What a user does in OBS.

    def add_group(self, name: str, scene: str = "Scene") -> None:
        with self._lock:
            self.groups[name] = []
            self._place(scene, name)

    def add(self, name: str, kind: str, scene: str = "Scene", **settings: Any) -> int:
        with self._lock:
            self.inputs[name] = {"inputName": name, "inputKind": kind, "settings": settings}
            return self._place(scene, name)

    def drop(self, name: str) -> None:
        with self._lock:
            self.inputs.pop(name, None)
            self.filters.pop(name, None)
            for items in self._lists():
                items[:] = [item for item in items if item["sourceName"] != name]
        self.event("InputRemoved", inputName=name)

    def switch(self, scene: str) -> None:
        """Put a scene on air: OBS draws it, and takes removed sources out of it."""
        with self._lock:
            self.on_air = scene
            gone = [name for name, entry in self.inputs.items() if entry.get("removed")]
        for name in gone:
            self._draw(name)
        self.event("CurrentProgramSceneChanged", sceneName=scene)

    def _lists(self) -> list[list[dict[str, Any]]]:
        return [*self.items.values(), *self.groups.values()]

    def _draw(self, name: str) -> None:
        """The scene on air lets go of a removed source; OBS frees a source that no scene holds."""
        with self._lock:
            shown = self.items[self.on_air]
            groups = [self.groups[item["sourceName"]] for item in shown if item["sourceName"] in self.groups]
            for items in (shown, *groups):
                items[:] = [item for item in items if item["sourceName"] != name]
        self._free(name)

    def _free(self, name: str) -> None:
        with self._lock:
            held = any(item["sourceName"] == name for items in self._lists() for item in items)
            if held or name not in self.inputs:
                return
        self.drop(name)

    # The protocol.

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, struct.error):
            _handshake(connection)
            if self.mute:
                time.sleep(30)
            hello: dict[str, Any] = {"obsWebSocketVersion": "5.1.0", "rpcVersion": 1}
            if self.password:
                hello["authentication"] = {"challenge": CHALLENGE, "salt": SALT}
            _send(connection, 1, json.dumps({"op": 0, "d": hello}).encode())
            identify = self._hear(connection)
            if self.password and identify["d"].get("authentication") != self._answer():
                _send(connection, 8, struct.pack("!H", 4009) + b"Authentication failed.")
                connection.shutdown(socket.SHUT_WR)
                return
            _send(connection, 1, json.dumps({"op": 2, "d": {"negotiatedRpcVersion": 1}}).encode())
            while True:
                message = self._hear(connection)["d"]
                answer = self._respond(message["requestType"], message.get("requestData") or {})
                answer |= {"requestType": message["requestType"], "requestId": message["requestId"]}
                _send(connection, 1, json.dumps({"op": 7, "d": answer}).encode())

    def _hear(self, connection: socket.socket) -> dict[str, Any]:
        text = _receive(connection)
        self.received.append(text)
        found: dict[str, Any] = json.loads(text)
        return found

    def _answer(self) -> str:
        secret = base64.b64encode(hashlib.sha256((self.password + SALT).encode()).digest())
        return base64.b64encode(hashlib.sha256(secret + CHALLENGE.encode()).digest()).decode()

    def _respond(self, request: str, data: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.requests.append((request, data))
            try:
                if self.not_ready:
                    self.not_ready -= 1
                    raise RefusedError(207, "OBS is not ready to perform the request.")
                if request in self.fail:
                    raise RefusedError(*self.fail[request])
                handler = getattr(self, f"_on_{request}", None)
                if handler is None:
                    raise RefusedError(204, "Your request type is not valid.")
                return {"requestStatus": {"result": True, "code": 100}, "responseData": handler(**data)}
            except RefusedError as error:
                status = {"result": False, "code": error.code, "comment": error.comment}
                return {"requestStatus": status}

    def _place(self, scene: str, name: str) -> int:
        number = next(self._numbers)
        self._items(scene).append(
            {
                "sceneItemId": number,
                "sourceName": name,
                "enabled": True,
                "locked": False,
                "blend": "OBS_BLEND_NORMAL",
            }
        )
        self.event("SceneItemCreated", sceneName=scene, sourceName=name, sceneItemId=number)
        return number

    def _items(self, scene: str) -> list[dict[str, Any]]:
        return self.groups[scene] if scene in self.groups else self.items[scene]

    def _item(self, scene: str, number: int) -> dict[str, Any]:
        for item in self._items(scene):
            if item["sceneItemId"] == number:
                return item
        raise RefusedError(600, "No scene items were found in the specified scene by that ID.")

    def _source(self, name: str) -> dict[str, Any]:
        if name not in self.inputs:
            raise RefusedError(600, f"No source was found by the name of `{name}`.")
        return self.inputs[name]

    def _on_GetVersion(self) -> dict[str, Any]:
        return {"obsVersion": "29.0.2", "obsWebSocketVersion": "5.1.0"}

    def _on_GetInputKindList(self) -> dict[str, Any]:
        return {"inputKinds": self.kinds}

    def _on_GetVideoSettings(self) -> dict[str, Any]:
        return {"baseWidth": 1920, "baseHeight": 1080}

    def _on_GetInputList(self) -> dict[str, Any]:
        keys = ("inputName", "inputKind")
        return {"inputs": [{key: entry[key] for key in keys} for entry in self.inputs.values()]}

    def _on_GetInputSettings(self, inputName: str) -> dict[str, Any]:
        found = self._source(inputName)
        return {"inputKind": found["inputKind"], "inputSettings": dict(found["settings"])}

    def _on_SetInputSettings(
        self, inputName: str, inputSettings: dict[str, Any], overlay: bool = True
    ) -> None:
        found = self._source(inputName)
        found["settings"] = {**(found["settings"] if overlay else {}), **inputSettings}

    def _on_GetSceneList(self) -> dict[str, Any]:
        return {"scenes": [{"sceneName": name} for name in self.items]}

    def _on_GetCurrentProgramScene(self) -> dict[str, Any]:
        return {"currentProgramSceneName": self.on_air}

    def _on_GetGroupList(self) -> dict[str, Any]:
        return {"groups": list(self.groups)}

    def _on_GetGroupSceneItemList(self, sceneName: str) -> dict[str, Any]:
        return {"sceneItems": self.groups[sceneName]}

    def _on_RemoveSceneItem(self, sceneName: str, sceneItemId: int) -> None:
        item = self._item(sceneName, sceneItemId)
        self._items(sceneName).remove(item)
        threading.Timer(self.removal, self._free, (item["sourceName"],)).start()

    def _on_GetSceneItemTransform(self, sceneName: str, sceneItemId: int) -> dict[str, Any]:
        self._item(sceneName, sceneItemId)
        return {
            "sceneItemTransform": {"width": 1.0, "boundsWidth": 0.0, **self.transforms.get(sceneItemId, {})}
        }

    def _on_GetSceneItemIndex(self, sceneName: str, sceneItemId: int) -> dict[str, Any]:
        return {"sceneItemIndex": self._items(sceneName).index(self._item(sceneName, sceneItemId))}

    def _on_SetSceneItemIndex(self, sceneName: str, sceneItemId: int, sceneItemIndex: int) -> None:
        item = self._item(sceneName, sceneItemId)
        self._items(sceneName).remove(item)
        self._items(sceneName).insert(sceneItemIndex, item)

    def _on_GetSceneItemEnabled(self, sceneName: str, sceneItemId: int) -> dict[str, Any]:
        return {"sceneItemEnabled": self._item(sceneName, sceneItemId)["enabled"]}

    def _on_SetSceneItemEnabled(self, sceneName: str, sceneItemId: int, sceneItemEnabled: bool) -> None:
        self._item(sceneName, sceneItemId)["enabled"] = sceneItemEnabled

    def _on_GetSceneItemLocked(self, sceneName: str, sceneItemId: int) -> dict[str, Any]:
        return {"sceneItemLocked": self._item(sceneName, sceneItemId)["locked"]}

    def _on_SetSceneItemLocked(self, sceneName: str, sceneItemId: int, sceneItemLocked: bool) -> None:
        self._item(sceneName, sceneItemId)["locked"] = sceneItemLocked

    def _on_GetSceneItemBlendMode(self, sceneName: str, sceneItemId: int) -> dict[str, Any]:
        return {"sceneItemBlendMode": self._item(sceneName, sceneItemId)["blend"]}

    def _on_SetSceneItemBlendMode(self, sceneName: str, sceneItemId: int, sceneItemBlendMode: str) -> None:
        self._item(sceneName, sceneItemId)["blend"] = sceneItemBlendMode

    def _on_GetSourceFilterList(self, sourceName: str) -> dict[str, Any]:
        return {"filters": self.filters.get(sourceName, [])}

    def _on_CreateSourceFilter(self, sourceName: str, filterName: str, **kind: Any) -> None:
        self._source(sourceName)
        new = {"filterName": filterName, "filterEnabled": True, "filterIndex": 0, **kind}
        self.filters.setdefault(sourceName, []).append(new)

    def _on_SetSourceFilterEnabled(self, sourceName: str, filterName: str, filterEnabled: bool) -> None:
        (found,) = [each for each in self.filters[sourceName] if each["filterName"] == filterName]
        found["filterEnabled"] = filterEnabled

    def _on_GetSceneItemList(self, sceneName: str) -> dict[str, Any]:
        return {"sceneItems": self.items[sceneName]}

    def _on_GetSourceActive(self, sourceName: str) -> dict[str, Any]:
        self._source(sourceName)
        return {"videoActive": self.showing, "videoShowing": self.showing}

    def _on_CreateInput(self, sceneName: str, inputName: str, inputKind: str, inputSettings: Any) -> Any:
        if inputName in self.inputs or inputName in self.items:
            raise RefusedError(601, "A source already exists by that input name.")
        return {"sceneItemId": self.add(inputName, inputKind, sceneName, **inputSettings)}

    def _on_CreateSceneItem(self, sceneName: str, sourceName: str) -> dict[str, Any]:
        if sceneName in self.groups:
            raise RefusedError(602, "The specified source is not a scene.")
        self._source(sourceName)
        return {"sceneItemId": self._place(sceneName, sourceName)}

    def _on_SetSceneItemTransform(
        self, sceneName: str, sceneItemId: int, sceneItemTransform: dict[str, Any]
    ) -> None:
        assert sceneItemId in [item["sceneItemId"] for item in self.items[sceneName]]
        self.transforms.setdefault(sceneItemId, {}).update(sceneItemTransform)

    def _on_RemoveInput(self, inputName: str) -> None:
        removed = self._source(inputName)
        removed["removed"] = True

        def draw() -> None:
            if self.inputs.get(inputName) is removed:
                self._draw(inputName)

        threading.Timer(self.removal, draw).start()


def _handshake(connection: socket.socket) -> None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = connection.recv(4096)
        if not data:
            raise EOFError
        head += data
    lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
    key = {name.lower(): value for name, value in lines.items()}["sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
    )


def _send(connection: socket.socket, opcode: int, data: bytes) -> None:
    size = len(data)
    head = (
        struct.pack("!BB", 0x80 | opcode, size)
        if size < 126
        else struct.pack("!BBH", 0x80 | opcode, 126, size)
    )
    connection.sendall(head + data)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _receive(connection: socket.socket) -> str:
    first, size = _exactly(connection, 2)
    opcode, size = first & 15, size & 127
    if size == 126:
        (size,) = struct.unpack("!H", _exactly(connection, 2))
    mask = _exactly(connection, 4)
    data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(_exactly(connection, size)))
    if opcode == 8:
        raise EOFError
    return data.decode()
