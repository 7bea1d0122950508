"""The sink ``obs``: real pictures, and a fake OBS that uses the real protocol."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import numpy as np
import pytest

from livematte import cli
from livematte.errors import InputError, LivematteError, UsageError
from livematte.frame import Array, Frame
from livematte.plugins.obs import sink as module
from livematte.plugins.obs.client import ObsClient, WrongPasswordError
from livematte.plugins.obs.controller import ObsController, media_settings
from livematte.plugins.obs.monitor import ItemMonitor
from livematte.plugins.obs.session_lock import SessionLock, holder
from livematte.plugins.obs.shared import HEADER, MAGIC, SLOTS, SharedPictures
from livematte.plugins.obs.sink import ObsSink, obs
from livematte.plugins.obs.stream_secret import load_secret
from livematte.protocols import LiveFormat, LiveSink
from tests.unit.plugins.obs.fake_obs import FakeObs

FORMAT = LiveFormat(width=64, height=36, rate=Fraction(30), alpha=True)


def until(fact: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def frame(luma: int = 100, height: int = 36, width: int = 64) -> Frame:
    alpha = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    grey = np.full((height // 2, width // 2), 128, np.uint8)
    planes = (np.full((height, width), luma, np.uint8), grey, grey, alpha)
    return Frame(planes, "yuva420p", 0, Fraction(1, 30))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of shared memory and of the marks of sessions."""
    for name in ("shared", "session_lock"):
        monkeypatch.setattr(f"livematte.plugins.obs.{name}.shared_memory_folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _folder(folder: Path) -> None: ...


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeObs]:
    monkeypatch.setenv("OBS_PASSWORD", "secret")
    made = FakeObs(removal=0.05)
    yield made
    made.stop()


@pytest.fixture
def open_sink(fake: FakeObs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ObsSink]]:
    """Open sinks whose monitor checks OBS every 0.05 s."""
    original = ItemMonitor.__init__
    monkeypatch.setattr(ItemMonitor, "__init__", lambda *a, **k: original(*a, **{**k, "interval": 0.05}))
    made: list[ObsSink] = []

    def open(format: LiveFormat = FORMAT, **options: Any) -> ObsSink:
        made.append(obs(format, **{"port": fake.port, "stream_port": 0, **options}))
        return made[-1]

    yield open
    for sink in made:
        sink.close()


AT_ONCE = {"probesize": "32", "analyzeduration": "0"}


def read(url: str) -> Array:
    with av.open(url, format="nut", timeout=60, options=AT_ONCE) as reader:
        return next(reader.decode(video=0)).to_ndarray(format="bgra")


def test_frames_come_out_where_the_item_in_obs_reads_them(
    fake: FakeObs, open_sink: Callable[..., ObsSink]
) -> None:
    sink = open_sink()
    assert isinstance(sink, LiveSink) and sink.name == "obs" and obs.wants_alpha  # type: ignore[attr-defined]
    sink.send(frame())
    got = read(fake.inputs["livematte"]["settings"]["input"])
    assert np.array_equal(got[..., 3], frame().planes[3])
    assert len(np.unique(got[..., :3])) <= 3 and abs(int(got[0, 0, 0]) - (100 - 16) * 255 / 219) <= 3


def test_a_repeated_frame_is_converted_once(open_sink: Callable[..., ObsSink]) -> None:
    sink = open_sink()
    first = frame()
    sink.send(first)
    assert sink._last is not None
    picture = sink._last[1]
    sink.send(replace(first, pts=1))
    assert sink._last[1] is picture
    sink.send(frame(200))
    assert sink._last[1] is not picture and sink._last[1][0, 0, 0] > 200


def test_closing_takes_the_item_out_and_leaves_the_rest(
    fake: FakeObs, open_sink: Callable[..., ObsSink]
) -> None:
    fake.add("logo", "image_source")
    sink = open_sink()
    assert set(fake.inputs) == {"logo", "livematte"}
    sink.close()
    sink.close()
    assert set(fake.inputs) == {"logo"}
    assert sink.notes == []
    changing = {name for name, _ in fake.requests if not name.startswith("Get")}
    assert changing <= {
        "CreateInput", "SetSceneItemTransform", "RemoveSceneItem", "RemoveInput",
    }  # fmt: skip


