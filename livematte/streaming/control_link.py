"""Connection to a live session: newline-delimited JSON.

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

import json
import secrets
import socket
import time
from collections.abc import Mapping
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


def encode_request(registered: Registered, number: int, command: str, value: object) -> bytes:
    """Encode a request. Raises UsageError if the value is too long."""
    request = {"key": registered.key, "id": number, "command": command, "value": value}
    line = encode_line(request)
    if len(line) > REQUEST_BYTES:
        raise UsageError(f"{command}: the value is too long: use at most {REQUEST_BYTES} bytes")
    return line


def decode_line(line: bytes) -> dict[str, Any]:
    """Decode a message.

    Raises:
        EOFError: the line has no end.
        ValueError: it is not a JSON object.
    """
    if not line.endswith(b"\n"):
        raise EOFError
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message


def reply_facts(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a reply. Raises LivematteError or UsageError if it is a refusal."""
    if "error" in reply:
        refused = reply["error"]
        raise (UsageError if refused["exit"] == 2 else LivematteError)(refused["message"])
    facts: dict[str, Any] = reply["facts"]
    return facts


def silent(registered: Registered, seconds: float) -> SessionError:
    """Return the error for a session that does not answer."""
    return SessionError(f"the live session {registered} does not answer within {seconds:g} s")


def ended(registered: Registered) -> SessionError:
    """Return the error for a session that ended the connection."""
    return SessionError(f"the live session {registered} has ended or closed the connection")


def keys_match(given: object, key: str) -> bool:
    """Return True if ``given`` is the key. Constant time, against timing attacks."""
    return isinstance(given, str) and secrets.compare_digest(given.encode("utf-8", "replace"), key.encode())


def ask_once(registered: Registered, command: str, value: object, seconds: float) -> dict[str, Any]:
    """Connect, send one command, return the reply and disconnect; at most ``seconds`` in all.

    Without an event loop, whose import takes a quarter of the time of ``livematte ctl``.

    Raises:
        LivematteError, UsageError: the session refuses the command; its own message.
        SessionError: the session ends the connection, or does not reply within ``seconds``.
        SessionGone: the session does not run any more, or another program answers in its place.
    """
    end = time.monotonic() + seconds
    line = encode_request(registered, 1, command, value)
    try:
        with _connect(registered.address, end) as peer:
            _limit(peer, end)
            peer.sendall(line)
            reply = decode_line(_receive_line(peer, end))
    except TimeoutError:
        raise silent(registered, seconds) from None
    except (OSError, EOFError):
        raise ended(registered) from None
    except ValueError:
        raise SessionGone from None
    if not keys_match(reply.get("key"), registered.answer):
        raise SessionGone
    return reply_facts(reply)


def _limit(peer: socket.socket, end: float) -> None:
    if (left := end - time.monotonic()) <= 0:
        raise TimeoutError
    peer.settimeout(left)


def _receive_line(peer: socket.socket, end: float) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        _limit(peer, end)
        if not (block := peer.recv(1 << 16)):
            raise EOFError
        received += block
        if len(received) > REPLY_BYTES:
            raise ValueError("too long")
    return bytes(received)


def _connect(address: str | int, end: float) -> socket.socket:
    """Connect to a session, also while the queue of its server is full. Raises SessionGone."""
    if not (UNIX_SOCKETS or isinstance(address, int)):
        raise SessionGone  # it runs on another operating system that shares this folder
    peer = socket.socket(socket.AF_INET if isinstance(address, int) else socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        while True:
            try:
                _limit(peer, end)
                peer.connect(("127.0.0.1", address) if isinstance(address, int) else address)
                return peer
            except BlockingIOError:  # Linux: the queue is full
                time.sleep(0.01)
    except (ConnectionRefusedError, FileNotFoundError) as error:
        peer.close()
        raise SessionGone from error
    except BaseException:
        peer.close()
        raise
