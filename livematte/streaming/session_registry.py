"""Registry of the running live sessions of the user: one file each, with its address and keys.

:mod:`livematte.streaming.control_link` describes the connection to a session, and
:class:`livematte.streaming.control.Control` is its server.
"""

from __future__ import annotations

import json
import os
import platform
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from livematte.errors import LivematteError, SessionError
from livematte.options import CHANGES
from livematte.streaming.control_link import PING_SECONDS, REPLY_SECONDS, SessionGone, ask_once

COMMANDS = (
    *sorted([*CHANGES, "blur"]),
    *("pause", "freeze", "resume", "stats", "stop", "ping", "picture", "watch"),
)


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
        return ask_once(self, command, value, seconds)


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


def registrations(root: Path) -> Iterator[tuple[Path, RegisteredSession]]:
    """Yield the files of sessions in a folder, also those of killed sessions, and their contents."""
    for path in sorted(root.glob("*.json")):
        try:
            yield path, RegisteredSession(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # removed meanwhile, or written by another version
            continue


def remove_if_gone(path: Path, found: RegisteredSession) -> None:
    """Remove the file of a session that does not answer, unless it runs on another machine."""
    if found.host == platform.node():
        remove_files(path)


def _responding(root: Path, seconds: float) -> Iterator[tuple[Path, RegisteredSession]]:
    for path, found in registrations(root):
        try:
            found.ask("ping", seconds=seconds)
        except SessionGone:
            remove_if_gone(path, found)
            continue
        except LivematteError:  # it runs but does not reply correctly; the next command reports it
            pass
        yield path, found
