"""Registry of the running live sessions of the user, and the client side of their control protocol.

**Transport.** A Unix socket in a folder that only the user can enter (0700), so that the operating system
rejects other users. Without Unix sockets (Windows, or a path that is too long for a socket), a port of
127.0.0.1, to which any program on the machine can connect. Therefore a request contains a key and its reply
another key; both are in a file that only the user can read. The second key detects a foreign program that got
the port after a session was killed. ``multiprocessing.connection`` is not used because its handshake has no
time limit: one silent client would block all others.

**Protocol.** One JSON object per line in each direction, then the connection is closed::

    {"key": …, "command": "background", "value": "/home/me/beach.jpg"}
    {"key": …, "facts": {"background": "/home/me/beach.jpg", "model": …, "paused": false, …}}
    {"key": …, "error": {"message": "background 'x': no such file …", "exit": 2}}

The server is :class:`livematte.streaming.control.Control`.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from livematte.errors import LivematteError, SessionError, UsageError
from livematte.options import CHANGES

COMMANDS = (*sorted([*CHANGES, "blur"]), "pause", "freeze", "resume", "stats", "stop", "ping")
REQUEST_BYTES, REPLY_BYTES = 1 << 16, 1 << 20
PING_SECONDS = 5.0
REPLY_SECONDS = 120.0
"""Time limit for a reply; long, because a command may load a model first."""


def folders() -> list[Path]:
    """Return the folders that may contain session files of this user, the preferred one first.

    The runtime folder is emptied when the machine restarts. Services often have only the cache folder.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    found = [user_cache_path("livematte", appauthor=False) / "control"]
    with suppress(OSError):  # with sudo it may belong to another user
        if runtime and (not hasattr(os, "getuid") or Path(runtime).stat().st_uid == os.getuid()):
            found.insert(0, Path(runtime) / "livematte" / "control")
    return found


def folder() -> Path:
    """Return the folder for session files of this process."""
    return folders()[0]


def make_private_folder() -> Path:
    """Create :func:`folder` if it is missing. Raises SessionError if other users could enter it."""
    path = folder()
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        for each in (path.parent, path):  # whatever the umask: compiled networks lie in the first one, too
            each.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if hasattr(os, "getuid"):
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise SessionError(f"{path} is not a folder owned by this user: remove it")
            if found.st_mode & 0o077:
                path.chmod(0o700)
    except OSError as error:
        raise SessionError(f"{path} cannot be used: {error.strerror or error}") from error
    return path


class SessionGone(Exception):  # noqa: N818 - not an error of the user
    """The session does not run any more, or another program uses its port."""


@dataclass(frozen=True)
class RegisteredSession:
    """Address and keys of a session, as stored in its file in :func:`folder`.

    Attributes:
        pid: process ID.
        name: name given by the user; may be empty, and is not unique.
        host: name of the machine; several machines may share a home folder.
        address: path of a Unix socket, or a port of 127.0.0.1.
        key, answer: keys that a request and its reply must contain.
    """

    pid: int
    name: str
    host: str
    address: str | int
    key: str
    answer: str

    def __str__(self) -> str:
        return f"{self.name!r} (pid {self.pid})" if self.name else f"pid {self.pid}"

    def ask(self, command: str, value: object = None, seconds: float = REPLY_SECONDS) -> dict[str, Any]:
        """Send a command and return the reply; see :func:`ask`.

        Raises:
            LivematteError, UsageError: the session refuses the command; its own message.
            SessionError: the session closes the connection, or does not reply within ``seconds``.
            SessionGone: the session does not run any more.
        """
        request = encode_line({"key": self.key, "command": command, "value": value})
        if len(request) > REQUEST_BYTES:
            raise UsageError(f"{command}: the value is too long: use at most {REQUEST_BYTES} bytes")
        try:
            with _socket(self.address) as peer:
                _connect(peer, self.address, seconds)
                peer.sendall(request)
                reply = read_line(peer, REPLY_BYTES, seconds)
        except (ConnectionRefusedError, FileNotFoundError, ValueError) as error:
            raise SessionGone from error
        except TimeoutError:
            raise SessionError(f"the live session {self} does not answer within {seconds:g} s") from None
        except (OSError, EOFError):
            raise SessionError(f"the live session {self} has ended or closed the connection") from None
        if not keys_match(reply.get("key"), self.answer):
            raise SessionGone
        if "error" in reply:
            refused = reply["error"]
            raise (UsageError if refused["exit"] == 2 else LivematteError)(refused["message"])
        facts: dict[str, Any] = reply["facts"]
        return facts


