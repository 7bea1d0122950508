"""Serve pictures over loopback TCP: NUT with raw BGRA video, one muxer per client, always the newest picture.

A client sends the secret of the stream in its first line, as ``/SECRET``, else it gets nothing and does not
count: every program and web page on this machine can connect to the port. FFmpeg sends such a line for an
address of the kind ``gopher://127.0.0.1:24455/9/SECRET`` and then reads plain bytes, so that a Media Source
in OBS and every program that uses FFmpeg can read the stream.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import sys
import threading
import time
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np

from livematte.errors import OutputError
from livematte.frame import Array

PORT = 24455
HOST = "127.0.0.1"
TICK = Fraction(1, 1000)
"""Seconds between two pictures according to the stream. OBS schedules pictures by pts, so pictures that queue
while OBS opens the stream delay all later ones: 214 ms (median) with the true times. With 1 ms each picture
is always overdue and is shown on arrival, after 12 to 35 ms."""
SEND_TIMEOUT = 10.0
"""Seconds after which a client that reads nothing is disconnected; OBS reconnects by itself."""
RECONNECT_PAUSE = 3.0
"""Seconds without new clients after :meth:`StreamServer.disconnect_clients`; OBS tries once a second."""
_POLL_SECONDS = 0.5
"""Interval at which the connection of a client is checked while there is nothing to send, in seconds."""
_SEND_BUFFER = 1 << 18
"""Send buffer of a client in bytes: smaller than a picture, so that a slow client does not get old
pictures."""
_WRITE = 1 << 20
"""Write buffer of the muxer in bytes."""
CLIENTS = 8
"""Maximum number of clients that read the stream; each needs memory for a few pictures."""
WAITING = 16
"""Maximum number of connections that have not sent the secret; the oldest is closed for a new one."""
SECRET_SECONDS = 2.0
"""Time limit for sending the secret; FFmpeg sends it as soon as it is connected."""
_SECRET_BYTES = 128


def stream_address(port: int, secret: str) -> str:
    """Return the address of a stream on this machine, in the syntax of FFmpeg."""
    return f"gopher://{HOST}:{port}/9/{secret}"


class StreamServer:
    """Serves the picture of the last :meth:`publish` to :data:`CLIENTS` clients, each in its own thread.

    A slow client misses pictures. Only programs on this machine that know the secret can read.
    """

    def __init__(
        self, *, width: int, height: int, rate: Fraction, port: int = PORT, secret: str | None = None
    ) -> None:
        """Start to listen.

        Args:
            width, height: size of the pictures in pixels.
            rate: pictures per second, written to the stream header; timestamps do not follow it.
            port: preferred port; a free port if it is in use or 0.
            secret: what a client must send, letters and digits; None: a new one.

        Raises:
            OutputError: no port can be opened.
        """
        self.width, self.height, self.rate = width, height, rate
        self._secret = secret or secrets.token_hex(16)
        self._server = _listen(port)
        self.port = int(self._server.getsockname()[1])
        self._changed = threading.Condition()
        self._picture: Array | None = None
        self._number = 0
        self._clients: set[_ClientThread] = set()
        self._waiting: dict[_ClientThread, None] = {}  # in order of arrival
        self._closed = False
        self._refuse_until = 0.0
        self._accept_thread = threading.Thread(target=self._accept, name="obs stream accept", daemon=True)
        self._accept_thread.start()

    @property
    def url(self) -> str:
        """Address that clients open, in the syntax of FFmpeg; it contains the secret."""
        return stream_address(self.port, self._secret)

    @property
    def clients(self) -> int:
        """Number of clients that read the stream."""
        with self._changed:
            return len(self._clients)

    def publish(self, picture: Array) -> None:
        """Make ``picture`` the newest. Never waits for clients.

        Args:
            picture: (height, width, 4) uint8 BGRA with straight alpha, C-contiguous. Must not be changed
                afterwards.
        """
        if picture.shape != (self.height, self.width, 4) or picture.dtype != np.uint8:
            raise ValueError(
                f"picture is {picture.dtype} {picture.shape}: it must be uint8 {(self.height, self.width, 4)}"
            )
        with self._changed:
            self._picture = picture
            self._number += 1
            self._changed.notify_all()

    def wait_for_newer(self, number: int, timeout: float) -> tuple[int, Array | None]:
        """Wait until the newest picture has another number than ``number``, at most ``timeout`` seconds.

        Returns:
            The number of the newest picture, and the picture; None if it is not newer.

        Raises:
            EOFError: the server is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number != number, timeout)
            if self._closed:
                raise EOFError
            return self._number, self._picture if self._number != number else None

    def admit(self, client: _ClientThread, line: bytes) -> bool:
        """Count a client that sent the first line ``line``; False if it is wrong or there are too many."""
        right = secrets.compare_digest(line.strip(), f"/{self._secret}".encode())
        with self._changed:
            if not right or self._closed or len(self._clients) >= CLIENTS:
                return False
            del self._waiting[client]
            self._clients.add(client)
            self._changed.notify_all()
            return True

    def remove_client(self, client: _ClientThread) -> None:
        """Remove a client whose connection has ended."""
        with self._changed:
            self._clients.discard(client)
            self._waiting.pop(client, None)
            self._changed.notify_all()

    def disconnect_clients(self) -> None:
        """Disconnect all clients, even within a picture, and accept none for :data:`RECONNECT_PAUSE` s."""
        with self._changed:
            self._refuse_until = time.monotonic() + RECONNECT_PAUSE
            clients = [*self._clients, *self._waiting]
        for client in clients:
            client.disconnect()

    def close(self) -> None:
        """Disconnect all clients and stop listening. May be called twice; never raises."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            clients = [*self._clients, *self._waiting]
            self._changed.notify_all()
        _close_socket(self._server)
        for client in clients:
            client.disconnect()
        # On some systems closing a listening socket does not end accept(); a connection does.
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, self.port), 0.2).close()
        for thread in (self._accept_thread, *clients):
            thread.join(2.0)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(0.05)  # out of file descriptors: retry
                continue
            try:
                client = _ClientThread(self, connection)
                with self._changed:
                    refused = time.monotonic() < self._refuse_until or not self._make_room()
                    if self._closed or refused:
                        connection.close()
                        continue  # accept() ends the loop once the server is closed
                    self._waiting[client] = None
                    try:
                        client.start()
                    except RuntimeError:
                        del self._waiting[client]
                        raise
            except (OSError, RuntimeError):  # the client has gone, or no thread can be started
                connection.close()

    def _make_room(self) -> bool:
        """Close the oldest connection that has not sent the secret if there are :data:`WAITING` of them."""
        if len(self._waiting) >= WAITING:
            next(iter(self._waiting)).disconnect()
            self._changed.wait_for(lambda: len(self._waiting) < WAITING, 0.5)
        return len(self._waiting) < WAITING


class _ClientThread(threading.Thread):
    """One reader of the stream."""

    def __init__(self, server: StreamServer, connection: socket.socket) -> None:
        super().__init__(name="obs stream client", daemon=True)
        self._server, self._connection, self._first_write = server, connection, False
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def disconnect(self) -> None:
        """Shut the connection down, even within a picture. The thread of this client then closes it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Send until either side closes the connection. A connection error ends only this client."""
        try:
            with contextlib.suppress(OSError, EOFError, av.FFmpegError):
                if self._server.admit(self, self._read_first_line()):
                    self._connection.settimeout(SEND_TIMEOUT)
                    self._serve()
        finally:
            _close_socket(self._connection)
            self._server.remove_client(self)

    def write(self, data: bytes) -> int:
        """Send ``data`` for the muxer; the first byte of a picture separately.

        When OBS quits, it interrupts the second read of a picture, every 20 ms. If that read is within the
        pixels, OBS 29.0 treats the picture as damaged and continues reading forever; if it is in the header,
        OBS stops. The separate first byte makes sure that the second read is in the header.
        """
        if self._first_write:
            self._first_write = False
            self._connection.sendall(data[:1])
            data = data[1:]
            self._connection.sendall(data)
            return len(data) + 1
        self._connection.sendall(data)
        return len(data)

    def _read_first_line(self) -> bytes:
        """Return the first line, or its beginning if it is too long.

        Raises:
            TimeoutError: it was not complete after :data:`SECRET_SECONDS`.
            EOFError: the client closed the connection first.
        """
        end, line = time.monotonic() + SECRET_SECONDS, b""
        while b"\n" not in line and len(line) < _SECRET_BYTES:
            self._connection.settimeout(max(0.001, end - time.monotonic()))
            received = self._connection.recv(_SECRET_BYTES - len(line))
            if not received:
                raise EOFError
            line += received
        return line

    def _serve(self) -> None:
        server = self._server
        container = av.open(
            cast(Any, self),
            "w",
            format="nut",
            options={"flush_packets": "1", "write_index": "0"},
            buffer_size=_WRITE,
        )
        try:
            stream = container.add_stream("rawvideo", rate=server.rate)
            stream.width, stream.height, stream.pix_fmt = server.width, server.height, "bgra"
            stream.time_base = stream.codec_context.time_base = TICK
            container.start_encoding()
            number, pts = 0, 0
            while True:
                number, picture = server.wait_for_newer(number, _POLL_SECONDS)
                if picture is None:
                    self._check_connected()
                    continue
                packet = av.Packet(cast(Any, picture.reshape(-1)))
                packet.stream, packet.time_base = stream, TICK
                packet.pts = packet.dts = pts
                packet.is_keyframe = True
                self._first_write = True
                container.mux(packet)
                pts += 1
        finally:
            with contextlib.suppress(OSError, av.FFmpegError):
                container.close()

    def _check_connected(self) -> None:
        """Raise EOFError if the client closed the connection. Data from the client is ignored."""
        if select.select([self._connection], [], [], 0)[0] and not self._connection.recv(1024):
            raise EOFError


def _listen(port: int) -> socket.socket:
    problem: OSError | None = None
    for wanted in dict.fromkeys((port, 0)):
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform == "win32":
            server.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # allows an immediate restart
        try:
            server.bind((HOST, wanted))
            server.listen()
            return server
        except (OSError, OverflowError) as error:
            server.close()
            if isinstance(error, OverflowError):
                raise OutputError(f"port {port} is invalid: use 0 (any free port) to 65535") from error
            problem = error
    raise OutputError(
        f"cannot listen on {HOST}:{port} ({problem}): use another port with --sink-option obs.stream-port=N"
    ) from problem


def _close_socket(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        connection.close()