def test_closing_takes_the_item_out_of_a_scene_that_is_off_air(
    fake: FakeObs, open_sink: Callable[..., ObsSink]
) -> None:
    sink = open_sink()
    fake.switch("Break")
    sink.close()
    assert fake.inputs == {} and sink.notes == []
    fake.switch("Scene")
    assert fake.items == {"Scene": [], "Break": []}


def test_an_item_that_was_set_up_for_good_stays(fake: FakeObs, open_sink: Callable[..., ObsSink]) -> None:
    client = ObsClient(port=fake.port, password="secret")
    ObsController(client).ensure("ffmpeg_source", media_settings("gopher://127.0.0.1:1"), permanent=True)
    client.close()
    sink = open_sink()
    assert fake.inputs["livematte"]["settings"]["input"] != "gopher://127.0.0.1:1"
    sink.close()
    assert "livematte" in fake.inputs


def test_what_a_killed_livematte_left_is_taken_over_and_removed(
    fake: FakeObs, open_sink: Callable[..., ObsSink]
) -> None:
    settings = {**media_settings("gopher://127.0.0.1:1"), "livematte": "session"}
    fake.add("livematte", "ffmpeg_source", **settings)
    sink = open_sink()
    assert fake.asked("CreateInput") == []
    sink.send(frame())
    assert read(fake.inputs["livematte"]["settings"]["input"]).shape == (36, 64, 4)
    sink.close()
    assert fake.inputs == {}


OTHER = """
import sys
from livematte.plugins.obs.session_lock import SessionLock
from pathlib import Path
lock = SessionLock(Path(sys.argv[1]))
print(lock.mark, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_session(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a session's mark, which it prints."""
    words = [sys.executable, "-c", OTHER, str(folder)]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield other
    other.kill()
    other.communicate()


@pytest.mark.parametrize(("blend", "linear"), [("linear", True), ("srgb", False)])
def test_obs_mixes_in_the_light_that_is_asked_for(
    fake: FakeObs, open_sink: Callable[..., ObsSink], blend: str, linear: bool
) -> None:
    sink = open_sink(blend=blend)
    assert fake.inputs["livematte"]["settings"]["linear_alpha"] is linear
    assert ["sRGB Off" in note for note in sink.notes] == ([] if linear else [True])


def test_the_background_follows_the_scene_on_air(fake: FakeObs, open_sink: Callable[..., ObsSink]) -> None:
    sink = open_sink(scenes="Break=blur; Talk = #ff0000")
    assert sink.wanted_background is None
    fake.switch("Break")
    assert until(lambda: sink.wanted_background == "blur")
    fake.switch("Scene")
    assert until(lambda: sink.wanted_background is None)
    fake.switch("Break")
    again = open_sink(item="again", scenes='{"Break": "white"}')
    assert again.wanted_background == "white", "known at the start"
    assert open_sink(item="third", scenes={"Break": "black"}).wanted_background == "black"
    tables = '{"Break": {"background": "gray"}}'
    assert open_sink(item="fourth", scenes=tables).wanted_background == "gray"


def test_a_session_does_not_take_the_source_of_another_that_lives(
    fake: FakeObs, open_sink: Callable[..., ObsSink], other_session: subprocess.Popen[str]
) -> None:
    assert other_session.stdout is not None
    mark = other_session.stdout.readline().strip()
    url = "tcp://127.0.0.1:1"
    fake.add("livematte", "ffmpeg_source", **media_settings(url), livematte="session", livematte_session=mark)
    with pytest.raises(LivematteError, match=rf"live session \(pid {other_session.pid}\).*obs\.item=NAME"):
        open_sink()
    assert fake.inputs["livematte"]["settings"]["input"] == url
    assert fake.asked("RemoveInput") == fake.asked("SetInputSettings") == []
    other_session.kill()
    other_session.wait()
    sink = open_sink()  # what the killed one left is taken over
    assert fake.inputs["livematte"]["settings"]["input"] != url
    sink.close()
    assert fake.inputs == {}


