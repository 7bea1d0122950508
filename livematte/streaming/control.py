"""A live session's ear: its user's other programs steer it. :mod:`livematte.streaming.session_registry` says
how.

Every caller gets a thread of its own, a time and a size, so that none can hold up the session or another
caller, whatever it sends.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from livematte.errors import LivematteError, SessionError, UsageError
from livematte.options import CHANGES
from livematte.streaming import session_registry
from livematte.streaming.session_registry import (
    COMMANDS,
    REQUEST_BYTES,
    RegisteredSession,
    encode_line,
    read_line,
    same,
)
from livematte.streaming.stats import LiveStats

CALLERS = 8
"""Served at a time; more wait until one of them is done."""
REQUEST_SECONDS = 5.0
"""From the connection to the end of the request, and again for taking the reply."""
_POLL = 0.25
"""Seconds between two looks at whether to end: closing a socket wakes nobody who waits for it."""
_WAITING = 64


class Steerable(Protocol):
    """What is steered: a :class:`livematte.streaming.session.Session`."""

    background: Any
    model: Any
    paused: bool

    def stats(self) -> LiveStats:
        """How it does."""
        ...


class Control:
    """Listens to this user's other programs until closed.

    Args:
        session: what they steer.
        stop: ends it, on request.
        name: to tell it from others; its process number does, too.

    Attributes:
        reached: how it is reached.

    Raises:
        SessionError: no place for the socket; the message says why.
    """

    def __init__(self, session: Steerable, stop: Callable[[], None], *, name: str = "") -> None:
        self._session, self._stop = session, stop
        place = session_registry.own_folder()
        session_registry.tidy(place)
        self._file = place / f"{secrets.token_hex(8)}.json"
        try:
            self._listener, address = _listen(self._file.with_suffix(".sock"))
        except OSError as error:
            raise SessionError(f"no socket in {place}: {error.strerror or error}") from error
        key, answer = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.reached = RegisteredSession(os.getpid(), name, platform.node(), address, key, answer)
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._places = threading.Semaphore(CALLERS)
        self._callers: dict[socket.socket, threading.Thread] = {}
        self._turns = {name: threading.Lock() for name in CHANGES}
        try:
            _write_private(self._file, json.dumps(asdict(self.reached)))
        except OSError as error:
            self._listener.close()
            session_registry.forget(self._file)
            raise SessionError(f"{self._file} cannot be written: {error.strerror or error}") from error
        self._listening = threading.Thread(target=self._accept, name="livematte-control", daemon=True)
        self._listening.start()

    def close(self, patience: float = 2.0) -> None:
        """Listen no more; requests under way get that many seconds. Safe twice."""
        self._closed.set()
        session_registry.forget(self._file)
        self._listening.join()
        with self._lock:
            callers = list(self._callers.items())
        for peer, _ in callers:
            with suppress(OSError):  # whoever has not said what he wants
                peer.shutdown(socket.SHUT_RD)
        end = time.monotonic() + patience
        for _, thread in callers:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with self._listener:
            while not self._closed.is_set():
                if not self._places.acquire(timeout=_POLL):
                    continue
                try:
                    peer, _ = self._listener.accept()
                except TimeoutError:
                    self._places.release()
                except OSError:  # too many files are open, or the caller is gone already
                    self._places.release()
                    self._closed.wait(_POLL)
                else:
                    self._receive(peer)

    def _receive(self, peer: socket.socket) -> None:
        thread = threading.Thread(target=self._serve, args=(peer,), name="livematte-control", daemon=True)
        with self._lock:
            self._callers[peer] = thread
        try:
            thread.start()
        except RuntimeError:  # the machine has no thread left
            self._hang_up(peer)

    def _hang_up(self, peer: socket.socket) -> None:
        with self._lock:
            del self._callers[peer]
        peer.close()
        self._places.release()

    def _serve(self, peer: socket.socket) -> None:
        """One request and its reply. Who has not the key, or says nothing in time, gets no word."""
        stop = False
        try:
            request = read_line(peer, REQUEST_BYTES, REQUEST_SECONDS)
            if same(request.get("key"), self.reached.key):
                command = request.get("command")
                reply = self._reply(command, request.get("value"))
                stop = command == "stop"
                peer.settimeout(REQUEST_SECONDS)
                peer.sendall(encode_line({"key": self.reached.answer, **reply}))
        except (OSError, EOFError, ValueError):
            pass  # the caller's own fault, and he does not listen
        finally:
            if stop:
                self._stop()
            self._hang_up(peer)

    def _reply(self, command: object, value: object) -> dict[str, Any]:
        try:
            return {"facts": self._do(command, value)}
        except LivematteError as error:
            message, code = " ".join(str(error).split()), error.exit_code
        except Exception as error:
            message, code = f"this is a bug in livematte: {type(error).__name__}: {error}", 1
        return {"error": {"message": message, "exit": code}}

    def _do(self, command: object, value: object) -> dict[str, Any]:
        session = self._session
        if isinstance(command, str) and command in CHANGES:
            with self._turns[command]:
                setattr(session, command, _text(command, value))
        elif command == "blur":
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise UsageError(f"blur {value!r}: give a number, pixels at 720 rows")
            with self._turns["background"]:
                session.background = f"blur:{value}"
        elif command in ("pause", "resume"):
            session.paused = command == "pause"
        elif command not in COMMANDS:
            raise UsageError(f"unknown command {command!r}: allowed are {', '.join(COMMANDS)}")
        facts = {
            "session": self.reached.name,
            "pid": self.reached.pid,
            **{name: _shown(getattr(session, name), each.option.path) for name, each in CHANGES.items()},
            "paused": session.paused,
        }
        return {**facts, "stats": asdict(session.stats())} if command == "stats" else facts


def _shown(value: object, path: str) -> str:
    """The present value of an option as text; of an object that is no path, its class."""
    return str(value) if path or isinstance(value, str) else type(value).__name__


def _text(command: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise UsageError(f"{command} {value!r}: give text")
    return value


def _listen(path: Path) -> tuple[socket.socket, str | int]:
    """A socket that listens, and its address: ``path`` where that can be, else a port."""
    if hasattr(socket, "AF_UNIX"):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            listener.listen(_WAITING)
            listener.settimeout(_POLL)
            return listener, str(path)
        except OSError:  # too long a path, or a file system without sockets
            listener.close()
            with suppress(OSError):
                path.unlink()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)  # else Windows lets others have it, too
        if exclusive is not None:
            listener.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(_WAITING)
    except OSError:
        listener.close()
        raise
    listener.settimeout(_POLL)
    port: int = listener.getsockname()[1]
    return listener, port


def _write_private(path: Path, text: str) -> None:
    """A file that appears whole and that only its owner reads."""
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(new, path)
