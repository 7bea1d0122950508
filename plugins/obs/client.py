"""A connection to OBS: obs-websocket-py with its gaps closed.

That library waits without end for a server that is silent, drops the code and words of a refused request and
the code of a refused password, counts messages without a lock, and ends its thread with a traceback when a
connection breaks.
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
PASSWORD = "OBS_PASSWORD"
_FILE = "a file (--sink-option obs.password-file=FILE, or livematte obs with --obs-password-file FILE)"
TIMEOUT = 3.0
"""Seconds for the connection and for each answer."""
NOT_READY = 207
"""OBS is still starting or changes its scene collection."""
_AUTHENTICATION_FAILED = 4009
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError)
"""What the library makes of a greeting that is not OBS's."""

# It logs what answers the password's challenge, and lost connections that are dealt with here.
logging.getLogger("obswebsocket").setLevel(logging.CRITICAL)
logging.getLogger("websocket").setLevel(logging.CRITICAL)


class ObsError(OutputError):
    """OBS refused; ``code`` and ``comment`` are its own, as in obs-websocket's protocol."""

    def __init__(self, message: str, code: int | None = None, comment: str = "") -> None:
        super().__init__(message)
        self.code, self.comment = code, comment


class ObsAbsentError(ObsError):
    """Nothing answers, or no longer: OBS is not running, or its websocket server is off."""


class WrongPasswordError(ObsError):
    """OBS is there and does not let us in."""