@pytest.mark.parametrize("route", ["media", "lua"])
def test_two_sessions_have_two_sources(fake: FakeObs, open_sink: Callable[..., ObsSink], route: str) -> None:
    fake.kinds.append("livematte_overlay")
    first = open_sink(route=route)
    with pytest.raises(LivematteError, match="belongs to another live session"):
        open_sink(route=route)
    second = open_sink(route=route, item="guest")
    assert set(fake.inputs) == {"livematte", "guest"}
    if route == "lua":
        assert Path(fake.inputs["livematte"]["settings"]["path"]).read_bytes()[:4] == struct.pack("<I", MAGIC)
    first.close()
    assert set(fake.inputs) == {"guest"}
    second.close()
    assert fake.inputs == {}


def test_a_permanent_source_is_free_again_after_its_session(
    fake: FakeObs, open_sink: Callable[..., ObsSink]
) -> None:
    client = ObsClient(port=fake.port, password="secret")
    controller, settings = ObsController(client), media_settings("tcp://127.0.0.1:1")
    sink = open_sink()
    url = fake.inputs["livematte"]["settings"]["input"]
    assert controller.ensure("ffmpeg_source", settings, permanent=True) == "changed"
    assert fake.inputs["livematte"]["settings"]["input"] == url, "the pictures of the session go on"
    sink.close()
    found = controller.find()
    assert found is not None and found.owner == ""
    client.close()
    open_sink()


def test_what_a_killed_session_left_in_the_folder_is_removed(
    folder: Path, other_session: subprocess.Popen[str]
) -> None:
    assert other_session.stdout is not None
    mark = other_session.stdout.readline().strip()
    left = folder / f"livematte-{mark}-0.bgra"
    left.write_bytes(struct.pack("<I", MAGIC))
    SessionLock(folder).release()
    assert left.exists() and holder(mark, folder) == other_session.pid
    other_session.kill()
    other_session.wait()
    assert holder(mark, folder) is None
    with left.open("rb") as mapped:
        SessionLock(folder).release()
        assert mapped.read() == bytes(4), "a reader sees the end"
    assert list(folder.iterdir()) == []
    assert holder("", folder) is holder("../7", folder) is holder(None, folder) is None


def test_a_source_placed_in_other_scenes_can_be_kept(
    fake: FakeObs, open_sink: Callable[..., ObsSink]
) -> None:
    sink = open_sink()
    assert not sink.notes
    fake._place("Break", "livematte")  # what a user does in OBS
    assert until(lambda: len(sink.notes) == 1)
    assert "scenes 'Scene', 'Break'" in sink.notes[0] and "livematte obs setup" in sink.notes[0]
    client = ObsClient(port=fake.port, password="secret")
    url = fake.inputs["livematte"]["settings"]["input"]
    ObsController(client).ensure("ffmpeg_source", media_settings("tcp://127.0.0.1:1"), permanent=True)
    client.close()
    assert fake.inputs["livematte"]["settings"]["input"] == url
    sink.close()
    assert all([item["sourceName"] for item in items] == ["livematte"] for items in fake.items.values())
    assert len(sink.notes) == 1


def test_obs_may_start_later(fake: FakeObs, open_sink: Callable[..., ObsSink]) -> None:
    fake.stop()
    sink = open_sink()
    assert "livematte connects when OBS runs" in sink.notes[0]
    sink.send(frame())
    fake.start()
    assert until(lambda: "livematte" in fake.inputs)
    assert until(lambda: sink.notes[-1:] == ["connected to OBS"])


@pytest.mark.parametrize("rude", [False, True], ids=["quits", "is killed"])
def test_obs_may_restart_and_forget_the_item(
    fake: FakeObs, open_sink: Callable[..., ObsSink], rude: bool
) -> None:
    sink = open_sink()
    if not rude:
        fake.drop("livematte")  # OBS says so of everything when it ends
    fake.stop(rude=rude)
    fake.inputs.clear()
    fake.items["Scene"].clear()
    assert until(lambda: any("closed the connection" in note or "no OBS" in note for note in sink.notes))
    sink.send(frame())
    fake.start()
    assert until(lambda: "livematte" in fake.inputs)


