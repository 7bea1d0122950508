"""Control server of a live session, for other programs of the same user.

:mod:`livematte.streaming.control_link` describes the protocol. One thread serves all clients in an event
loop; changes that take time run in threads, so that no client and no change blocks another: silent clients
make room for new ones, and ``pause`` and ``stop`` never wait for a change.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import platform
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from livematte.errors import LivematteError, SessionError, UsageError
from livematte.options import CHANGES, read_change, show_change
from livematte.streaming import control_link, session_registry
from livematte.streaming.control_client import receive
from livematte.streaming.control_link import REQUEST_BYTES, encode_line, keys_match
from livematte.streaming.frames import PreviewFrame
from livematte.streaming.session_registry import COMMANDS, RegisteredSession
from livematte.streaming.stats import LiveStats

CLIENTS = 32
"""Maximum number of clients whose request has not arrived yet; the oldest is disconnected for a new one."""
HELD = 32
"""Maximum number of clients that have shown the key and stay connected; more are disconnected."""
CHANGES_AT_ONCE = 8
"""Maximum number of changes that are under way, or wait for another change of the same option."""
CHANGE_SECONDS = 30.0
"""Longest time that a change waits for an earlier change of the same option."""
REQUEST_SECONDS = 5.0
"""Time limit for receiving the first request, and for sending each reply."""
_BACKLOG = 64
"""Length of the queue of clients that wait for a connection."""
_SHORTEST_WATCH, _LONGEST_WATCH = 0.1, 60.0
"""Range of the seconds between two states that a client is sent."""
_SMALLEST, _LARGEST = 64, 1280
"""Range of the width of a picture for a client, in pixels."""
_QUALITY = 80
"""Quality of its JPEG, 0 to 100."""
_SWITCHES = {"pause": "paused", "freeze": "frozen"}


class ControlledSession(Protocol):
    """Interface of the controlled session, e.g. :class:`livematte.streaming.session.Session`.

    It also has an attribute for each option in :data:`livematte.options.CHANGES`.
    """

    background: Any
    paused: bool
    frozen: bool

    @property
    def shown(self) -> PreviewFrame | None:
        """The frame that viewers see now."""
        ...

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
            listener, address = _listen(self._file.with_suffix(".sock"))
        except OSError as error:
            raise SessionError(f"no socket can be created in {folder}: {error.strerror or error}") from error
        key, answer = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.registration = RegisteredSession(os.getpid(), name, platform.node(), address, key, answer)
        self._changers = ThreadPoolExecutor(CHANGES_AT_ONCE, "livematte-control")
        self._changes = 0
        self._painter = ThreadPoolExecutor(1, "livematte-control-picture")
        self._connections: set[_Connection] = set()
        self._processor = (time.monotonic(), time.process_time())
        self._share = 0.0
        self._timeout = 0.0
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._painted: tuple[object, int] = (None, 0)
        self._thread = threading.Thread(
            target=self._run, args=(listener,), name="livematte-control", daemon=True
        )
        self._thread.start()
        self._ready.wait()
        try:
            if self._failure is not None:
                raise self._failure
            _write_private(self._file, json.dumps(asdict(self.registration)))
        except OSError as error:
            self.close()
            raise SessionError(f"{self._file} cannot be written: {error.strerror or error}") from error

    def close(self, timeout: float = 2.0) -> None:
        """Stop the server; running requests may take ``timeout`` seconds to finish. May be called twice."""
        session_registry.remove_files(self._file)
        self._timeout = timeout
        with suppress(RuntimeError, AttributeError):  # the loop is closed already, or never ran
            self._loop.call_soon_threadsafe(self._closing.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout + REQUEST_SECONDS)
        for pool in (self._changers, self._painter):
            pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listener))
        except BaseException as error:  # too many open files
            self._failure = error
        finally:
            listener.close()
            self._ready.set()

    async def _serve(self, listener: socket.socket) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        self._receiving: dict[_Connection, None] = {}  # in order of arrival
        self._option_locks = {name: asyncio.Lock() for name in CHANGES}
        start = asyncio.start_server if listener.family == socket.AF_INET else asyncio.start_unix_server
        server = await start(self._accept, sock=listener, limit=REQUEST_BYTES, backlog=_BACKLOG)
        self._ready.set()
        await self._closing.wait()
        server.close()
        for connection in self._connections:
            connection.end()
        tasks = [each.task for each in self._connections]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._timeout)
            for task in late:
                task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(self._receiving) >= CLIENTS:
            oldest = next(iter(self._receiving))
            del self._receiving[oldest]
            oldest.end()
        connection = _Connection(self, reader, writer)
        self._receiving[connection] = None
        self._connections.add(connection)
        if self._closing.is_set():
            connection.end()
        try:
            await connection.serve()
        finally:
            self._receiving.pop(connection, None)
            self._connections.discard(connection)
            writer.close()

    def admit(self, connection: _Connection) -> bool:
        """Let a client that has shown the key stay connected; False if too many are."""
        self._receiving.pop(connection, None)
        return len(self._connections) - len(self._receiving) <= HELD

    async def reply(self, command: object, value: object) -> dict[str, Any]:
        """Run a command; return its reply, which contains ``facts`` or ``error``."""
        try:
            return {"facts": await self._execute(command, value)}
        except LivematteError as error:
            message, code = " ".join(str(error).split()), error.exit_code
        except Exception as error:
            message, code = f"this is a bug in livematte: {type(error).__name__}: {error}", 1
        return {"error": {"message": message, "exit": code}}

    def stop(self) -> None:
        """End the session, in a thread of its own: it may wait for a sink, but not for a change."""
        threading.Thread(target=self._stop, name="livematte-control-stop", daemon=True).start()

    async def _execute(self, command: object, value: object) -> dict[str, Any]:
        if not isinstance(command, str) or command not in COMMANDS:
            raise UsageError(f"unknown command {command!r}: allowed are {', '.join(COMMANDS)}")
        if command == "blur":
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise UsageError(f"blur {value!r} is invalid: use a number of pixels for a height of 720")
            command, value = "background", f"blur:{value}"
        if command in CHANGES:
            converted, option = read_change(command, value), command
            async with self._change(option):
                await self._loop.run_in_executor(
                    self._changers, lambda: setattr(self._session, option, converted)
                )
        elif command in _SWITCHES:
            setattr(self._session, _SWITCHES[command], True)
        elif command == "resume":
            self._session.frozen = False
            if self._session.paused:  # otherwise viewers would see the placeholder for a moment
                self._session.paused = False
        elif command == "picture":
            return await self._loop.run_in_executor(self._painter, self._picture, value)
        if command not in ("ping", "stats", "watch"):
            for connection in self._connections:
                connection.changed.set()
        return self.state() if command == "stats" else self._facts()

    @asynccontextmanager
    async def _change(self, option: str) -> AsyncIterator[None]:
        """Change an option while no other client changes it. Raises SessionError if that takes too long."""
        if self._changes >= CHANGES_AT_ONCE:
            raise SessionError(f"{CHANGES_AT_ONCE} other changes are under way: try again later")
        self._changes += 1
        try:
            try:
                await asyncio.wait_for(self._option_locks[option].acquire(), CHANGE_SECONDS)
            except (TimeoutError, asyncio.TimeoutError):
                raise SessionError(
                    f"an earlier change of {option} is still under way: try again later"
                ) from None
            try:
                yield
            finally:
                self._option_locks[option].release()
        finally:
            self._changes -= 1

    def _facts(self) -> dict[str, Any]:
        session = self._session
        return {
            "session": self.registration.name,
            "pid": self.registration.pid,
            **{name: show_change(name, getattr(session, name)) for name in CHANGES},
            "paused": session.paused,
            "frozen": session.frozen,
        }

    def state(self) -> dict[str, Any]:
        """Return the facts with the statistics and the processor share of the process, in cores."""
        now, busy = time.monotonic(), time.process_time()
        before, used = self._processor
        if now - before >= 0.9:
            self._share, self._processor = (busy - used) / (now - before), (now, busy)
        return {**self._facts(), "stats": asdict(self._session.stats()), "cpu": self._share}

    def _picture(self, value: object) -> dict[str, Any]:
        """Return the picture that viewers see and its matte as JPEG; never the picture of the camera."""
        import cv2

        from livematte.streaming.picture import preview_picture

        wanted = value if isinstance(value, dict) else {}
        width, known = wanted.get("width", 640), wanted.get("after")
        if isinstance(width, bool) or not isinstance(width, int) or not _SMALLEST <= width <= _LARGEST:
            raise UsageError(f"width {width!r} is invalid: use {_SMALLEST} to {_LARGEST}")
        shown, (painted, number) = self._session.shown, self._painted
        if shown is not None and shown.frame.planes[0] is not painted:
            number += 1
            self._painted = shown.frame.planes[0], number
        if shown is None or number == known:
            return {"number": known, "pictures": {}}
        pictures = {}
        for view in ("composite", "matte") if wanted.get("matte") else ("composite",):
            rgb = preview_picture(shown, view, (_LARGEST, width))
            done, encoded = cv2.imencode(
                ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
            )
            if done:
                pictures[view] = base64.b64encode(encoded.tobytes()).decode("ascii")
        return {"number": number, "pictures": pictures}


class _Connection:
    """One client. Without the key, or too slow, it gets no reply."""

    def __init__(self, control: Control, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.changed = asyncio.Event()
        task = asyncio.current_task()
        assert task is not None
        self.task: asyncio.Task[Any] = task
        self._control, self._reader, self._writer = control, reader, writer
        self._running: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[dict[str, Any]] | None = None
        self._ended = False

    async def serve(self) -> None:
        """Read requests until the client disconnects; every request runs in a task of its own."""
        try:
            request = await asyncio.wait_for(self._next(), REQUEST_SECONDS)
            while self._control.admit(self) and not self._ended:
                task = asyncio.ensure_future(self._answer(request))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                self._reading = asyncio.ensure_future(self._next())
                request = await self._reading
        except asyncio.CancelledError:
            if not self._ended:
                raise
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.TimeoutError):
            pass  # invalid request, or the client has disconnected
        finally:
            if self._watching is not None:
                self._watching.cancel()
            if self._running:  # the client may have shut down only its sending side
                await asyncio.wait(self._running)

    def end(self) -> None:
        """Read no more requests; those that run are finished."""
        self._ended = True
        (self._reading or self.task).cancel()

    async def _next(self) -> dict[str, Any]:
        request = await receive(self._reader)
        if not keys_match(request.get("key"), self._control.registration.key):
            raise ValueError("without the key")
        return request

    async def _answer(self, request: dict[str, Any]) -> None:
        command, value = request.get("command"), request.get("value")
        reply = await self._control.reply(command, value)
        try:
            await self._send({"id": request.get("id"), **reply})
            if command == "watch" and self._watching is None:
                self._watching = asyncio.ensure_future(self._watch(value))
        except (OSError, TimeoutError, asyncio.TimeoutError):
            self._writer.close()
        finally:
            if command == "stop":
                self._control.stop()

    async def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(encode_line({"key": self._control.registration.answer, **message}))
        await asyncio.wait_for(self._writer.drain(), REQUEST_SECONDS)

    async def _watch(self, value: object) -> None:
        """Send the state at once, then after each change and at least every ``value`` seconds."""
        number = value if isinstance(value, (int, float)) and value == value else 1.0
        seconds = min(max(number, _SHORTEST_WATCH), _LONGEST_WATCH)
        with suppress(OSError, TimeoutError, asyncio.TimeoutError):
            while True:
                self.changed.clear()
                await self._send({"state": self._control.state()})
                with suppress(TimeoutError, asyncio.TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), seconds)
        self._writer.close()


def _listen(path: Path) -> tuple[socket.socket, str | int]:
    """Return a bound socket and its address: ``path`` for a Unix socket, or a port if there are none."""
    if control_link.UNIX_SOCKETS:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
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
    except OSError:
        listener.close()
        raise
    port: int = listener.getsockname()[1]
    return listener, port


def _write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner."""
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(new, path)
