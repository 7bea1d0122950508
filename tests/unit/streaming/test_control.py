"""A session's ear: real sockets, a session that only remembers, and callers of every kind."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import platform
import socket
import stat
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from livematte.cache import cache_folder
from livematte.clock import SystemClock
from livematte.errors import LivematteError, OutputError, SessionError, UsageError
from livematte.streaming import control, control_link, session_registry
from livematte.streaming.control import Control
from livematte.streaming.control_client import ControlClient
from livematte.streaming.control_link import REQUEST_BYTES, encode_line
from livematte.streaming.frames import PreviewFrame
from livematte.streaming.session_registry import RegisteredSession, ask, find, running
from livematte.streaming.stats import LiveMeter, LiveStats
from tests.livepeers import HEIGHT, WIDTH, camera_frame


class Remembers:
    """A session; ``wrong`` is raised by whatever is set. ``hold`` keeps ``model`` waiting while it is set."""

    def __init__(self) -> None:
        self.paused = self.frozen = self.mirror = False
        self.choke = self.feather = 0.0
        self.keep, self.frame = "all", "off"
        self.camera: str | None = None
        self.size: int | None = None
        self.to, self.refine, self.delay = ["none"], "guided", 0.0
        self.shown: PreviewFrame | None = None
        self.wrong: BaseException | None = None
        self.waits, self.going_on = threading.Event(), threading.Event()
        self.going_on.set()
        self._background, self._model = "green", "some-model"

    @property
    def background(self) -> str:
        return self._background

    @background.setter
    def background(self, spec: str) -> None:
        if self.wrong is not None:
            raise self.wrong
        self._background = spec

    @property
    def model(self) -> str:
        return self._model

    @model.setter
    def model(self, name: str) -> None:
        self.waits.set()
        assert self.going_on.wait(60)
        self._model = name

    def stats(self) -> LiveStats:
        return LiveMeter(SystemClock()).stats(
            late=0, skipped=0, level=0, steps=0, size=(160, 288), watched=None, sink_notes=["hot"]
        )


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sessions of these tests are found."""
    own = tmp_path / "run"
    monkeypatch.setattr(session_registry, "folders", lambda: [own])
    return own


@pytest.fixture
def steered() -> Remembers:
    return Remembers()


@pytest.fixture
def stopped() -> threading.Event:
    return threading.Event()


@pytest.fixture
def ear(steered: Remembers, stopped: threading.Event) -> Iterator[Control]:
    with Control(steered, stopped.set, name="desk") as opened:
        yield opened


def call(ear: Control) -> socket.socket:
    """A connection on which nothing is said yet."""
    address = ear.registration.address
    assert isinstance(address, str)
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(60)
    peer.connect(address)
    return peer


def said(peer: socket.socket) -> bytes:
    """All that comes until the other side hangs up."""
    got = b""
    while block := peer.recv(1 << 16):
        got += block
    return got


needs_unix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")


def test_every_command_arrives(ear: Control, steered: Remembers, stopped: threading.Event) -> None:
    facts = ask("background", "/pictures/beach.jpg")
    assert facts == {
        "session": "desk",
        "pid": os.getpid(),
        "background": "/pictures/beach.jpg",
        "model": "some-model",
        "keep": "all",
        "choke": 0,
        "feather": 0,
        "frame": "off",
        "camera": None,
        "mirror": False,
        "to": ["none"],
        "delay": 0,
        "size": None,
        "refine": "guided",
        "paused": False,
        "frozen": False,
    }
    assert ask("blur", 12)["background"] == "blur:12" and ask("blur", 12.5)["background"] == "blur:12.5"
    assert ask("model", "other")["model"] == steered.model == "other"
    assert ask("choke", -2.5)["choke"] == -2.5 and steered.choke == -2.5
    for wrong, words in ((99, "use -20 to 20"), ("wide", "use a number"), (True, "use a number")):
        with pytest.raises(LivematteError, match=words):
            ask("choke", wrong)
    assert ask("freeze")["frozen"] is steered.frozen is True
    assert ask("resume")["frozen"] is steered.frozen is False
    assert ask("pause")["paused"] is True and steered.paused is True
    assert ask("resume")["paused"] is False and steered.paused is False
    assert ask("freeze")["frozen"] is True and steered.frozen is True
    assert ask("delay", 250)["delay"] == 250 and steered.delay == 0.25
    assert ask("mirror", "on")["mirror"] is True and steered.mirror is True
    assert ask("size", "320")["size"] == 320 and ask("size", "default")["size"] is None
    assert ask("to", ["none", "obs"])["to"] == steered.to == ["none", "obs"]
    assert ask("to", "none,virtualcam")["to"] == steered.to == ["none", "virtualcam"]
    assert ask("camera", "Desk")["camera"] == steered.camera == "Desk"
    assert ask("refine", "none")["refine"] == steered.refine == "none"
    stats = ask("stats")["stats"]
    assert stats["size"] == [160, 288] and stats["notes"] == ["hot"]
    assert set(stats) == set(asdict(steered.stats()))
    assert not stopped.is_set()
    ask("stop")
    assert stopped.wait(60)