@pytest.mark.parametrize(
    ("event", "data"), [("ExitStarted", {}), ("InputRemoved", {"inputName": "livematte"})]
)
def test_readers_are_let_go_at_the_first_sign_that_obs_ends_them(
    fake: FakeObs, open_sink: Callable[..., ObsSink], event: str, data: dict[str, str]
) -> None:
    sink = open_sink()
    url = fake.inputs["livematte"]["settings"]["input"]
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), 5) as reader:
        reader.sendall(address.path.removeprefix("/9").encode() + b"\n")
        assert until(lambda: sink._transport.clients == 1)
        fake.event("InputRemoved", inputName="another")
        fake.event(event, **data)
        reader.settimeout(5)
        while reader.recv(1 << 16):
            pass
    assert until(lambda: sink._transport.clients == 0)


def test_an_item_removed_by_hand_is_not_forced_back(fake: FakeObs, open_sink: Callable[..., ObsSink]) -> None:
    sink = open_sink()
    fake.drop("livematte")
    assert until(lambda: any("was removed in OBS" in note for note in sink.notes))
    time.sleep(0.2)
    assert fake.inputs == {} and len(fake.asked("CreateInput")) == 1


def test_another_scene_collection_gets_the_item_too(fake: FakeObs, open_sink: Callable[..., ObsSink]) -> None:
    open_sink()
    fake.event("CurrentSceneCollectionChanging", sceneCollectionName="old")
    fake.drop("livematte")
    fake.event("CurrentSceneCollectionChanged", sceneCollectionName="new")
    assert until(lambda: "livematte" in fake.inputs)


def test_an_item_renamed_in_obs_is_still_removed(fake: FakeObs, open_sink: Callable[..., ObsSink]) -> None:
    sink = open_sink()
    fake.inputs["me"] = {**fake.inputs.pop("livematte"), "inputName": "me"}
    fake.items["Scene"][0]["sourceName"] = "me"
    fake.event("InputNameChanged", oldInputName="livematte", inputName="me")
    assert until(lambda: {"sourceName": "me"} in fake.asked("GetSourceActive"))
    sink.close()
    assert fake.inputs == {}


