"""Real TCP clients on the overlay: PyAV as the reader that OBS is, plain sockets as bad ones."""

from __future__ import annotations

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
from livematte.plugins.obs import overlay as module
from livematte.plugins.obs.overlay import Overlay

HEIGHT, WIDTH = 36, 50


def picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> Array:
    """Every pixel differs from its neighbours in all four channels, and from that of another number."""
    return (np.arange(height * width * 4).reshape(height, width, 4) * 7 + number * 31).astype(np.uint8)


def numbered(number: int, height: int, width: int) -> Array:
    return np.full((height, width, 4), number, np.uint8)


def until(fact: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def opened(overlay: Overlay) -> InputContainer:
    return av.open(overlay.url, format="nut", timeout=10, options={"probesize": "32", "analyzeduration": "0"})


@pytest.fixture
def overlay() -> Iterator[Overlay]:
    made = Overlay(width=WIDTH, height=HEIGHT, rate=Fraction(30), port=0)
    yield made
    made.close()


def test_a_reader_gets_every_pixel_and_its_alpha(overlay: Overlay) -> None:
    overlay.publish(picture(1))
    with opened(overlay) as reader:
        stream = reader.streams.video[0]
        frames = reader.decode(stream)
        first = next(frames)
        assert (stream.codec_context.name, first.format.name) == ("rawvideo", "bgra")
        got = first.to_ndarray(format="bgra")
        assert np.array_equal(got, picture(1))
        assert len(np.unique(got[..., 3])) == 64
        overlay.publish(picture(2))
        assert np.array_equal(next(frames).to_ndarray(format="bgra"), picture(2))


def test_pictures_are_a_millisecond_apart_whenever_they_come(overlay: Overlay) -> None:
    overlay.publish(picture(0))
    with opened(overlay) as reader:
        packets = reader.demux(video=0)
        times = []
        for number in range(1, 4):
            packet = next(packets)
            assert packet.pts is not None
            times.append(packet.pts * packet.time_base)
            overlay.publish(picture(number))
            time.sleep(0.02)
    assert times == [0, Fraction(1, 1000), Fraction(2, 1000)]


def test_clients_that_come_late_start_their_own_stream(overlay: Overlay) -> None:
    overlay.publish(picture(0))
    with opened(overlay) as first:
        one = next(first.decode(video=0))
        overlay.publish(picture(5))
        with opened(overlay) as second:
            assert until(lambda: overlay.clients == 2)
            other = next(second.decode(video=0))
            assert (one.pts, other.pts) == (0, 0)
            assert np.array_equal(other.to_ndarray(format="bgra"), picture(5))


def test_a_stalled_client_slows_nobody_and_gets_the_newest_when_it_wakes() -> None:
    height, width, last = 360, 640, 40
    overlay = Overlay(width=width, height=height, rate=Fraction(30), port=0)
    try:
        overlay.publish(numbered(0, height, width))
        with opened(overlay) as stalled, opened(overlay) as awake:
            assert until(lambda: overlay.clients == 2)
            good, slow = awake.decode(video=0), stalled.decode(video=0)
            slowest = 0.0
            seen = []
            for number in range(1, last + 1):
                start = time.monotonic()
                overlay.publish(numbered(number, height, width))
                slowest = max(slowest, time.monotonic() - start)
                while not seen or seen[-1] != number:
                    seen.append(first_byte(next(good)))
            assert seen == sorted(seen) and seen[-1] == last
            assert slowest < 1.0  # a blocking send would have waited for STALLED = 10 s
            late = []
            while not late or late[-1] != last:
                late.append(first_byte(next(slow)))
            assert late == sorted(late)
            assert len(late) < last / 2, "the rest was dropped, not queued"
    finally:
        overlay.close()


def first_byte(frame: av.VideoFrame) -> int:
    return int(frame.to_ndarray(format="bgra")[0, 0, 0])


@pytest.mark.parametrize("rude", [False, True], ids=["hangs up", "resets the connection"])
def test_a_client_that_goes_away_leaves_the_others_alone(overlay: Overlay, rude: bool) -> None:
    overlay.publish(picture(0))
    with opened(overlay) as good:
        frames = good.decode(video=0)
        next(frames)
        bad = socket.create_connection(("127.0.0.1", overlay.port))
        assert until(lambda: overlay.clients == 2)
        if rude:
            bad.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        bad.close()
        number = 1

        def alone() -> bool:
            nonlocal number
            overlay.publish(picture(number))
            number += 1
            return overlay.clients == 1

        assert until(alone)
        overlay.publish(picture(200))
        assert any(
            np.array_equal(next(frames).to_ndarray(format="bgra"), picture(200)) for _ in range(number + 1)
        )


def test_a_client_that_leaves_while_nothing_is_sent_is_noticed(overlay: Overlay) -> None:
    silent = socket.create_connection(("127.0.0.1", overlay.port))
    assert until(lambda: overlay.clients == 1)
    silent.close()
    assert until(lambda: overlay.clients == 0)


def test_a_client_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALLED", 0.2)
    overlay = Overlay(width=1280, height=720, rate=Fraction(30), port=0)
    try:
        with socket.create_connection(("127.0.0.1", overlay.port)):
            assert until(lambda: overlay.clients == 1)

            def gone() -> bool:
                overlay.publish(np.zeros((720, 1280, 4), np.uint8))
                return overlay.clients == 0

            assert until(gone)
    finally:
        overlay.close()


class Recorded:
    """A connection that keeps what is sent apart as it was sent, and ends after some of it."""

    def __init__(self, last: int) -> None:
        self.sent: list[bytes] = []
        self._last = last

    def sendall(self, data: bytes) -> None:
        if len(self.sent) == self._last:
            raise BrokenPipeError
        self.sent.append(bytes(data))

    def ignore(self, *_: object) -> None: ...

    setsockopt = settimeout = shutdown = close = ignore


def test_the_first_byte_of_a_picture_goes_alone(overlay: Overlay) -> None:
    """Else OBS 29 cannot quit while pictures flow: tests/integration/test_obs_real.py shows it."""
    overlay.publish(picture(0))
    connection = Recorded(last=3)
    client = module._Client(overlay, connection)  # type: ignore[arg-type]
    client.start()

    def ended() -> bool:
        overlay.publish(picture(1))
        return not client.is_alive()

    assert until(lambda: len(connection.sent) == 3)
    assert until(ended)
    head, first, rest = connection.sent
    assert head.startswith(b"nut/multimedia container\0")
    assert first == b"N" and rest.startswith(b"K"), "a syncpoint's startcode"
    assert picture(0).tobytes() in rest


def test_hanging_up_drops_readers_at_once_and_lets_nobody_in_for_a_while(
    overlay: Overlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REST", 0.5)
    with socket.create_connection(("127.0.0.1", overlay.port), 5) as reader:
        assert until(lambda: overlay.clients == 1)
        overlay.hang_up()
        reader.settimeout(5)
        while reader.recv(1 << 16):
            pass
    with socket.create_connection(("127.0.0.1", overlay.port), 5) as early:
        early.settimeout(5)
        assert early.recv(1) == b""
    time.sleep(0.5)
    overlay.publish(picture(1))
    with opened(overlay) as reader_again:
        frame = next(reader_again.decode(video=0))
        assert np.array_equal(frame.to_ndarray(format="bgra"), picture(1))


def test_closing_ends_the_stream_and_frees_the_port(overlay: Overlay) -> None:
    overlay.publish(picture(0))
    with opened(overlay) as reader:
        frames = reader.decode(video=0)
        next(frames)
        overlay.close()
        overlay.close()
        assert list(frames) == []
    again = Overlay(width=WIDTH, height=HEIGHT, rate=Fraction(30), port=overlay.port)
    assert again.port == overlay.port
    again.close()


def test_a_taken_port_is_replaced_by_a_free_one(overlay: Overlay) -> None:
    other = Overlay(width=WIDTH, height=HEIGHT, rate=Fraction(30), port=overlay.port)
    try:
        assert other.port not in (0, overlay.port)
        other.publish(picture(3))
        with opened(other) as reader:
            assert np.array_equal(next(reader.decode(video=0)).to_ndarray(format="bgra"), picture(3))
    finally:
        other.close()


def test_only_this_machine_can_connect(overlay: Overlay) -> None:
    assert overlay.url == f"tcp://127.0.0.1:{overlay.port}"
    assert overlay._server.getsockname()[0] == "127.0.0.1"


def test_an_impossible_port_is_refused() -> None:
    with pytest.raises(OutputError, match="port 70000: allowed is 0"):
        Overlay(width=4, height=4, rate=Fraction(30), port=70000)


def test_a_picture_of_another_size_is_refused(overlay: Overlay) -> None:
    with pytest.raises(ValueError, match="allowed is uint8"):
        overlay.publish(picture(0, HEIGHT, WIDTH + 1))