class _Socket(websocket.WebSocket):
    """Remembers why the other side closed it, and is closed whatever breaks it."""

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
    """Connects within a time, and hands out answers whole."""

    def connect(self) -> None:
        self.ws = _Socket()
        self.ws.connect(f"ws://{self.host}:{self.port}", timeout=self.timeout, http_no_proxy=["*"])
        self._auth()
        self.ws.settimeout(None)
        self.thread_recv = RecvThread(self)
        self.thread_recv.daemon = True
        self.thread_recv.start()

    def ask(self, request: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """The RequestResponse; {} where the connection broke or the time is up."""
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


Heard = Callable[[str, Mapping[str, Any]], None]
"""Takes the name and the data of an event."""


class ObsClient:
    """One connection to OBS (obs-websocket 5, which OBS 28 and later bring). Threads may share it."""

    def __init__(
        self,
        *,
        host: str = HOST,
        port: int = PORT,
        password: str = "",
        timeout: float = TIMEOUT,
        heard: Heard = lambda name, data: None,
    ) -> None:
        """Connect.

        Args:
            heard: called with every event at once, by another thread; makes no request.

        Raises:
            ObsAbsentError: nothing answers there.
            WrongPasswordError: OBS does not take the password, or asks for one and none was given.
            ObsError: something else answers, or OBS refuses for another reason.
        """
        self.host, self.port = host, port
        self._lock = threading.Lock()
        self._library = _Library(host, port, password, legacy=False, timeout=timeout)
        self.events: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        """(name, data) of everything that happened in OBS; a request within a callback would never end."""
        self._heard = heard
        self._library.register(self._happened)
        try:
            self._library.connect()
        except (exceptions.ConnectionFailure, websocket.WebSocketException, OSError, *_NONSENSE) as error:
            reason = self._library.ws.closed_with
            self._library.ws.shutdown()
            raise self._refused(error, reason, password) from error

    def _happened(self, event: Any) -> None:
        self._heard(event.name, event.datain)
        self.events.put((event.name, event.datain))

    def _refused(self, error: Exception, reason: tuple[int, str] | None, password: str) -> ObsError:
        where = f"{self.host}:{self.port}"
        if reason is not None and reason[0] == _AUTHENTICATION_FAILED:
            said = f"(code {reason[0]}: {reason[1]})"
            if password:
                return WrongPasswordError(
                    f"OBS at {where} does not take the password {said}: Tools > WebSocket Server Settings > "
                    f"Show Connect Info in OBS has the right one, for {PASSWORD} or {_FILE}",
                    *reason,
                )
            return WrongPasswordError(
                f"OBS at {where} asks for a password {said}: Tools > WebSocket Server Settings > Show "
                f"Connect Info in OBS shows it; put it into {PASSWORD} or {_FILE}",
                *reason,
            )
        if reason is not None:
            return ObsError(f"OBS at {where} closed the connection: code {reason[0]}: {reason[1]}", *reason)
        if isinstance(error, websocket.WebSocketAddressException):
            return ObsError(
                f"no machine is known as {self.host!r}: give the host where OBS runs, {HOST} for this machine"
            )
        refused = isinstance(error, ConnectionRefusedError)
        timeout = isinstance(error, (TimeoutError, websocket.WebSocketTimeoutException))
        if refused or (isinstance(error, OSError) and not timeout):
            return ObsAbsentError(
                f"no OBS at {where} ({getattr(error, 'strerror', None) or error}): start OBS 28 or later and "
                "switch on Tools > WebSocket Server Settings > Enable WebSocket server; where that has "
                f"another port than {self.port}: --sink-option obs.port=N, or livematte obs with --obs-port N"
            )
        what = "does not answer" if timeout else f"is no obs-websocket 5 server ({error})"
        return ObsError(f"what listens at {where} {what}: is that OBS's WebSocket port? OBS's own is {PORT}")

    @property
    def connected(self) -> bool:
        """Whether OBS is there, as far as is known."""
        thread = self._library.thread_recv
        return bool(self._library.ws.connected) and thread is not None and thread.is_alive()

    def call(self, request: str, **data: Any) -> dict[str, Any]:
        """One request of the protocol, and its responseData.

        Raises:
            ObsError: OBS refused, with its code and words.
            ObsAbsentError: OBS went away, or did not answer in time.
        """
        with self._lock:
            try:
                if not self.connected:
                    raise websocket.WebSocketConnectionClosedException("closed")
                answer = self._library.ask(request, data)
            except (websocket.WebSocketException, OSError, AttributeError) as error:
                raise ObsAbsentError(f"OBS at {self.host}:{self.port} went away ({request})") from error
        if not answer:
            problem = "did not answer in time" if self.connected else "went away"
            raise ObsAbsentError(f"OBS at {self.host}:{self.port} {problem} ({request})")
        status = answer["requestStatus"]
        if not status["result"]:
            code, comment = int(status["code"]), str(status.get("comment", "")).rstrip(".")
            words = f": {comment}" if comment else ""
            raise ObsError(f"OBS refused {request} (code {code}{words})", code, comment)
        response: dict[str, Any] = answer.get("responseData") or {}
        return response

    def close(self) -> None:
        """Hang up; safe to call twice, never raises."""
        thread, connection = self._library.thread_recv, self._library.ws
        if thread is not None:
            thread.running = False
        with contextlib.suppress(websocket.WebSocketException, OSError, AttributeError):
            connection.send_close()
        with contextlib.suppress(OSError):
            if (sock := connection.sock) is not None:  # the thread has not seen the end yet: wake it
                sock.shutdown(socket.SHUT_RDWR)
        if thread is not None:
            thread.join(2.0)
        connection.shutdown()


def read_password(file: str | Path | None = None) -> str:
    """The websocket password: the first line of ``file``, else the variable OBS_PASSWORD, else none.

    Never from the command line, where every user of the machine can read it.

    Raises:
        InputError: the file cannot be read.
        UsageError: it is empty.
    """
    if file is None:
        return os.environ.get(PASSWORD, "")
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read the password file {str(file)!r}: it is no text (UTF-8)") from error
    except OSError as error:
        raise InputError(f"cannot read the password file {str(file)!r}: {error.strerror or error}") from error
    if not lines or not lines[0].strip():
        raise UsageError(f"the password file {str(file)!r} is empty: its first line is OBS's password")
    return lines[0].strip()


def port_number(what: str, text: int | str) -> int:
    """A port number.

    Raises:
        UsageError: it is none.
    """
    try:
        found = int(text)
    except ValueError:
        found = -1
    if not 0 <= found <= 65535:
        raise UsageError(f"{what} {text!r}: allowed is a number from 0 to 65535")
    return found
