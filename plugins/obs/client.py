"""A connection to OBS, built on obs-websocket-py.

This module works around these defects of that library: it waits forever for a silent server, discards the
code and the comment of a refused request and the close code of a refused password, increments the message
number without a lock, and prints a traceback from its thread when a connection breaks.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from livematte.errors import InputError, MissingExtraError, OutputError, UsageError

try:
    import websocket
    from obswebsocket import exceptions
    from obswebsocket.core import RecvThread, obsws
except ImportError as missing:
    raise MissingExtraError("OBS", "obs") from missing

HOST = "127.0.0.1"
PORT = 4455
PASSWORD_VARIABLE = "OBS_PASSWORD"
_FILE_HINT = "a file (--sink-option obs.password-file=FILE, or livematte obs with --obs-password-file FILE)"
TIMEOUT = 3.0
"""Timeout of the connection and of each answer, in seconds."""
NOT_READY = 207
"""Status code: OBS is starting or changing its scene collection."""
NOT_FOUND = 600
"""Status code: what a request names does not exist."""
_AUTHENTICATION_FAILED = 4009
_MALFORMED_GREETING = (ValueError, KeyError, TypeError, AttributeError)
"""Exceptions that the library raises for a greeting from another kind of server."""

# These loggers write the answer to the password challenge, and lost connections, which are handled here.
logging.getLogger("obswebsocket").setLevel(logging.CRITICAL)
logging.getLogger("websocket").setLevel(logging.CRITICAL)


class ObsError(OutputError):
    """OBS refused a request. ``code`` and ``comment`` are those of the obs-websocket protocol."""

    def __init__(self, message: str, code: int | None = None, comment: str = "") -> None:
        super().__init__(message)
        self.code, self.comment = code, comment


class ObsUnreachableError(ObsError):
    """OBS does not answer: it is not running, its WebSocket server is off, or the connection was lost."""


class WrongPasswordError(ObsError):
    """OBS refused the password."""


class _Socket(websocket.WebSocket):
    """A WebSocket that stores the close code of the server and closes itself after any error."""

    closed_with: tuple[int, str] | None = None

    def recv_frame(self) -> Any:
        frame = super().recv_frame()
        if frame is not None and frame.opcode == websocket.ABNF.OPCODE_CLOSE and len(frame.data) >= 2:
            self.closed_with = (
                int.from_bytes(frame.data[:2], "big"),
                frame.data[2:].decode("utf-8", "replace"),
            )
        return frame

    def recv(self) -> Any:
        try:
            return super().recv()
        except (OSError, websocket.WebSocketProtocolException) as error:
            self.shutdown()
            raise websocket.WebSocketConnectionClosedException(str(error)) from error


class _Library(obsws):  # type: ignore[misc]
    """obsws with a connection timeout; returns complete answers, including the status."""

    def connect(self) -> None:
        self.ws = _Socket()
        self.ws.connect(f"ws://{self.host}:{self.port}", timeout=self.timeout, http_no_proxy=["*"])
        self._auth()
        self.ws.settimeout(None)
        self.thread_recv = RecvThread(self)
        self.thread_recv.daemon = True
        self.thread_recv.start()

    def send_request(self, request: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return its RequestResponse; {} if the connection broke or the timeout passed."""
        number = str(self.id)
        self.id += 1
        answered = self.events[number] = threading.Event()
        message = {"requestId": number, "requestType": request, "requestData": dict(data)}
        try:
            self.ws.send(json.dumps({"op": 6, "d": message}))
            end = time.monotonic() + self.timeout
            while not answered.wait(0.1) and self.thread_recv.is_alive() and time.monotonic() < end:
                pass
        finally:
            self.events.pop(number, None)
        answer: dict[str, Any] = self.answers.pop(number, {})
        return answer


EventCallback = Callable[[str, Mapping[str, Any]], None]
"""Called with the name and the data of an event."""


