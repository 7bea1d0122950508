"""The live sessions of this user that run: where they are found, and how one is asked.

**Way.** A Unix socket in a folder that only its user may enter (0700), so that the system itself turns
others away. Where that cannot be (Windows, a folder whose path is too long for a socket), a port of
127.0.0.1, which any program of the machine may knock at: so a request has to carry a key, and its reply
another one, both from a file that only the user can read. The second key tells a session from a stranger
who got its port after it was killed. ``multiprocessing.connection`` does the same with a handshake that has
no time limit, so that one silent client would keep all others out.

**Words.** One JSON object on a line each way, then the connection ends::

    {"key": …, "command": "background", "value": "/home/me/beach.jpg"}
    {"key": …, "facts": {"background": "/home/me/beach.jpg", "model": …, "paused": false, …}}
    {"key": …, "error": {"message": "background 'x': no such file …", "exit": 2}}

The other side is :class:`livematte.streaming.control.Control`.
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

COMMANDS = (*sorted([*CHANGES, "blur"]), "pause", "resume", "stats", "stop", "ping")
REQUEST_BYTES, REPLY_BYTES = 1 << 16, 1 << 20
PING_SECONDS = 5.0
REPLY_SECONDS = 120.0
"""For a reply: a model may have to be made first."""


def folders() -> list[Path]:
    """Where sessions may say how they are reached, each of this user only. The first, where there is such a
    place, is of this start of the machine; services often know only the second.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    places = [user_cache_path("livematte", appauthor=False) / "control"]
    with suppress(OSError):  # sudo may have kept another user's
        if runtime and (not hasattr(os, "getuid") or Path(runtime).stat().st_uid == os.getuid()):
            places.insert(0, Path(runtime) / "livematte" / "control")
    return places


def folder() -> Path:
    """Where a session of this process says how it is reached."""
    return folders()[0]


def own_folder() -> Path:
    """The same, made if need be. Raises SessionError where it cannot be kept from others."""
    place = folder()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = place.lstat()
        if hasattr(os, "getuid"):
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise SessionError(f"{place} is not a folder of this user's own: remove it")
            if found.st_mode & 0o077:
                place.chmod(0o700)
    except OSError as error:
        raise SessionError(f"{place} cannot be used: {error.strerror or error}") from error
    return place


class SessionGone(Exception):  # noqa: N818 - no mistake of anybody
    """Nobody listens where a session did, or somebody else."""