def test_a_refusal_comes_back_as_its_own_line(ear: Control, steered: Remembers) -> None:
    steered.wrong = UsageError("background 'x': no such file;\nallowed are …")
    with pytest.raises(UsageError, match="^background 'x': no such file; allowed are …$"):
        ask("background", "x")
    steered.wrong = OutputError("full")
    with pytest.raises(LivematteError, match="^full$") as refused:
        ask("background", "x")
    assert refused.value.exit_code == 1
    steered.wrong = ZeroDivisionError("what")
    with pytest.raises(LivematteError, match="bug in livematte: ZeroDivisionError: what"):
        ask("background", "x")
    assert steered.background == "green"


@pytest.mark.parametrize(
    ("command", "value", "says"),
    [
        ("background", None, "use text"),
        ("background", "  ", "use text"),
        ("background", "a\0b", "use text"),
        ("background", ["x"], "use text"),
        ("model", 5, "use text"),
        ("blur", "12", "use a number"),
        ("blur", True, "use a number"),
        ("mirror", "yes", "use on or off"),
        ("size", 31, "use 32 to 4096"),
        ("size", 99.5, "use a whole number"),
        ("delay", "soon", "use a number"),
        ("delay", -1, "0 to 2000 milliseconds"),
        ("delay", float("nan"), "delay"),
        ("to", [], "use text"),
        ("to", [7], "use text"),
        ("picture", {"width": 5}, "use 64 to 1280"),
        ("dance", None, "allowed are background, blur, camera"),
        (None, None, "unknown command None"),
        ("background", "x" * (1 << 16), "too long"),
    ],
)
def test_what_cannot_be_is_refused(
    ear: Control, steered: Remembers, command: Any, value: Any, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        ask(command, value)
    assert steered.background == "green" and steered.model == "some-model"


def test_without_a_session_a_line_says_so(place: Path) -> None:
    with pytest.raises(SessionError, match="no live session runs: start one"):
        ask("pause")
    assert not place.exists(), "asking leaves nothing"


def test_a_session_that_ended_is_found_no_more(ear: Control, place: Path) -> None:
    assert find() == ear.registration
    ear.close()
    ear.close()
    assert running() == [] and list(place.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a profile's folders by its own lists")
def test_only_its_user_gets_there(ear: Control, place: Path) -> None:
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    (file,) = place.glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert str(ear.registration.address).startswith(str(place))


@pytest.mark.skipif(sys.platform == "win32", reason="as above")
def test_a_folder_that_was_open_to_others_is_closed(
    place: Path, steered: Remembers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.mkdir(mode=0o755)
    place.chmod(0o755)
    Control(steered, lambda: None).close()
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    link = tmp_path / "link"
    link.symlink_to(place)
    monkeypatch.setattr(session_registry, "folders", lambda: [link])
    with pytest.raises(SessionError, match="own"):
        Control(steered, lambda: None)


@pytest.mark.skipif(sys.platform == "win32", reason="as above")
def test_a_session_leaves_the_cache_usable_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steered: Remembers
) -> None:
    """With umask 002 a folder is writable for a group, and compiled networks in it are not trusted."""
    cache = tmp_path / "home" / ".cache" / "livematte"
    monkeypatch.setattr(session_registry, "folders", lambda: [cache / "control"])
    monkeypatch.setenv("LIVEMATTE_CACHE", str(cache))
    before = os.umask(0o002)
    try:
        Control(steered, lambda: None).close()
        assert cache_folder("openvino") == cache / "openvino"
    finally:
        os.umask(before)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_the_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert session_registry.folder() == tmp_path / "livematte" / "control"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert tmp_path not in session_registry.folder().parents


def test_a_session_that_registered_as_a_service_is_found_from_the_desktop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, steered: Remembers
) -> None:
    desktop, cache = tmp_path / "desktop", tmp_path / "cache"
    monkeypatch.setattr(session_registry, "folders", lambda: [cache])
    with Control(steered, lambda: None, name="service"):
        monkeypatch.setattr(session_registry, "folders", lambda: [desktop, cache])
        assert [found.name for found in session_registry.running()] == ["service"]
        assert ask("stats")["session"] == "service"


@needs_unix
def test_one_of_several_is_named(steered: Remembers, ear: Control) -> None:
    other = Remembers()
    with Control(other, lambda: None) as second:
        with pytest.raises(SessionError, match=rf"--session with one of .*'desk' \(pid {os.getpid()}\)"):
            ask("pause")
        ask("pause", session="desk")
        assert steered.paused and not other.paused
        with pytest.raises(SessionError, match="no live session is called 'nope': use one of"):
            ask("pause", session="nope")
        assert second.registration.name == ""
    ask("resume", session=str(os.getpid()))
    assert not steered.paused


def leave(place: Path, **changes: Any) -> Path:
    """The file and the socket of a session that was killed."""
    place.mkdir(mode=0o700, exist_ok=True)
    path = place / "0123456789abcdef.json"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path.with_suffix(".sock")))
    gone = RegisteredSession(4711, "old", platform.node(), str(path.with_suffix(".sock")), "k", "a")
    path.write_text(json.dumps(asdict(replace(gone, **changes))), encoding="utf-8")
    return path


