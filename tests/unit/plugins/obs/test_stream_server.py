"""The stream server with TCP clients: PyAV as a reader like OBS, plain sockets as faulty readers."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from av.container import InputContainer

from livematte.errors import OutputError
from livematte.frame import Array
from livematte.plugins.obs import stream_server as module
from livematte.plugins.obs.stream_server import StreamServer

HEIGHT, WIDTH = 36, 50


def picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> Array:
    """Return a picture in which every pixel differs from its neighbours and from other pictures."""
    return (np.arange(height * width * 4).reshape(height, width, 4) * 7 + number * 31).astype(np.uint8)


def numbered(number: int, height: int, width: int) -> Array:
    return np.full((height, width, 4), number, np.uint8)


def until(fact: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def opened(server: StreamServer) -> InputContainer:
    return av.open(server.url, format="nut", timeout=60, options={"probesize": "32", "analyzeduration": "0"})


def connected(server: StreamServer) -> socket.socket:
    """Connect as FFmpeg does: with the secret in the first line."""
    peer = socket.create_connection(("127.0.0.1", server.port), 60)
    peer.sendall(f"/{server.url.rsplit('/', 1)[1]}\r\n".encode())
    return peer


def ends(peer: socket.socket) -> bytes:
    """Return what is received until the server closes the connection."""
    got = b""
    peer.settimeout(60)
    try:
        while block := peer.recv(1 << 16):
            got += block
    except ConnectionError:  # closed with unread data
        pass
    return got


@pytest.fixture
def server() -> Iterator[StreamServer]:
    made = StreamServer(width=WIDTH, height=HEIGHT, rate=Fraction(30), port=0)
    yield made
    made.close()


def test_a_reader_gets_every_pixel_and_its_alpha(server: StreamServer) -> None:
    server.publish(picture(1))
    with opened(server) as reader:
        stream = reader.streams.video[0]
        frames = reader.decode(stream)
        first = next(frames)
        assert (stream.codec_context.name, first.format.name) == ("rawvideo", "bgra")
        got = first.to_ndarray(format="bgra")
        assert np.array_equal(got, picture(1))
        assert len(np.unique(got[..., 3])) == 64
        server.publish(picture(2))
        assert np.array_equal(next(frames).to_ndarray(format="bgra"), picture(2))


def test_pictures_are_a_millisecond_apart_whenever_they_come(server: StreamServer) -> None:
    server.publish(picture(0))
    with opened(server) as reader:
        packets = reader.demux(video=0)
        times = []
        for number in range(1, 4):
            packet = next(packets)
            assert packet.pts is not None
            times.append(packet.pts * packet.time_base)
            server.publish(picture(number))
            time.sleep(0.02)
    assert times == [0, Fraction(1, 1000), Fraction(2, 1000)]


def test_clients_that_come_late_start_their_own_stream(server: StreamServer) -> None:
    server.publish(picture(0))
    with opened(server) as first:
        one = next(first.decode(video=0))
        server.publish(picture(5))
        with opened(server) as second:
            assert until(lambda: server.clients == 2)
            other = next(second.decode(video=0))
            assert (one.pts, other.pts) == (0, 0)
            assert np.array_equal(other.to_ndarray(format="bgra"), picture(5))


def test_a_stalled_client_slows_nobody_and_gets_the_newest_when_it_wakes() -> None:
    height, width, last = 360, 640, 40
    server = StreamServer(width=width, height=height, rate=Fraction(30), port=0)
    try:
        server.publish(numbered(0, height, width))
        with opened(server) as stalled, opened(server) as awake:
            assert until(lambda: server.clients == 2)
            good, slow = awake.decode(video=0), stalled.decode(video=0)
            slowest = 0.0
            seen = []
            for number in range(1, last + 1):
                start = time.monotonic()
                server.publish(numbered(number, height, width))
                slowest = max(slowest, time.monotonic() - start)
                while not seen or seen[-1] != number:
                    seen.append(first_byte(next(good)))
            assert seen == sorted(seen) and seen[-1] == last
            assert slowest < module.SEND_TIMEOUT, "a blocking send would have waited that long"
            late = []
            while not late or late[-1] != last:
                late.append(first_byte(next(slow)))
            assert late == sorted(late)
            assert len(late) < last / 2, "the rest was dropped, not queued"
    finally:
        server.close()


def first_byte(frame: av.VideoFrame) -> int:
    return int(frame.to_ndarray(format="bgra")[0, 0, 0])


@pytest.mark.parametrize("rude", [False, True], ids=["hangs up", "resets the connection"])
def test_a_client_that_goes_away_leaves_the_others_alone(server: StreamServer, rude: bool) -> None:
    server.publish(picture(0))
    with opened(server) as good:
        frames = good.decode(video=0)
        next(frames)
        bad = connected(server)
        assert until(lambda: server.clients == 2)
        if rude:
            bad.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        bad.close()
        number = 1

        def alone() -> bool:
            nonlocal number
            server.publish(picture(number))
            number += 1
            return server.clients == 1

        assert until(alone)
        server.publish(picture(200))
        assert any(
            np.array_equal(next(frames).to_ndarray(format="bgra"), picture(200)) for _ in range(number + 1)
        )


def test_a_client_that_leaves_while_nothing_is_sent_is_noticed(server: StreamServer) -> None:
    silent = connected(server)
    assert until(lambda: server.clients == 1)
    silent.close()
    assert until(lambda: server.clients == 0)


def test_a_client_that_reads_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_TIMEOUT", 0.2)
    server = StreamServer(width=1280, height=720, rate=Fraction(30), port=0)
    try:
        with connected(server):
            assert until(lambda: server.clients == 1)

            def gone() -> bool:
                server.publish(np.zeros((720, 1280, 4), np.uint8))
                return server.clients == 0

            assert until(gone)
    finally:
        server.close()


class Recorded:
    """A fake connection that stores each sent block and fails after some of them."""

    def __init__(self, last: int, first_line: bytes) -> None:
        self.sent: list[bytes] = []
        self._last, self._first_line = last, first_line

    def recv(self, limit: int) -> bytes:
        return self._first_line[:limit]

    def sendall(self, data: bytes) -> None:
        if len(self.sent) == self._last:
            raise BrokenPipeError
        self.sent.append(bytes(data))

    def ignore(self, *_: object) -> None: ...

    setsockopt = settimeout = shutdown = close = ignore


def test_the_first_byte_of_a_picture_goes_alone(server: StreamServer) -> None:
    """Otherwise OBS 29 cannot quit while pictures arrive; see tests/integration/test_obs_real.py."""
    server.publish(picture(0))
    connection = Recorded(3, f"/{server.url.rsplit('/', 1)[1]}\n".encode())
    client = module._ClientThread(server, connection)  # type: ignore[arg-type]
    server._waiting[client] = None
    client.start()

    def ended() -> bool:
        server.publish(picture(1))
        return not client.is_alive()

    assert until(lambda: len(connection.sent) == 3)
    assert until(ended)
    head, first, rest = connection.sent
    assert head.startswith(b"nut/multimedia container\0")
    assert first == b"N" and rest.startswith(b"K"), "a syncpoint's startcode"
    assert picture(0).tobytes() in rest


def test_disconnect_clients_refuses_new_ones_for_a_while(
    server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECONNECT_PAUSE", 600.0)
    with connected(server) as reader:
        assert until(lambda: server.clients == 1)
        server.disconnect_clients()
        ends(reader)
    with connected(server) as early:
        assert ends(early) == b""
    monkeypatch.setattr(module, "RECONNECT_PAUSE", 0.0)
    server.disconnect_clients()
    server.publish(picture(1))
    with opened(server) as reader_again:
        frame = next(reader_again.decode(video=0))
        assert np.array_equal(frame.to_ndarray(format="bgra"), picture(1))


def test_closing_ends_the_stream_and_frees_the_port(server: StreamServer) -> None:
    server.publish(picture(0))
    with opened(server) as reader:
        frames = reader.decode(video=0)
        next(frames)
        server.close()
        server.close()
        assert list(frames) == []
    again = StreamServer(width=WIDTH, height=HEIGHT, rate=Fraction(30), port=server.port)
    assert again.port == server.port
    again.close()


def test_a_taken_port_is_replaced_by_a_free_one(server: StreamServer) -> None:
    other = StreamServer(width=WIDTH, height=HEIGHT, rate=Fraction(30), port=server.port)
    try:
        assert other.port not in (0, server.port)
        other.publish(picture(3))
        with opened(other) as reader:
            assert np.array_equal(next(reader.decode(video=0)).to_ndarray(format="bgra"), picture(3))
    finally:
        other.close()


def test_only_this_machine_can_connect(server: StreamServer) -> None:
    assert re.fullmatch(rf"gopher://127\.0\.0\.1:{server.port}/9/[0-9a-f]{{32}}", server.url)
    assert server._server.getsockname()[0] == "127.0.0.1"


def test_an_invalid_port_is_refused() -> None:
    with pytest.raises(OutputError, match="port 70000 is invalid: use 0"):
        StreamServer(width=4, height=4, rate=Fraction(30), port=70000)


def test_a_picture_of_another_size_is_refused(server: StreamServer) -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        server.publish(picture(0, HEIGHT, WIDTH + 1))


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\n",
        b"/" + b"0" * 32 + b"\r\n",
        b"x" * 500,
        b"\xff\n",
    ],
    ids=["a web page", "nothing", "a guess", "too long", "not ASCII"],
)
def test_who_does_not_know_the_secret_gets_nothing_and_does_not_count(
    server: StreamServer, line: bytes
) -> None:
    server.publish(picture(0))
    with socket.create_connection(("127.0.0.1", server.port), 60) as stranger:
        stranger.sendall(line)
        assert ends(stranger) == b"" and server.clients == 0
    with opened(server) as reader:
        assert next(reader.decode(video=0)) is not None


def test_who_sends_nothing_is_disconnected(server: StreamServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECRET_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", server.port), 60) as silent:
        assert ends(silent) == b""


def test_many_silent_connections_keep_nobody_out(
    server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECRET_SECONDS", 60.0)
    server.publish(picture(1))
    silent = [socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(3 * module.WAITING)]
    with opened(server) as reader:
        assert np.array_equal(next(reader.decode(video=0)).to_ndarray(format="bgra"), picture(1))
        assert len(server._waiting) <= module.WAITING
    for peer in silent:
        peer.close()


def test_no_more_clients_than_allowed_read_the_stream(
    server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLIENTS", 2)
    readers = [connected(server) for _ in range(2)]
    assert until(lambda: server.clients == 2)
    with connected(server) as third:
        assert ends(third) == b""
    readers.pop().close()
    assert until(lambda: server.clients == 1)
    with connected(server):
        assert until(lambda: server.clients == 2)
    readers.pop().close()