@dataclass(frozen=True)
class RegisteredSession:
    """How a session is reached, as its file in :func:`folder` says.

    Attributes:
        name: given by its user; may be empty, and two may share one.
        host: its machine; a home may be shared by several.
        address: of a Unix socket, or a port of 127.0.0.1.
        key, answer: what a request and its reply have to carry.
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
        """What the session answers; see :func:`ask`.

        Raises:
            LivematteError, UsageError: it refuses; its own line.
            SessionError: it hangs up, or is silent for ``seconds``.
            Gone: it is not there any more.
        """
        request = encode_line({"key": self.key, "command": command, "value": value})
        if len(request) > REQUEST_BYTES:
            raise UsageError(f"{command}: too long, {REQUEST_BYTES} bytes are allowed")
        try:
            with _socket(self.address) as peer:
                peer.settimeout(seconds)
                peer.connect(self.address if isinstance(self.address, str) else ("127.0.0.1", self.address))
                peer.sendall(request)
                reply = read_line(peer, REPLY_BYTES, seconds)
        except (ConnectionRefusedError, FileNotFoundError, ValueError) as error:
            raise SessionGone from error
        except TimeoutError:
            raise SessionError(f"the live session {self} does not answer within {seconds:g} s") from None
        except (OSError, EOFError):
            raise SessionError(f"the live session {self} has ended or hung up") from None
        if not same(reply.get("key"), self.answer):
            raise SessionGone
        if "error" in reply:
            refused = reply["error"]
            raise (UsageError if refused["exit"] == 2 else LivematteError)(refused["message"])
        facts: dict[str, Any] = reply["facts"]
        return facts


def running(seconds: float = PING_SECONDS) -> list[RegisteredSession]:
    """The sessions that run, each asked whether it does. What killed ones have left is removed."""
    there = (found for place in folders() for _, found in _living(place, seconds))
    return sorted(there, key=lambda found: found.pid)


def find(session: str | None = None) -> RegisteredSession:
    """The session of that name or process number; the only one where not given.

    Raises:
        SessionError: none runs, none is called so, or several are; the message says which there are.
    """
    there = running()
    if not there:
        raise SessionError("no live session runs: start one with livematte live")
    known = ", ".join(map(str, there))
    meant = [each for each in there if session in (None, each.name, str(each.pid))]
    if not meant:
        raise SessionError(f"no live session is called {session!r}: there are {known}")
    if len(meant) > 1:
        raise SessionError(f"more than one live session is meant: use --session with one of {known}")
    return meant[0]


def ask(command: str, value: object = None, *, session: str | None = None) -> dict[str, Any]:
    """Tell a running session something.

    Args:
        command: one of :data:`COMMANDS`.
        value: of an option that may change (text; a path is one of the session's folder, so give a whole
            one) and of ``blur`` (a number).
        session: name or process number, where several run.

    Returns:
        What it is like now: ``session`` (its name), ``pid``, the options that may change, ``paused``; of
        ``stats`` also ``stats``, the fields of :class:`livematte.streaming.stats.LiveStats`.

    Raises:
        SessionError: there is no such session, or it does not answer.
        LivematteError, UsageError: it refuses, for the reason it gives.
    """
    found = find(session)
    try:
        return found.ask(command, value)
    except SessionGone:
        raise SessionError(f"the live session {found} has just ended") from None


def tidy(place: Path, older: float = 60.0) -> None:
    """Remove what killed sessions have left; what belongs to no session, when it is ``older`` seconds old."""
    living = {path.stem for path, _ in _living(place, 1.0)}
    for path in (*place.glob("*.sock"), *place.glob("*.new")):
        with suppress(OSError):
            if path.stem not in living and time.time() - path.lstat().st_mtime > older:
                path.unlink()


def forget(path: Path) -> None:
    """Remove a session's file and its socket."""
    for each in (path, path.with_suffix(".sock")):
        with suppress(OSError):
            each.unlink()


def _living(place: Path, seconds: float) -> Iterator[tuple[Path, RegisteredSession]]:
    for path in sorted(place.glob("*.json")):
        try:
            found = RegisteredSession(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # no longer there, or of another version
            continue
        try:
            found.ask("ping", seconds=seconds)
        except SessionGone:
            if found.host == platform.node():
                forget(path)
            continue
        except LivematteError:  # there, but not well; whoever names it is told so
            pass
        yield path, found


def encode_line(message: Mapping[str, object]) -> bytes:
    """A message as it goes over the wire."""
    return json.dumps(message).encode("ascii") + b"\n"


def read_line(peer: socket.socket, most: int, seconds: float) -> dict[str, Any]:
    """One message.

    Raises:
        TimeoutError: it did not come within ``seconds`` in all.
        EOFError: the other side hung up first.
        ValueError: longer than ``most`` bytes, or no JSON object.
    """
    end, got = time.monotonic() + seconds, bytearray()
    while not got.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        peer.settimeout(left)
        block = peer.recv(1 << 14)
        if not block:
            raise EOFError
        got += block
        if len(got) > most:
            raise ValueError(f"more than {most} bytes")
    try:
        message = json.loads(got)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("no object")
    return message


def same(given: object, key: str) -> bool:
    """Whether ``given`` is the key; takes as long either way."""
    return isinstance(given, str) and secrets.compare_digest(given.encode("utf-8", "replace"), key.encode())


def _socket(address: str | int) -> socket.socket:
    if isinstance(address, int):
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if hasattr(socket, "AF_UNIX"):
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raise SessionGone  # another system's, which shares this folder