class ObsClient:
    """One connection to OBS (obs-websocket 5, included in OBS 28 and later). Threads may share it."""

    def __init__(
        self,
        *,
        host: str = HOST,
        port: int = PORT,
        password: str = "",
        timeout: float = TIMEOUT,
        on_event: EventCallback = lambda name, data: None,
    ) -> None:
        """Connect.

        Args:
            on_event: called with each event as soon as it arrives, in another thread; must not send a
                request.

        Raises:
            ObsUnreachableError: nothing answers at this address.
            WrongPasswordError: the password is wrong, or OBS requires one and none was given.
            ObsError: another program answers, or OBS refuses for another reason.
        """
        self.host, self.port = host, port
        self._lock = threading.Lock()
        self._library = _Library(host, port, password, legacy=False, timeout=timeout)
        self.events: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        """(name, data) of each event, for the caller to process: a request from within a callback would
        deadlock."""
        self._on_event = on_event
        self._library.register(self._receive_event)
        try:
            self._library.connect()
        except (
            exceptions.ConnectionFailure,
            websocket.WebSocketException,
            OSError,
            *_MALFORMED_GREETING,
        ) as error:
            reason = self._library.ws.closed_with
            self._library.ws.shutdown()
            raise self._connection_error(error, reason, password) from error

    def _receive_event(self, event: Any) -> None:
        self._on_event(event.name, event.datain)
        self.events.put((event.name, event.datain))

    def _connection_error(self, error: Exception, reason: tuple[int, str] | None, password: str) -> ObsError:
        address = f"{self.host}:{self.port}"
        if reason is not None and reason[0] == _AUTHENTICATION_FAILED:
            close_code = f"(code {reason[0]}: {reason[1]})"
            if password:
                return WrongPasswordError(
                    f"OBS at {address} rejects the password {close_code}: copy it from Tools > WebSocket "
                    f"Server Settings > Show Connect Info in OBS into {PASSWORD_VARIABLE} or {_FILE_HINT}",
                    *reason,
                )
            return WrongPasswordError(
                f"OBS at {address} requires a password {close_code}: copy it from Tools > WebSocket Server "
                f"Settings > Show Connect Info in OBS into {PASSWORD_VARIABLE} or {_FILE_HINT}",
                *reason,
            )
        if reason is not None:
            return ObsError(f"OBS at {address} closed the connection: code {reason[0]}: {reason[1]}", *reason)
        if isinstance(error, websocket.WebSocketAddressException):
            return ObsError(
                f"unknown host {self.host!r}: give the name or address of the computer that runs OBS "
                f"({HOST} for this one)"
            )
        refused = isinstance(error, ConnectionRefusedError)
        timeout = isinstance(error, (TimeoutError, websocket.WebSocketTimeoutException))
        if refused or (isinstance(error, OSError) and not timeout):
            return ObsUnreachableError(
                f"no OBS at {address} ({getattr(error, 'strerror', None) or error}): start OBS 28 or later "
                "and enable Tools > WebSocket Server Settings > Enable WebSocket server; if its port is not "
                f"{self.port}, use --sink-option obs.port=N, or --obs-port N with livematte obs"
            )
        problem = "does not answer" if timeout else f"is not an obs-websocket 5 server ({error})"
        return ObsError(
            f"the program at {address} {problem}: use the port of Tools > WebSocket Server Settings in OBS "
            f"(default {PORT})"
        )

    @property
    def connected(self) -> bool:
        """True while no loss of the connection has been noticed."""
        thread = self._library.thread_recv
        return bool(self._library.ws.connected) and thread is not None and thread.is_alive()

    def call(self, request: str, **data: Any) -> dict[str, Any]:
        """Send one request and return its responseData.

        Raises:
            ObsError: OBS refused; the exception has its code and comment.
            ObsUnreachableError: the connection was lost, or OBS did not answer in time.
        """
        with self._lock:
            try:
                if not self.connected:
                    raise websocket.WebSocketConnectionClosedException("closed")
                answer = self._library.send_request(request, data)
            except (websocket.WebSocketException, OSError, AttributeError) as error:
                raise ObsUnreachableError(
                    f"OBS at {self.host}:{self.port} closed the connection ({request})"
                ) from error
        if not answer:
            problem = "did not answer in time" if self.connected else "closed the connection"
            raise ObsUnreachableError(f"OBS at {self.host}:{self.port} {problem} ({request})")
        status = answer["requestStatus"]
        if not status["result"]:
            code, comment = int(status["code"]), str(status.get("comment", "")).rstrip(".")
            reason = f": {comment}" if comment else ""
            raise ObsError(f"OBS refused {request} (code {code}{reason})", code, comment)
        response: dict[str, Any] = answer.get("responseData") or {}
        return response

    def close(self) -> None:
        """Close the connection. May be called twice; never raises."""
        thread, connection = self._library.thread_recv, self._library.ws
        if thread is not None:
            thread.running = False
        with contextlib.suppress(websocket.WebSocketException, OSError, AttributeError):
            connection.send_close()
        with contextlib.suppress(OSError):
            if (sock := connection.sock) is not None:  # wake the receiving thread
                sock.shutdown(socket.SHUT_RDWR)
        if thread is not None:
            thread.join(2.0)
        connection.shutdown()


def read_password(file: str | Path | None = None) -> str:
    """Read the WebSocket password: the first line of ``file``, else the variable OBS_PASSWORD, else "".

    There is no command-line option for it, because every user of the machine can read command lines.

    Raises:
        InputError: the file cannot be read.
        UsageError: the file is empty.
    """
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE, "")
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read the password file {str(file)!r}: it is not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"cannot read the password file {str(file)!r}: {error.strerror or error}") from error
    if not lines or not lines[0].strip():
        raise UsageError(
            f"the password file {str(file)!r} is empty: its first line must be the password of OBS"
        )
    return lines[0].strip()


def parse_port(name: str, text: int | str) -> int:
    """Parse the port number ``text``; ``name`` is the option, for the error message.

    Raises:
        UsageError: not a number from 0 to 65535.
    """
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise UsageError(f"{name} {text!r} is invalid: use a number from 0 to 65535")
    return port
