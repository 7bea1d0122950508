"""Connection to a live session: newline-delimited JSON over asyncio streams, the same on both sides.

**Transport.** A Unix socket in a folder that only the user can enter (0700), so that the operating system
rejects other users. Without Unix sockets (Windows, or a path that is too long for a socket), a port of
127.0.0.1, to which any program on the machine can connect. Therefore every request contains a key and every
answer another key; both are in a file that only the user can read. The second key detects a foreign program
that got the port after a session was killed. ``multiprocessing.connection`` is not used because its handshake
has no time limit, and because what it receives is unpickled.

**Protocol.** One JSON object per line. A connection may stay open; replies carry the ``id`` of their request
and may come in another order. After ``watch`` the session also sends its state whenever it changes::

    {"key": …, "id": 1, "command": "background", "value": "/home/me/beach.jpg"}
    {"key": …, "id": 1, "facts": {"background": "/home/me/beach.jpg", "model": …, "paused": false, …}}
    {"key": …, "id": 2, "error": {"message": "background 'x': no such file …", "exit": 2}}
    {"key": …, "state": {"background": …, "stats": {…}, "cpu": 0.4}}
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any, Protocol

from livematte.errors import LivematteError, SessionError, UsageError

REQUEST_BYTES, REPLY_BYTES = 1 << 16, 1 << 20
UNIX_SOCKETS = hasattr(socket, "AF_UNIX")
"""True if the system has Unix sockets."""
PING_SECONDS = 5.0
REPLY_SECONDS = 120.0
"""Time limit for a reply; long, because a command may load a model first."""


class SessionGone(Exception):  # noqa: N818 - not an error of the user
    """The session does not run any more, or another program uses its port."""


class Registered(Protocol):
    """Address and keys of a session; see :class:`livematte.streaming.session_registry.RegisteredSession`."""

    @property
    def address(self) -> str | int:
        """Path of a Unix socket, or a port of 127.0.0.1."""
        ...

    @property
    def key(self) -> str:
        """Key of every request."""
        ...

    @property
    def answer(self) -> str:
        """Key of every message of the session."""
        ...


def encode_line(message: Mapping[str, object]) -> bytes:
    """Encode a message for transmission."""
    return json.dumps(message).encode("ascii") + b"\n"


async def receive(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Receive one message; the limit for its length is that of the reader.

    Raises:
        EOFError: the other side closed the connection first.
        ValueError: the message is too long, or not a JSON object.
    """
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message


def keys_match(given: object, key: str) -> bool:
    """Return True if ``given`` is the key. Constant time, against timing attacks."""
    return isinstance(given, str) and secrets.compare_digest(given.encode("utf-8", "replace"), key.encode())


class ControlClient:
    """A held connection to a live session. All methods run in one event loop.

    Args:
        on_state: called with each state that the session sends after the command ``watch``.

    Attributes:
        closed: set when the connection has ended, for whatever reason.
    """

    def __init__(
        self,
        registered: Registered,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        on_state: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.closed = asyncio.Event()
        self._registered, self._on_state = registered, on_state
        self._reader, self._writer = streams
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = count(1)
        self._failure: BaseException = EOFError()
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def open(
        cls, registered: Registered, on_state: Callable[[dict[str, Any]], None] | None = None
    ) -> ControlClient:
        """Connect to a session.

        Raises:
            SessionGone: the session does not run any more.
            OSError: the connection fails otherwise.
        """
        address = registered.address
        try:
            if isinstance(address, int):
                streams = await asyncio.open_connection("127.0.0.1", address, limit=REPLY_BYTES)
            elif UNIX_SOCKETS:
                peer = await _connect(address)
                streams = await asyncio.open_unix_connection(sock=peer, limit=REPLY_BYTES)
            else:
                raise SessionGone  # it runs on another operating system that shares this folder
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise SessionGone from error
        return cls(registered, streams, on_state)

    async def ask(self, command: str, value: object = None, seconds: float = REPLY_SECONDS) -> dict[str, Any]:
        """Send a command and return the reply.

        Raises:
            LivematteError, UsageError: the session refuses the command; its own message.
            SessionError: the session ends the connection, or does not reply within ``seconds``.
            SessionGone: another program answers in the place of the session.
        """
        number = next(self._numbers)
        request = {"key": self._registered.key, "id": number, "command": command, "value": value}
        line = encode_line(request)
        if len(line) > REQUEST_BYTES:
            raise UsageError(f"{command}: the value is too long: use at most {REQUEST_BYTES} bytes")
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            if self._reading.done():
                raise self._failure
            self._writer.write(line)
            reply = await asyncio.wait_for(self._waiting[number], seconds)
        except (TimeoutError, asyncio.TimeoutError):
            raise SessionError(
                f"the live session {self._registered} does not answer within {seconds:g} s"
            ) from None
        except (OSError, EOFError):
            raise SessionError(
                f"the live session {self._registered} has ended or closed the connection"
            ) from None
        finally:
            del self._waiting[number]
        if "error" in reply:
            refused = reply["error"]
            raise (UsageError if refused["exit"] == 2 else LivematteError)(refused["message"])
        facts: dict[str, Any] = reply["facts"]
        return facts

    async def _read(self) -> None:
        try:
            while True:
                message = await receive(self._reader)
                if not keys_match(message.get("key"), self._registered.answer):
                    raise SessionGone
                waiting = self._waiting.get(message.get("id", 0))
                if "state" in message and self._on_state is not None:
                    self._on_state(message["state"])
                elif waiting is not None and not waiting.done():
                    waiting.set_result(message)
        except ValueError:
            self._failure = SessionGone()
        except (OSError, EOFError, SessionGone) as error:
            self._failure = error
        finally:
            self.closed.set()
            self._writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(self._failure)

    async def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._reading.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await self._reading


async def _connect(path: str) -> socket.socket:
    """Connect to a Unix socket, also while the queue of its server is full."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.setblocking(False)
        while True:
            try:
                peer.connect(path)
                return peer
            except BlockingIOError:  # Linux: the queue is full
                await asyncio.sleep(0.01)
    except BaseException:
        peer.close()
        raise


async def ask_once(registered: Registered, command: str, value: object, seconds: float) -> dict[str, Any]:
    """Connect, send one command, return the reply and disconnect; at most ``seconds`` in all.

    Raises as :meth:`ControlClient.open` and :meth:`ControlClient.ask`.
    """

    async def exchange() -> dict[str, Any]:
        client = await ControlClient.open(registered)
        try:
            return await client.ask(command, value, seconds)
        finally:
            await client.close()

    try:
        return await asyncio.wait_for(exchange(), seconds)
    except (TimeoutError, asyncio.TimeoutError):
        raise SessionError(f"the live session {registered} does not answer within {seconds:g} s") from None
    except OSError:
        raise SessionError(f"the live session {registered} has ended or closed the connection") from None
