"""Pictures over loopback TCP: NUT with raw BGRA, one muxer a client, always the newest picture.

A Media Source in OBS reads it, and so does anything built on FFmpeg: ``ffplay -f nut tcp://127.0.0.1:24455``.
"""

from __future__ import annotations

import contextlib
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
"""Pictures are 1 ms apart in the stream. OBS paces media by pts from its start, so that whatever waits while
it opens stays as lag: 214 ms in the median with true times. This way the due time is always past and each
picture is shown when it comes: 12 to 35 ms."""
STALLED = 10.0
"""Seconds after which a client that takes nothing is let go; OBS comes back by itself."""
REST = 3.0
"""Seconds without new clients after :meth:`Overlay.hang_up`: the source in OBS tries again each second."""
_LOOK = 0.5
"""Seconds between two looks at whether a client is still there while there is nothing to send."""
_SEND_BUFFER = 1 << 18
"""Bytes the system may hold back for a client: less than a picture, else a slow one sees old ones."""
_WRITE = 1 << 20
"""Bytes a call of the muxer writes."""


class Overlay:
    """Serves what :meth:`publish` gives last to any number of clients; each has a thread of its own, and a
    slow one misses pictures. Only this machine can connect, but any of its users can.
    """

    def __init__(self, *, width: int, height: int, rate: Fraction, port: int = PORT) -> None:
        """Listen.

        Args:
            width: of the pictures, in pixels.
            height: of the pictures.
            rate: pictures a second, told to clients; the times in the stream do not follow it.
            port: the one wished for; another one where it is taken, any where it is 0.

        Raises:
            OutputError: nothing can be listened on.
        """
        self.width, self.height, self.rate = width, height, rate
        self._server = _listen(port)
        self.port = int(self._server.getsockname()[1])
        self._changed = threading.Condition()
        self._picture: Array | None = None
        self._number = 0
        self._clients: set[_Client] = set()
        self._closed = False
        self._refusing = 0.0
        self._door = threading.Thread(target=self._accept, name="overlay door", daemon=True)
        self._door.start()

    @property
    def url(self) -> str:
        """What clients open, in FFmpeg's words."""
        return f"tcp://{HOST}:{self.port}"

    @property
    def clients(self) -> int:
        """How many are connected."""
        with self._changed:
            return len(self._clients)

    def publish(self, picture: Array) -> None:
        """Make ``picture`` the newest; returns at once, whatever clients do.

        Args:
            picture: (height, width, 4) uint8 BGRA with straight alpha, C-contiguous. Not changed afterwards.
        """
        if picture.shape != (self.height, self.width, 4) or picture.dtype != np.uint8:
            raise ValueError(
                f"got {picture.dtype} {picture.shape}: allowed is uint8 {(self.height, self.width, 4)}"
            )
        with self._changed:
            self._picture = picture
            self._number += 1
            self._changed.notify_all()

    def newer_than(self, number: int, timeout: float) -> tuple[int, Array | None]:
        """The newest picture and its number as soon as it is not ``number``; None after ``timeout`` seconds.

        Raises:
            EOFError: the overlay is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number != number, timeout)
            if self._closed:
                raise EOFError
            return self._number, self._picture if self._number != number else None

    def leave(self, client: _Client) -> None:
        """A client is gone."""
        with self._changed:
            self._clients.discard(client)

    def hang_up(self) -> None:
        """Let the clients of now go, even in the middle of a picture, and no new ones in for :data:`REST`."""
        with self._changed:
            self._refusing = time.monotonic() + REST
            clients = list(self._clients)
        for client in clients:
            client.hang_up()

    def close(self) -> None:
        """Let all clients go; safe to call twice, never raises."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            clients = list(self._clients)
            self._changed.notify_all()
        _shut(self._server)
        for client in clients:
            client.hang_up()
        # A listening socket is not woken by its closing everywhere.
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, self.port), 0.2).close()
        for thread in (self._door, *clients):
            thread.join(2.0)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(0.05)  # out of file handles: they come back
                continue
            try:
                client = _Client(self, connection)
                with self._changed:
                    if self._closed or time.monotonic() < self._refusing:
                        connection.close()
                        continue  # where it is closed, so is the door
                    client.start()
                    self._clients.add(client)
            except (OSError, RuntimeError):  # gone already, or no thread to be had
                connection.close()


class _Client(threading.Thread):
    """One reader of the stream."""

    def __init__(self, overlay: Overlay, connection: socket.socket) -> None:
        super().__init__(name="overlay client", daemon=True)
        self._overlay, self._connection, self._begins = overlay, connection, False
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        connection.settimeout(STALLED)

    def hang_up(self) -> None:
        """End it, even in the middle of a picture; its own thread closes the connection."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Send until one side ends it: any error of the connection only ends this client."""
        try:
            with contextlib.suppress(OSError, EOFError, av.FFmpegError):
                self._serve()
        finally:
            _shut(self._connection)
            self._overlay.leave(self)

    def write(self, data: bytes) -> int:
        """For the muxer. The first byte of a picture goes alone.

        OBS that wants to quit interrupts its reading once in 20 ms, at the second read of a picture. In the
        middle of the pixels it takes what it has for a damaged picture and reads on for ever (seen with OBS
        29.0); in the header it ends.
        """
        if self._begins:
            self._begins = False
            self._connection.sendall(data[:1])
            data = data[1:]
            self._connection.sendall(data)
            return len(data) + 1
        self._connection.sendall(data)
        return len(data)

    def _serve(self) -> None:
        overlay = self._overlay
        container = av.open(
            cast(Any, self),
            "w",
            format="nut",
            options={"flush_packets": "1", "write_index": "0"},
            buffer_size=_WRITE,
        )
        try:
            stream = container.add_stream("rawvideo", rate=overlay.rate)
            stream.width, stream.height, stream.pix_fmt = overlay.width, overlay.height, "bgra"
            stream.time_base = stream.codec_context.time_base = TICK
            container.start_encoding()
            number, pts = 0, 0
            while True:
                number, picture = overlay.newer_than(number, _LOOK)
                if picture is None:
                    self._still_there()
                    continue
                packet = av.Packet(cast(Any, picture.reshape(-1)))
                packet.stream, packet.time_base = stream, TICK
                packet.pts = packet.dts = pts
                packet.is_keyframe = True
                self._begins = True
                container.mux(packet)
                pts += 1
        finally:
            with contextlib.suppress(OSError, av.FFmpegError):
                container.close()

    def _still_there(self) -> None:
        """Raises EOFError where the other side hung up. What a client says is not listened to."""
        if select.select([self._connection], [], [], 0)[0] and not self._connection.recv(1024):
            raise EOFError


def _listen(port: int) -> socket.socket:
    problem: OSError | None = None
    for wanted in dict.fromkeys((port, 0)):
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform == "win32":
            server.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a restart, at once
        try:
            server.bind((HOST, wanted))
            server.listen()
            return server
        except (OSError, OverflowError) as error:
            server.close()
            if isinstance(error, OverflowError):
                raise OutputError(f"port {port}: allowed is 0 (any) to 65535") from error
            problem = error
    raise OutputError(f"cannot listen on {HOST}:{port}: {problem}") from problem


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        connection.close()