@needs_unix
def test_what_a_killed_session_left_is_removed(place: Path) -> None:
    path = leave(place)
    assert running() == []
    assert not path.exists() and not path.with_suffix(".sock").exists()


@needs_unix
def test_a_new_session_removes_it_too(place: Path, steered: Remembers) -> None:
    path = leave(place)
    path.unlink()  # killed before it said where it is
    os.utime(path.with_suffix(".sock"), (time.time() - 3600,) * 2)
    (place / "fresh.sock").touch()
    with Control(steered, lambda: None):
        assert not path.with_suffix(".sock").exists()
        assert (place / "fresh.sock").exists(), "one that is just being made"


@needs_unix
def test_sessions_of_another_machine_are_left_alone(place: Path) -> None:
    path = leave(place, host="another")
    assert running() == [] and path.exists()


@needs_unix
def test_files_that_are_no_sessions_are_passed_over(place: Path, ear: Control) -> None:
    (place / "a.json").write_text("{", encoding="utf-8")
    (place / "b.json").write_text('{"pid": 5, "later": true}', encoding="utf-8")
    assert find() == ear.registration


def test_a_port_does_where_there_are_no_such_sockets(
    monkeypatch: pytest.MonkeyPatch, steered: Remembers, stopped: threading.Event
) -> None:
    """As on Windows."""
    monkeypatch.setattr(control_link, "UNIX_SOCKETS", False)
    with Control(steered, stopped.set) as ear:
        assert isinstance(ear.registration.address, int)
        assert ask("background", "white")["background"] == "white"
        with socket.create_connection(("127.0.0.1", ear.registration.address), timeout=20) as stranger:
            stranger.sendall(encode_line({"key": "guess", "command": "stop"}))
            assert said(stranger) == b"" and not stopped.is_set()


def test_a_port_does_where_the_path_is_too_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, steered: Remembers
) -> None:
    monkeypatch.setattr(session_registry, "folders", lambda: [tmp_path / ("x" * 100) / "run"])
    with Control(steered, lambda: None) as ear:
        assert isinstance(ear.registration.address, int)
        assert ask("pause")["paused"]


def test_a_stranger_at_the_port_of_a_killed_session_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, place: Path, steered: Remembers
) -> None:
    monkeypatch.setattr(control_link, "UNIX_SOCKETS", False)
    with Control(steered, lambda: None) as ear:
        (file,) = place.glob("*.json")
        facts = asdict(ear.registration)
        file.write_text(json.dumps({**facts, "answer": "what the killed one would say"}), encoding="utf-8")
        assert running() == [] and not file.exists()


