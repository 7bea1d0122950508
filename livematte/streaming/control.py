"""Control server of a live session, for other programs of the same user.

:mod:`livematte.streaming.session_registry` describes the protocol. Each client has its own thread and limits
for time and size, so that no client can block the session or another client: silent clients make room for new
ones, and commands that can take long, such as the change of the model, have places of their own, so that
``pause`` and ``stop`` never wait for them.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, get_args

from livematte.errors import LivematteError, SessionError, UsageError
from livematte.options import CHANGES
from livematte.options.declaration import Declared
from livematte.streaming import session_registry
from livematte.streaming.session_registry import (
    COMMANDS,
    REQUEST_BYTES,
    RegisteredSession,
    encode_line,
    keys_match,
    read_line,
)
from livematte.streaming.stats import LiveStats

CLIENTS = 32
"""Maximum number of clients whose request has not arrived yet; the oldest is disconnected for a new one."""
CHANGES_AT_ONCE = 8
"""Maximum number of changes that are under way, or wait for another change of the same option."""
CHANGE_SECONDS = 30.0
"""Longest time that a change waits for an earlier change of the same option."""
REQUEST_SECONDS = 5.0
"""Time limit for receiving a request, and again for sending the reply."""
_POLL = 0.25
"""Polling interval of the stop flag in seconds: closing a socket does not wake a thread that waits for it."""
_BACKLOG = 64
"""Length of the queue of clients that wait for a connection."""


class ControlledSession(Protocol):
    """Interface of the controlled session, e.g. :class:`livematte.streaming.session.Session`."""

    background: Any
    model: Any
    paused: bool
    frozen: bool

    def stats(self) -> LiveStats:
        """Return the statistics of the session."""
        ...


class Control:
    """Control server that runs until it is closed.

    Args:
        session: session to control.
        stop: called when a client requests the end of the session.
        name: name of the session for clients, besides its process ID.

    Attributes:
        registration: name, address and keys of the session, as written to the registry.

    Raises:
        SessionError: the socket or its file cannot be created; the message states the reason.
    """

    def __init__(self, session: ControlledSession, stop: Callable[[], None], *, name: str = "") -> None:
        self._session, self._stop = session, stop
        folder = session_registry.make_private_folder()
        session_registry.remove_stale_files(folder)
        self._file = folder / f"{secrets.token_hex(8)}.json"
        try:
            self._listener, address = _listen(self._file.with_suffix(".sock"))
        except OSError as error:
            raise SessionError(f"no socket can be created in {folder}: {error.strerror or error}") from error
        key, answer = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.registration = RegisteredSession(os.getpid(), name, platform.node(), address, key, answer)
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._slots = threading.Semaphore(CLIENTS)
        self._change_slots = threading.Semaphore(CHANGES_AT_ONCE)
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._receiving: dict[socket.socket, None] = {}  # in order of arrival
        self._option_locks = {name: threading.Lock() for name in CHANGES}
        try:
            _write_private(self._file, json.dumps(asdict(self.registration)))
        except OSError as error:
            self._listener.close()
            session_registry.remove_files(self._file)
            raise SessionError(f"{self._file} cannot be written: {error.strerror or error}") from error
        self._listening = threading.Thread(target=self._accept, name="livematte-control", daemon=True)
        self._listening.start()

    def close(self, timeout: float = 2.0) -> None:
        """Stop the server; running requests may take ``timeout`` seconds to finish. May be called twice."""
        self._closed.set()
        session_registry.remove_files(self._file)
        self._listening.join()
        with self._lock:
            clients = list(self._clients.items())
        for peer, _ in clients:
            with suppress(OSError):  # end clients that have not sent a request
                peer.shutdown(socket.SHUT_RD)
        end = time.monotonic() + timeout
        for _, thread in clients:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with self._listener:
            while not self._closed.is_set():
                try:
                    peer, _ = self._listener.accept()
                except TimeoutError:
                    continue
                except OSError:  # too many open files, or the client has disconnected
                    self._closed.wait(_POLL)
                    continue
                if self._slots.acquire(blocking=False) or self._free_slot():
                    self._start_client(peer)
                else:
                    peer.close()

    def _free_slot(self) -> bool:
        """Stop to wait for the request of the oldest client; return True if its slot is free."""
        with self._lock:
            for oldest in list(self._receiving)[:1]:
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RD)  # a request that has arrived is still read and answered
        return self._slots.acquire(timeout=_POLL)

    def _start_client(self, peer: socket.socket) -> None:
        thread = threading.Thread(target=self._serve, args=(peer,), name="livematte-control", daemon=True)
        with self._lock:
            self._clients[peer] = thread
            self._receiving[peer] = None
        try:
            thread.start()
        except RuntimeError:  # no thread can be started
            self._end_receiving(peer)
            self._disconnect(peer)

    def _end_receiving(self, peer: socket.socket) -> None:
        with self._lock:
            del self._receiving[peer]
        self._slots.release()

    def _disconnect(self, peer: socket.socket) -> None:
        with self._lock:
            del self._clients[peer]
        peer.close()

    def _serve(self, peer: socket.socket) -> None:
        """Read one request and send its reply. A client without the key, or too slow, gets no reply."""
        stop = False
        try:
            try:
                request = read_line(peer, REQUEST_BYTES, REQUEST_SECONDS)
            finally:
                self._end_receiving(peer)
            if keys_match(request.get("key"), self.registration.key):
                command = request.get("command")
                reply = self._reply(command, request.get("value"))
                stop = command == "stop"
                peer.settimeout(REQUEST_SECONDS)
                peer.sendall(encode_line({"key": self.registration.answer, **reply}))
        except (OSError, EOFError, ValueError):
            pass  # invalid request, or the client has disconnected
        finally:
            if stop:
                self._stop()
            self._disconnect(peer)

    def _reply(self, command: object, value: object) -> dict[str, Any]:
        try:
            return {"facts": self._execute(command, value)}
        except LivematteError as error:
            message, code = " ".join(str(error).split()), error.exit_code
        except Exception as error:
            message, code = f"this is a bug in livematte: {type(error).__name__}: {error}", 1
        return {"error": {"message": message, "exit": code}}

    def _execute(self, command: object, value: object) -> dict[str, Any]:
        session = self._session
        if isinstance(command, str) and command in CHANGES:
            checked = _checked(CHANGES[command], value)
            with self._change(command):
                setattr(session, command, checked)
        elif command == "blur":
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise UsageError(f"blur {value!r} is invalid: use a number of pixels for a height of 720")
            with self._change("background"):
                session.background = f"blur:{value}"
        elif command == "freeze":
            session.frozen = True
        elif command == "pause":
            session.paused = True
        elif command == "resume":
            session.frozen = False
            if session.paused:
                session.paused = False
        elif command not in COMMANDS:
            raise UsageError(f"unknown command {command!r}: allowed are {', '.join(COMMANDS)}")
        facts = {
            "session": self.registration.name,
            "pid": self.registration.pid,
            **{name: _to_text(getattr(session, name), each.option.path) for name, each in CHANGES.items()},
            "paused": session.paused,
            "frozen": session.frozen,
        }
        return {**facts, "stats": asdict(session.stats())} if command == "stats" else facts

    @contextmanager
    def _change(self, option: str) -> Iterator[None]:
        """Change an option while no other client changes it. Raises SessionError if that takes too long."""
        if not self._change_slots.acquire(blocking=False):
            raise SessionError(f"{CHANGES_AT_ONCE} other changes are under way: try again later")
        try:
            if not self._option_locks[option].acquire(timeout=CHANGE_SECONDS):
                raise SessionError(f"an earlier change of {option} is still under way: try again later")
            try:
                yield
            finally:
                self._option_locks[option].release()
        finally:
            self._change_slots.release()


def _to_text(value: object, path: str) -> str:
    """Return the value of an option as text; for an object that is not a path, the name of its class."""
    if isinstance(value, (bool, int, float)):
        return f"{value:g}"
    return str(value) if path or isinstance(value, str) else type(value).__name__


def _checked(changed: Declared, value: object) -> Any:
    """Return the value of an option. Raises UsageError for a wrong type, or a number out of range."""
    if changed.command_type is str or str in get_args(changed.command_type):
        return _check_text(changed.name, value)
    changed.check(value)
    return value


def _check_text(command: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise UsageError(f"{command} {value!r} is invalid: use text")
    return value


def _listen(path: Path) -> tuple[socket.socket, str | int]:
    """Return a listening socket and its address: ``path`` for a Unix socket, or a port if there are none."""
    if hasattr(socket, "AF_UNIX"):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            listener.listen(_BACKLOG)
            listener.settimeout(_POLL)
            return listener, str(path)
        except OSError:  # the path is too long, or the file system has no sockets
            listener.close()
            with suppress(OSError):
                path.unlink()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        if exclusive is not None:  # otherwise Windows lets other programs bind the same port
            listener.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.settimeout(_POLL)
    port: int = listener.getsockname()[1]
    return listener, port


def _write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner."""
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(new, path)