def test_a_wrong_password_is_an_error_and_leaves_no_port_open(
    fake: FakeObs, open_sink: Callable[..., ObsSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    close = module.StreamServer.close
    monkeypatch.setattr(module.StreamServer, "close", lambda self: (closed.append(self), close(self)))
    monkeypatch.setenv("OBS_PASSWORD", "wrong")
    with pytest.raises(WrongPasswordError, match="code 4009"):
        open_sink()
    assert len(closed) == 1


def test_a_web_page_does_not_switch_the_camera_on(open_sink: Callable[..., ObsSink]) -> None:
    sink = open_sink()
    sink.send(frame())
    with socket.create_connection(("127.0.0.1", sink._transport.port), 5) as page:  # type: ignore[attr-defined]
        page.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        page.settimeout(10)
        with contextlib.suppress(ConnectionError):
            assert page.recv(1) == b""
        assert not sink.watched


def test_the_address_of_the_stream_stays_the_same_and_is_the_one_of_the_setup(fake: FakeObs) -> None:
    notes = []
    for _ in range(2):
        sink = obs(FORMAT, route="stream", stream_port=0)
        notes.append(urlsplit(sink.notes[0].split()[3]).path)
        sink.close()
    assert notes[0] == notes[1] == f"/9/{load_secret()}"
    assert cli.run(["obs", "setup", "--obs-port", str(fake.port)]) == 0
    assert fake.inputs["livematte"]["settings"]["input"].endswith(notes[0])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the folder from other users by itself")
def test_only_its_user_can_read_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEMATTE_CACHE", str(tmp_path / "cache"))
    first = load_secret()
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file.stat().st_mode & 0o077 == 0
    assert load_secret() == first
    file.write_bytes(b"changed")
    assert load_secret() not in (first, "changed")


def test_it_is_watched_while_obs_shows_it(fake: FakeObs, open_sink: Callable[..., ObsSink]) -> None:
    sink = open_sink()
    assert sink.watched is False, "nobody reads"
    sink.send(frame())
    url = fake.inputs["livematte"]["settings"]["input"]
    with av.open(url, format="nut", timeout=60, options=AT_ONCE):
        assert until(lambda: sink.watched)
        fake.showing = False
        assert until(lambda: not sink.watched)
        fake.showing = True
        assert until(lambda: sink.watched)


@pytest.mark.parametrize(("layout", "width"), [("green", 64), ("side-by-side", 128)])
def test_other_mixers_read_the_stream_without_obs(fake: FakeObs, layout: str, width: int) -> None:
    fake.stop()
    sink = obs(FORMAT, route="stream", layout=layout, stream_port=0)
    try:
        url = sink.notes[0].split()[3]
        sink.send(frame())
        got = read(url)
        assert got.shape == (36, width, 4) and (got[..., 3] == 255).all()
        if layout == "green":
            assert tuple(got[0, 0, :3]) == (0x40, 0xB1, 0), "alpha is 0 there"
        else:
            assert np.array_equal(got[:, 64:, 0], frame().planes[3])
    finally:
        sink.close()


def test_the_lua_route_writes_to_the_memory_that_the_source_is_told(
    fake: FakeObs, open_sink: Callable[..., ObsSink]
) -> None:
    fake.kinds.append("livematte_overlay")
    sink = open_sink(route="lua")
    path = Path(fake.inputs["livematte"]["settings"]["path"])
    sink.send(frame())
    memory = path.read_bytes()
    assert struct.unpack_from("<IIIIQ", memory) == (MAGIC, 64, 36, SLOTS, 1)
    slots = np.frombuffer(memory, np.uint8, offset=HEADER).reshape(SLOTS, 36, 64, 4)
    assert np.array_equal(slots[1][..., 3], frame().planes[3])
    sink.close()
    assert not path.exists() and fake.inputs == {}


def test_memory_left_by_a_killed_writer_is_given_up_not_shrunk(tmp_path: Path) -> None:
    """A reader may still map the memory: shrinking it would crash OBS."""
    left = SharedPictures(width=64, height=36, folder=tmp_path)
    size = left.path.stat().st_size
    with left.path.open("rb") as mapped:
        now = SharedPictures(width=16, height=8, folder=tmp_path)
        assert struct.unpack("<I", mapped.read(4)) == (0,)
        assert len(mapped.read()) == size - 4
    assert struct.unpack("<II", now.path.read_bytes()[:8]) == (MAGIC, 16)
    now.close()
    left.close()


def test_memory_is_for_this_user_and_knows_its_reader(tmp_path: Path) -> None:
    shared = SharedPictures(width=16, height=8, folder=tmp_path)
    assert shared.path.stat().st_mode & 0o077 == 0 or shared.path.drive
    assert shared.clients == 0
    with shared.path.open("r+b") as reader:
        reader.seek(24)
        reader.write(struct.pack("<Q", 1))
    assert shared.clients == 1
    shared.close()
    shared.close()
    assert shared.clients == 0
    shared.publish(np.zeros((8, 16, 4), np.uint8))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"route": "ndi"}, UsageError, "unknown route 'ndi': use one of media, lua, stream"),
        ({"layout": "red"}, UsageError, "unknown layout 'red'"),
        ({"scenes": "Talk"}, UsageError, "scenes 'Talk' is invalid: use SCENE=BACKGROUND"),
        ({"scenes": '{"Talk": 3}'}, UsageError, "use SCENE=BACKGROUND"),
        (
            {"scenes": '{"Talk": {"placeholder": "blur"}}'},
            UsageError,
            "scene 'Talk': .* use SCENE=BACKGROUND",
        ),
        ({"scenes": "Talk=nope.jpg"}, UsageError, "scene 'Talk': background 'nope.jpg': no such file"),
        ({"blend": "gamma"}, UsageError, "unknown blend 'gamma': use one of linear, srgb"),
        ({"blend": "srgb", "route": "lua"}, UsageError, "blend srgb is only for the route media"),
        ({"port": "http"}, UsageError, "port 'http' is invalid: use a number"),
        ({"stream_port": 70000}, UsageError, "stream-port 70000 is invalid: use a number"),
        ({"size": "big"}, UsageError, "use WIDTHxHEIGHT"),
        (
            {"password_file": "/nowhere/at/all"},
            InputError,
            "file '/nowhere/at/all': No such file",
        ),
    ],
)
def test_invalid_options_are_refused(
    options: dict[str, Any], error: type[LivematteError], message: str
) -> None:
    with pytest.raises(error, match=message):
        obs(FORMAT, **options)