@needs_unix
@pytest.mark.parametrize(
    "sent",
    [
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"[1, 2]\n",
        b'{"command": "stop"}\n',
        b'{"key": 5, "command": "stop"}\n',
        b'{"key": "\\ud800", "command": "stop"}\n',
        b"\xff\xfe\x00\n",
        b"[" * 60000 + b"\n",
        b"x" * (REQUEST_BYTES + 2),
        b"",
    ],
    ids=["empty", "http", "list", "no key", "odd key", "half a character", "bytes", "deep", "long", "silent"],
)
def test_nonsense_gets_no_word_and_does_no_harm(ear: Control, stopped: threading.Event, sent: bytes) -> None:
    with call(ear) as peer:
        try:
            peer.sendall(sent)
            peer.shutdown(socket.SHUT_WR)
            assert said(peer) == b""
        except (ConnectionResetError, BrokenPipeError):
            pass  # hung up while it was still coming
    assert ask("pause")["paused"] and not stopped.is_set()


@needs_unix
def test_slow_callers_hold_up_nobody(ear: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REQUEST_SECONDS", 600.0)  # whoever waited for them would time out first
    slow = [call(ear) for _ in range(control.CLIENTS - 1)]
    for peer in slow:
        peer.sendall(b"{")
    assert ask("pause")["paused"]
    ear.close()
    assert all(said(peer) == b"" for peer in slow)
    for peer in slow:
        peer.close()


@needs_unix
def test_who_takes_too_long_is_hung_up_on(ear: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.2)
    with call(ear) as peer:
        peer.sendall(b'{"key"')
        assert said(peer) == b""


@needs_unix
def test_silent_callers_make_room_for_new_ones(
    ear: Control, stopped: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "REQUEST_SECONDS", 600.0)
    silent = []
    for _ in range(3 * control.CLIENTS):
        silent.append(call(ear))
        time.sleep(0.001)  # the queue of the socket has an end
    assert ask("pause")["paused"]
    assert said(silent[0]) == b"" and len(ear._receiving) <= control.CLIENTS
    ask("stop")
    assert stopped.wait(60)
    for peer in silent:
        peer.close()


def test_held_connections_have_an_end(ear: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "HELD", 2)

    async def run() -> None:
        clients = [await ControlClient.open(ear.registration) for _ in range(3)]
        assert [(await client.ask("ping"))["pid"] for client in clients[:2]] == 2 * [os.getpid()]
        with pytest.raises(SessionError, match="closed the connection"):
            await clients[2].ask("ping")
        for client in clients:
            await client.close()

    asyncio.run(run())


def test_blocked_changes_keep_no_other_command_waiting(
    ear: Control, steered: Remembers, stopped: threading.Event
) -> None:
    """One change blocks, others wait for it, and further ones are refused at once."""
    steered.going_on.clear()
    heard: list[dict[str, Any]] = []
    callers = [
        threading.Thread(target=lambda: heard.append(ask("model", "large")))
        for _ in range(control.CHANGES_AT_ONCE)
    ]
    for caller in callers:
        caller.start()
    assert steered.waits.wait(60)
    while ear._changes < control.CHANGES_AT_ONCE:
        time.sleep(0.01)
    with pytest.raises(LivematteError, match="8 other changes are under way: try again later"):
        ask("background", "white")
    assert ask("pause")["paused"] and ask("stats")["paused"]
    steered.going_on.set()
    for caller in callers:
        caller.join(20)
    assert len(heard) == control.CHANGES_AT_ONCE
    assert ask("background", "white")["background"] == "white"
    ask("stop")
    assert stopped.wait(60)


def test_a_change_waits_only_so_long_for_an_earlier_one(
    ear: Control, steered: Remembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CHANGE_SECONDS", 0.1)
    steered.going_on.clear()
    blocked = threading.Thread(target=lambda: ask("model", "large"))
    blocked.start()
    assert steered.waits.wait(60)
    with pytest.raises(LivematteError, match="an earlier change of model is still under way"):
        ask("model", "small")
    steered.going_on.set()
    blocked.join(20)
    assert ask("model", "small")["model"] == "small"


def test_a_model_in_the_making_holds_up_no_other_command(ear: Control, steered: Remembers) -> None:
    steered.going_on.clear()
    heard: list[dict[str, Any]] = []
    caller = threading.Thread(target=lambda: heard.append(ask("model", "large")))
    caller.start()
    assert steered.waits.wait(60)
    assert ask("background", "white")["model"] == "some-model" and ask("pause")["paused"]
    steered.going_on.set()
    caller.join(20)
    assert heard[0]["model"] == "large"


def test_a_silent_session_is_not_waited_for_for_ever(ear: Control, steered: Remembers) -> None:
    steered.going_on.clear()
    with pytest.raises(SessionError, match="does not answer within 0.3 s"):
        ear.registration.ask("model", "large", seconds=0.3)
    steered.going_on.set()


def test_a_session_that_may_not_write_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setattr(session_registry, "folders", lambda: [blocked / "run"])
    with pytest.raises(SessionError, match="cannot be used"):
        Control(Remembers(), lambda: None)


def held(ear: Control, work: Callable[[ControlClient, list[dict[str, Any]]], Awaitable[None]]) -> None:
    """Run ``work`` with one connection that is held, and the states that come through it."""

    async def run() -> None:
        states: list[dict[str, Any]] = []
        client = await ControlClient.open(ear.registration, states.append)
        try:
            await asyncio.wait_for(work(client, states), 120)
        finally:
            await client.close()

    asyncio.run(run())


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def test_one_connection_takes_many_commands_and_hears_of_changes_of_others(ear: Control) -> None:
    async def work(client: ControlClient, states: list[dict[str, Any]]) -> None:
        assert (await client.ask("watch", 60))["background"] == "green"
        await until(lambda: len(states) == 1)
        await asyncio.to_thread(ask, "background", "white")
        await until(lambda: len(states) > 1 and states[-1]["background"] == "white")
        assert states[-1]["stats"]["size"] == [160, 288] and states[-1]["cpu"] >= 0
        assert (await client.ask("pause"))["paused"]
        await until(lambda: states[-1]["paused"])

    held(ear, work)


def test_a_slow_command_does_not_hold_up_the_next_of_its_connection(ear: Control, steered: Remembers) -> None:
    async def work(client: ControlClient, states: list[dict[str, Any]]) -> None:
        steered.going_on.clear()
        slow = asyncio.ensure_future(client.ask("model", "large"))
        assert (await client.ask("pause"))["paused"] and not slow.done()
        steered.going_on.set()
        assert (await slow)["model"] == "large"

    held(ear, work)


def test_a_held_connection_hears_of_the_end(ear: Control) -> None:
    async def work(client: ControlClient, states: list[dict[str, Any]]) -> None:
        await client.ask("watch", 0.1)
        await asyncio.to_thread(ear.close)
        await client.closed.wait()
        with pytest.raises(SessionError, match="has ended"):
            await client.ask("ping")

    held(ear, work)


def test_pictures_are_what_viewers_see_and_the_matte(ear: Control, steered: Remembers) -> None:
    async def work(client: ControlClient, states: list[dict[str, Any]]) -> None:
        assert (await client.ask("picture", {"width": 96}))["pictures"] == {}, "none was sent yet"
        alpha = np.zeros((HEIGHT, WIDTH), np.float32)
        alpha[:, : WIDTH // 2] = 1
        steered.shown = PreviewFrame(camera_frame(), alpha)
        told = await client.ask("picture", {"width": 96, "matte": True})
        decoded = {
            view: cv2.imdecode(np.frombuffer(base64.b64decode(jpeg), np.uint8), cv2.IMREAD_GRAYSCALE)
            for view, jpeg in told["pictures"].items()
        }
        assert set(decoded) == {"composite", "matte"}
        assert decoded["matte"].shape == (HEIGHT, WIDTH)
        assert decoded["matte"][:, 4].min() > 240 and decoded["matte"][:, -4].max() < 15
        assert abs(int(decoded["composite"][32, 48]) - 98) < 15
        again = await client.ask("picture", {"width": 96, "after": told["number"]})
        assert again == {"number": told["number"], "pictures": {}}, "the same one is not sent twice"

    held(ear, work)