def running(seconds: float = PING_SECONDS) -> list[RegisteredSession]:
    """Return the running sessions; each is checked with a ping. Removes the files of killed sessions."""
    sessions = (found for path in folders() for _, found in _responding(path, seconds))
    return sorted(sessions, key=lambda found: found.pid)


def find(session: str | None = None) -> RegisteredSession:
    """Return the session with this name or process ID; without ``session``, the only one.

    Raises:
        SessionError: no session runs, none matches, or several match; the message lists the running ones.
    """
    sessions = running()
    if not sessions:
        raise SessionError("no live session runs: start one with livematte live")
    known = ", ".join(map(str, sessions))
    matching = [each for each in sessions if session in (None, each.name, str(each.pid))]
    if not matching:
        raise SessionError(f"no live session is called {session!r}: use one of {known}")
    if len(matching) > 1:
        raise SessionError(f"several live sessions match: use --session with one of {known}")
    return matching[0]


def ask(command: str, value: object = None, *, session: str | None = None) -> dict[str, Any]:
    """Send a command to a running session.

    Args:
        command: one of :data:`COMMANDS`.
        value: new value of an option as text (use absolute paths: the session may run in another folder), or
            a number for ``blur``.
        session: name or process ID; required if several sessions run.

    Returns:
        State of the session: ``session`` (its name), ``pid``, the options that can be changed, ``paused``;
        for the command ``stats`` also ``stats``, the fields of :class:`livematte.streaming.stats.LiveStats`.

    Raises:
        SessionError: the session does not exist or does not reply.
        LivematteError, UsageError: the session refuses the command, with its reason.
    """
    found = find(session)
    try:
        return found.ask(command, value)
    except SessionGone:
        raise SessionError(f"the live session {found} has just ended") from None


def remove_stale_files(root: Path, older: float = 60.0) -> None:
    """Remove files of killed sessions, and other files that are more than ``older`` seconds old."""
    responding = {path.stem for path, _ in _responding(root, 1.0)}
    for path in (*root.glob("*.sock"), *root.glob("*.new")):
        with suppress(OSError):
            if path.stem not in responding and time.time() - path.lstat().st_mtime > older:
                path.unlink()


def remove_files(path: Path) -> None:
    """Remove the file and the socket of a session."""
    for each in (path, path.with_suffix(".sock")):
        with suppress(OSError):
            each.unlink()


def _responding(root: Path, seconds: float) -> Iterator[tuple[Path, RegisteredSession]]:
    for path in sorted(root.glob("*.json")):
        try:
            found = RegisteredSession(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # removed meanwhile, or written by another version
            continue
        try:
            found.ask("ping", seconds=seconds)
        except SessionGone:
            if found.host == platform.node():
                remove_files(path)
            continue
        except LivematteError:  # it runs but does not reply correctly; the next command reports it
            pass
        yield path, found


def encode_line(message: Mapping[str, object]) -> bytes:
    """Encode a message for transmission."""
    return json.dumps(message).encode("ascii") + b"\n"


def read_line(peer: socket.socket, limit: int, seconds: float) -> dict[str, Any]:
    """Receive one message.

    Raises:
        TimeoutError: the message was not complete after ``seconds``.
        EOFError: the peer closed the connection first.
        ValueError: the message is longer than ``limit`` bytes, or not a JSON object.
    """
    end, received = time.monotonic() + seconds, bytearray()
    while not received.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        peer.settimeout(left)
        block = peer.recv(1 << 14)
        if not block:
            raise EOFError
        received += block
        if len(received) > limit:
            raise ValueError(f"more than {limit} bytes")
    try:
        message = json.loads(received)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message


def keys_match(given: object, key: str) -> bool:
    """Return True if ``given`` is the key. Constant time, against timing attacks."""
    return isinstance(given, str) and secrets.compare_digest(given.encode("utf-8", "replace"), key.encode())


def _connect(peer: socket.socket, address: str | int, seconds: float) -> None:
    """Connect within ``seconds``, also while the queue of the server is full. Raises TimeoutError."""
    end = time.monotonic() + seconds
    peer.settimeout(seconds)
    while True:
        try:
            return peer.connect(address if isinstance(address, str) else ("127.0.0.1", address))
        except BlockingIOError:  # Linux: the queue of a Unix socket is full
            if time.monotonic() > end:
                raise TimeoutError from None
            time.sleep(0.01)


def _socket(address: str | int) -> socket.socket:
    if isinstance(address, int):
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if hasattr(socket, "AF_UNIX"):
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raise SessionGone  # the session runs on another operating system that shares this folder
