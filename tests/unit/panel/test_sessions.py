"""The panel with a real session from a clip: start, change, keys, pictures, save, stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra panel is not installed")
from starlette.testclient import TestClient

from livematte.assets import clip_path
from livematte.panel.app import PanelFolders, make_app

TOKEN, PORT = "t" * 43, 8717
BEARER = {"authorization": f"Bearer {TOKEN}"}
SECONDS = 180.0


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    root = tmp_path_factory.mktemp("panel")
    for folder in ("profiles", "rooms", "run", "cache"):
        (root / folder).mkdir()
    cv2.imwrite(str(root / "rooms" / "red.png"), np.full((64, 64, 3), (0, 0, 255), np.uint8))
    (root / "profiles" / "talk.toml").write_text(
        f'input = {str(clip_path())!r}\nto = "none"\nresolution = "160x96"\nrate = 10\nsize = 128\n'
        'background = "green"\nplaceholder = "black"\n',
        encoding="utf-8",
    )
    (root / "profiles" / "broken.toml").write_text('background = "no-such-file.jpg"\nto = "none"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(root / "run"))
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        app = make_app(PanelFolders(root / "profiles", (root / "rooms",)), TOKEN, PORT)
        with TestClient(app, base_url=f"http://127.0.0.1:{PORT}", headers=BEARER) as opened:
            yield opened
            for each in opened.get("/api/state").json()["sessions"]:
                opened.post(f"/api/sessions/{each['id']}/stop")


def wait_for(client: TestClient, found: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        state: dict[str, Any] = client.get("/api/state").json()
        if found(state):
            return state
        time.sleep(0.1)
    raise AssertionError(state)


@pytest.fixture
def talk(client: TestClient) -> str:
    """The name of the running session, which shows people."""
    if not client.get("/api/state").json()["sessions"]:
        assert client.post("/api/profiles/talk/start").status_code == 200
    wait_for(client, lambda state: any(s["stats"]["showing"] == "picture" for s in state["sessions"]))
    return "talk"


def test_a_session_is_started_from_its_profile_once(client: TestClient, talk: str) -> None:
    (facts,) = client.get("/api/state").json()["sessions"]
    assert (facts["name"], facts["profile"], facts["background"]) == ("talk", "talk", "green")
    assert facts["stats"]["size"][1] == 128 and facts["cpu"] >= 0
    again = client.post("/api/profiles/talk/start")
    assert again.status_code == 400 and "runs already" in again.json()["error"]


def test_a_profile_that_does_not_work_says_why(client: TestClient) -> None:
    assert client.post("/api/profiles/broken/start").status_code == 200
    state = wait_for(client, lambda state: any("broken" in m["text"] for m in state["messages"]))
    (message,) = (m["text"] for m in state["messages"] if "broken" in m["text"])
    assert "no-such-file.jpg" in message and state["starting"] == []


@pytest.mark.parametrize("name", ["../talk", "talk.toml", "x", "talk%2f..%2ftalk"])
def test_only_profiles_of_the_folder_are_started(client: TestClient, name: str) -> None:
    assert client.post(f"/api/profiles/{name}/start").status_code in (400, 404)


def test_keys_change_the_session(client: TestClient, talk: str) -> None:
    def press(command: str, text: str = "") -> dict[str, Any]:
        answer = client.post(f"/api/sessions/{talk}/{command}", content=text)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    assert press("background", "blur:20")["background"] == "blur:20"
    assert press("background", "red.png")["background"].endswith("red.png")
    assert press("toggle")["paused"] is True
    wait_for(client, lambda state: state["sessions"][0]["stats"]["showing"] == "paused")
    assert press("toggle")["paused"] is False
    end = time.monotonic() + SECONDS
    while (answer := client.post(f"/api/sessions/{talk}/freeze")).status_code != 200:
        assert "no picture to freeze" in answer.json()["error"] and time.monotonic() < end
        time.sleep(0.05)
    assert answer.json()["frozen"] and not press("resume")["frozen"]
    assert press("mirror", "on")["mirror"] and not press("mirror", "off")["mirror"]
    assert press("keep", "0.5,0.7")["keep"] == "0.5,0.7" and press("keep", "all")["keep"] == "all"
    assert press("frame", "head")["frame"] == "head" and press("frame", "off")["frame"] == "off"
    assert press("choke", "-1.5")["choke"] == -1.5 and press("choke", "0")["choke"] == 0
    assert press("delay", "100")["delay"] == 100 and press("delay", "0")["delay"] == 0
    json = client.post(f"/api/sessions/{talk}/to", json={"value": ["none"]})
    assert json.json()["to"] == ["none"]


@pytest.mark.parametrize(
    ("command", "value", "says"),
    [
        ("background", "/etc/passwd", "there is no file"),
        ("background", "../profiles/talk.toml", "there is no file"),
        ("camera", "/dev/null", "there is no camera"),
        ("input", "/etc/passwd", "unknown command"),
        ("model", "../weights", "model"),
        ("to", ["nope"], "unknown output"),
        ("keep", "5,5", "keep '5,5' is invalid"),
        ("frame", "face", "frame 'face' is invalid"),
        ("feather", 99, "feather 99 is invalid"),
        ("dance", None, "unknown command"),
    ],
)
def test_what_a_browser_may_not_is_refused(
    client: TestClient, talk: str, command: str, value: object, says: str
) -> None:
    answer = client.post(f"/api/sessions/{talk}/{command}", json={"value": value})
    assert answer.status_code == 400 and says in answer.json()["error"]


def test_a_body_that_is_too_long_or_no_json_is_refused(client: TestClient, talk: str) -> None:
    address = f"/api/sessions/{talk}/background"
    assert client.post(address, content="x" * 70_000).status_code == 400
    broken = client.post(address, content="{", headers={"content-type": "application/json"})
    assert broken.status_code == 400 and "JSON" in broken.json()["error"]


def test_a_session_that_does_not_run_is_one_line(client: TestClient, talk: str) -> None:
    answer = client.post("/api/sessions/nobody/pause")
    assert answer.status_code == 502 and "no session is called 'nobody'" in answer.json()["error"]


def test_pictures_come_one_at_a_time(client: TestClient, talk: str) -> None:
    client.post(f"/api/sessions/{talk}/background", content="red.png")
    with client.websocket_connect(f"ws://127.0.0.1:{PORT}/socket") as socket:
        key = socket.receive_json()["sessions"][0]["id"]
        socket.send_json({"show": key, "matte": True, "width": 96, "rate": 15})
        kinds, end = set[int](), time.monotonic() + SECONDS
        while kinds != {0, 1} and time.monotonic() < end:
            message = socket.receive()
            if (data := message.get("bytes")) is None:
                continue
            picture = cv2.imdecode(np.frombuffer(data[1:], np.uint8), cv2.IMREAD_COLOR)
            assert picture.shape[1] == 96
            if data[0] == 1 or (picture[2, 2, 2] > 200 and picture[2, 2, 1] < 60):
                kinds.add(data[0])
            socket.send_json({"drawn": True})
        assert kinds == {0, 1}
        while socket.receive().get("bytes") is None:
            pass
        states = [socket.receive() for _ in range(4)]
        assert all("text" in each for each in states), "the next picture waits for the page"


def test_a_session_is_saved_as_a_profile(client: TestClient, talk: str) -> None:
    client.post(f"/api/sessions/{talk}/background", content="white")
    assert client.post(f"/api/sessions/{talk}/save", json={"value": "White room"}).status_code == 200
    assert "White room" in client.get("/api/state").json()["profiles"]
    for wrong in ("White room", "../x", "", "a/b", ".x", "x" * 41, None):
        assert client.post(f"/api/sessions/{talk}/save", json={"value": wrong}).status_code == 400


def test_the_saved_profile_is_valid(
    client: TestClient, talk: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from livematte.profile import read_profile

    found = tmp_path_factory.getbasetemp().glob("panel*/profiles/White room.toml")
    path = max(found, key=lambda each: each.stat().st_mtime)
    options = read_profile(path, "live")
    assert options["background"] == "white" and options["input"] == str(clip_path())
    assert (options["to"], options["rate"], options["size"]) == (["none"], 10, 128)


def test_a_killed_session_is_noticed(client: TestClient, talk: str) -> None:
    import os
    import signal

    (facts,) = client.get("/api/state").json()["sessions"]
    os.kill(facts["pid"], getattr(signal, "SIGKILL", signal.SIGTERM))
    state = wait_for(client, lambda state: not state["sessions"])
    assert any("talk has ended" in each["text"] for each in state["messages"])
