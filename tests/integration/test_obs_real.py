"""livematte and a real OBS Studio, without a screen or a graphics card: Xvfb and Mesa's llvmpipe.

Debian, Ubuntu::

    apt-get install -y --no-install-recommends obs-studio obs-plugins xvfb libgl1-mesa-dri
    python -m pytest -m obs tests/integration/test_obs_real.py

The canvas is 320x180, which two busy cores can draw 30 times a second. One OBS lives through all the tests.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte import cli
from livematte.errors import LivematteError
from livematte.frame import Array, Frame
from livematte.protocols import LiveFormat

MISSING = [program for program in ("obs", "Xvfb") if shutil.which(program) is None]
pytestmark = [
    pytest.mark.obs,
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING) or not sys.platform.startswith("linux"),
        reason=f"needs Linux with OBS Studio and Xvfb; missing: {', '.join(MISSING) or 'Linux'}",
    ),
]

WIDTH, HEIGHT = 640, 360
CANVAS = (320, 180)
FORMAT = LiveFormat(width=WIDTH, height=HEIGHT, rate=Fraction(30), alpha=True)
BACKDROP = (0, 0, 200)  # R, G, B
PATCHES = [  # Y of grey and alpha, and one of red
    (235, 255), (235, 128), (235, 64), (126, 128), (16, 128), (235, 0), (180, 192), (81, 128),
]  # fmt: skip
PASSWORD = "correct horse"
SECONDS = 120.0
"""Patience on a machine that is busy; an idle one needs 3."""

GLOBAL = """[General]
FirstRun=true
LastVersion=486539266
Pre19Defaults=false
Pre21Defaults=false
Pre23Defaults=false
Pre24.1Defaults=false
EnableAutoUpdates=false
[Basic]
Profile=livematte
ProfileDir=livematte
SceneCollection=livematte
SceneCollectionFile=livematte
ConfigOnNewProfile=false
[BasicWindow]
PreviewEnabled=false
[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort={port}
AlertsEnabled=false
AuthRequired=true
ServerPassword={password}
"""
PROFILE = """[General]
Name=livematte
[Video]
BaseCX={0}
BaseCY={1}
OutputCX={0}
OutputCY={1}
FPSType=2
FPSNum=30
FPSDen=1
"""


def until(fact: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Wait for a fact. An OBS that is starting, or too busy to answer, has not made it true yet."""
    end, why = time.monotonic() + seconds, ""
    while True:
        try:
            if fact():
                return
        except LivematteError as error:
            why = f" ({error})"
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}{why}"
        time.sleep(0.2)


class RealObs:
    """OBS Studio with a home of its own."""

    def __init__(self, home: Path, display: str, port: int = 0) -> None:
        self.home = home
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))
            self.port: int = free.getsockname()[1]
        self.settings = home / ".config" / "obs-studio"
        profile = self.settings / "basic" / "profiles" / "livematte"
        profile.mkdir(parents=True)
        (self.settings / "global.ini").write_text(
            GLOBAL.format(port=self.port, password=PASSWORD), encoding="utf-8"
        )
        (profile / "basic.ini").write_text(PROFILE.format(*CANVAS), encoding="utf-8")
        (home / "run").mkdir(mode=0o700)
        self.environment = {
            **os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "DISPLAY": display,
            "XDG_RUNTIME_DIR": str(home / "run"), "LIBGL_ALWAYS_SOFTWARE": "1", "QT_QPA_PLATFORM": "xcb",
        }  # fmt: skip
        self.program: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["obs", "--multi", "--disable-updater", "--minimize-to-tray"]
        words += ["--collection", "livematte", "--profile", "livematte"]
        with (self.home / "obs.log").open("ab") as log:
            self.program = subprocess.Popen(words, env=self.environment, stdout=log, stderr=log)
        until(self.answers, "OBS's WebSocket server is open")

    def stop(self) -> bool:
        """As a user quits it: the scenes are saved. False where it hangs and has to be killed."""
        if self.program is None:
            return True
        program, self.program = self.program, None
        program.send_signal(signal.SIGINT)
        try:
            program.wait(SECONDS)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
            return False
        return True

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    @contextmanager
    def connection(self) -> Iterator[Callable[..., dict[str, object]]]:
        from livematte.plugins.obs.client import ObsClient
        from livematte.plugins.obs.controller import ObsController

        client = ObsClient(port=self.port, password=PASSWORD, timeout=20)
        try:
            yield ObsController(client)._call
        finally:
            client.close()

    def draw(self, frames: int) -> None:
        """Wait until OBS has drawn some more frames."""

        def drawn() -> int:
            with self.connection() as call:
                return int(str(call("GetStats")["renderTotalFrames"]))

        before = drawn()
        until(lambda: drawn() >= before + frames, f"{frames} frames")

    def inputs(self) -> set[str]:
        with self.connection() as call:
            return {entry["inputName"] for entry in call("GetInputList")["inputs"]}  # type: ignore[attr-defined,index]

    def screenshot(self) -> Array:
        """The composed scene, (180, 320, 3) RGB."""
        with self.connection() as call:
            shot = call("GetSourceScreenshot", sourceName="Scene", imageFormat="png")["imageData"]
        data = base64.b64decode(str(shot).split(",", 1)[1])
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def add_script(self, script: Path) -> None:
        """While it does not run: what Tools > Scripts > + does."""
        file = self.settings / "basic" / "scenes" / "livematte.json"
        scenes = json.loads(file.read_text(encoding="utf-8"))
        scenes.setdefault("modules", {})["scripts-tool"] = [{"path": str(script), "settings": {}}]
        file.write_text(json.dumps(scenes), encoding="utf-8")


@contextmanager
def screen() -> Iterator[str]:
    """Xvfb; its display."""
    reading, writing = os.pipe()
    words = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    server = subprocess.Popen(words, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            yield f":{pipe.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with screen() as display:
        yield display


@pytest.fixture(scope="module")
def obs(tmp_path_factory: pytest.TempPathFactory, display: str) -> Iterator[RealObs]:
    """Running, with a scene of the user's own: a blue backdrop."""
    made = RealObs(tmp_path_factory.mktemp("obs"), display)
    try:
        made.start()
        red, green, blue = BACKDROP
        settings = {"color": 0xFF000000 | blue << 16 | green << 8 | red, "width": 320, "height": 180}
        with made.connection() as call:
            call(
                "CreateInput", sceneName="Scene", inputName="backdrop", inputKind="color_source_v3",
                inputSettings=settings,
            )  # fmt: skip
        until(lambda: bool((made.screenshot() == BACKDROP).all()), "the backdrop is in the scene")
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBS_PASSWORD", PASSWORD)


def pattern() -> Frame:
    """Eight patches side by side, 80 wide, in the rows from 100 to 260; nothing elsewhere."""
    luma, alpha = np.full((HEIGHT, WIDTH), 16, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    u, v = (
        np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8),
        np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8),
    )
    for number, (grey, opacity) in enumerate(PATCHES):
        luma[100:260, number * 80 : number * 80 + 80] = grey
        alpha[100:260, number * 80 : number * 80 + 80] = opacity
    v[50:130, 280:] = 200  # the last is red
    return Frame((luma, u, v, alpha), "yuva420p", 0, Fraction(1, 30))


def composed() -> Array:
    """Return the expected colour of each patch: straight alpha over the backdrop in linear light."""
    from livematte.plugins.obs.pictures import BgraConverter

    sent = BgraConverter()(pattern())[180, 40::80]
    a, F = sent[:, 3:] / 255, sent[:, 2::-1]
    return unlinear(linear(F) * a + linear(np.array(BACKDROP)) * (1 - a))


def linear(v: Array) -> Array:
    v = np.asarray(v, float) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def unlinear(v: Array) -> Array:
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055) * 255


def shown(obs: RealObs) -> bool:
    return bool(np.abs(obs.screenshot()[90, 20::40].astype(float) - composed()).max() <= 1.5)


def bare(obs: RealObs) -> bool:
    return bool((obs.screenshot() == BACKDROP).all())


def create_scene(call: Callable[..., dict[str, object]], name: str) -> None:
    """Create a scene; OBS may still be removing an earlier one of that name."""
    from livematte.plugins.obs.client import ObsError

    def created() -> bool:
        try:
            call("CreateScene", sceneName=name)
        except ObsError as error:
            assert error.code == 601
            return False
        return True

    until(created, f"the name {name} is free")


@contextmanager
def off_air(obs: RealObs) -> Iterator[None]:
    """Another scene is on air: OBS does not draw the scene with livematte's source."""
    with obs.connection() as call:
        create_scene(call, "Break")
        call("SetCurrentProgramScene", sceneName="Break")
        try:
            yield
        finally:
            call("SetCurrentProgramScene", sceneName="Scene")
            call("RemoveScene", sceneName="Break")


@contextmanager
def livematte(obs: RealObs, **options: object) -> Iterator[list[str]]:
    """Sends the pattern 30 times a second until the block ends; gives the notes."""
    from livematte.plugins.obs.sink import obs as open_sink

    sink = open_sink(FORMAT, port=obs.port, stream_port=0, **options)  # type: ignore[arg-type]
    ended = threading.Event()
    frame = pattern()

    def send() -> None:
        while not ended.wait(1 / 30):
            sink.send(frame)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sink.notes
    finally:
        ended.set()
        thread.join()
        sink.close()


def test_people_are_composed_as_the_equation_says_and_the_rest_is_transparent(obs: RealObs) -> None:
    with livematte(obs) as notes:
        until(lambda: shown(obs), "the patches over the backdrop")
        scene = obs.screenshot()
        assert (scene[:45] == BACKDROP).all() and (scene[135:] == BACKDROP).all()
        assert obs.inputs() == {"backdrop", "livematte"}
        assert notes == []
    assert obs.inputs() == {"backdrop"}
    until(lambda: bare(obs), "only the backdrop again")


def test_livematte_restarts(obs: RealObs) -> None:
    for _ in range(2):
        with livematte(obs):
            until(lambda: shown(obs), "the patches")
        until(lambda: bare(obs), "the backdrop alone")
    assert obs.inputs() == {"backdrop"}


def test_the_source_goes_and_comes_while_its_scene_is_off_air(obs: RealObs) -> None:
    with livematte(obs):
        until(lambda: shown(obs), "the patches")
        with off_air(obs):
            assert cli.run(["obs", "remove", "--obs-port", str(obs.port)]) == 0
            assert obs.inputs() == {"backdrop"}
    with livematte(obs) as notes:
        until(lambda: shown(obs), "the patches")
        with obs.connection() as call:
            create_scene(call, "Break")
            call("SetCurrentProgramScene", sceneName="Break")
        obs.draw(60)
    try:
        assert notes == [] and obs.inputs() == {"backdrop"}
        with livematte(obs, scene="Scene"):
            until(lambda: shown(obs), "the patches, in a scene off air")
        assert obs.inputs() == {"backdrop"}
    finally:
        with obs.connection() as call:
            call("SetCurrentProgramScene", sceneName="Scene")
            call("RemoveScene", sceneName="Break")
    until(lambda: bare(obs), "the backdrop alone")


def test_the_background_of_the_scene_on_air_is_asked_for(obs: RealObs) -> None:
    from livematte.plugins.obs.sink import obs as open_sink

    sink = open_sink(FORMAT, port=obs.port, stream_port=0, scenes="Break=blur")
    try:
        assert sink.wanted_background is None
        with off_air(obs):
            until(lambda: sink.wanted_background == "blur", "the scene on air is known")
        until(lambda: sink.wanted_background is None, "and the next")
    finally:
        sink.close()


KILLED = """
import sys, time
from tests.integration.test_obs_real import FORMAT, pattern
from livematte.plugins.obs.sink import obs
sink, frame = obs(FORMAT, port=int(sys.argv[1]), stream_port=0, route=sys.argv[2]), pattern()
while True:
    sink.send(frame)
    time.sleep(1 / 30)
"""


def kill_a_session(obs: RealObs, route: str) -> None:
    program = subprocess.Popen([sys.executable, "-c", KILLED, str(obs.port), route])
    try:
        until(lambda: shown(obs), "the patches of the other process")
    finally:
        program.kill()
        program.wait()
    until(lambda: bare(obs), "the picture of the killed one is cleared")
    for _ in range(40):  # no blink
        obs.draw(3)
        assert bare(obs)


def test_what_a_killed_livematte_leaves_is_taken_over(obs: RealObs) -> None:
    kill_a_session(obs, "media")
    assert obs.inputs() == {"backdrop", "livematte"}
    with livematte(obs):
        until(lambda: shown(obs), "the patches")
    assert obs.inputs() == {"backdrop"}


def test_obs_restarts(obs: RealObs) -> None:
    with livematte(obs) as notes:
        until(lambda: shown(obs), "the patches")
        assert obs.stop(), "OBS quits while pictures flow"
        until(
            lambda: any("livematte connects when OBS runs" in note for note in notes),
            "livematte sees that OBS is gone",
        )
        seen = len(notes)
        obs.start()
        until(lambda: shown(obs), "the patches are back")
        until(lambda: "connected to OBS" in notes[seen:], "livematte sees that OBS is back")
        assert obs.inputs() == {"backdrop", "livematte"}
    assert obs.inputs() == {"backdrop"}


def test_a_wrong_password_is_told_with_the_code_of_obs(
    obs: RealObs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OBS_PASSWORD", "wrong")
    assert cli.run(["obs", "status", "--obs-port", str(obs.port)]) == 1
    said = capsys.readouterr().err
    assert "rejects the password (code 4009: Authentication failed" in said and "wrong" not in said
    monkeypatch.delenv("OBS_PASSWORD")
    assert cli.run(["obs", "status", "--obs-port", str(obs.port)]) == 1
    assert "requires a password" in capsys.readouterr().err


def test_the_commands_and_the_errors_of_obs_itself(obs: RealObs, capsys: pytest.CaptureFixture[str]) -> None:
    from livematte.plugins.obs.client import ObsError

    port = ["--obs-port", str(obs.port)]
    assert cli.run(["obs", "setup", "--obs-position", "10,20", "--obs-size", "160x90", *port]) == 0
    with obs.connection() as call:
        (item,) = [
            entry for entry in call("GetSceneItemList", sceneName="Scene")["sceneItems"]  # type: ignore[attr-defined]
            if entry["sourceName"] == "livematte"
        ]  # fmt: skip
        place = item["sceneItemTransform"]
        with pytest.raises(ObsError, match=r"refused GetInputSettings \(code 600: .*nobody"):
            call("GetInputSettings", inputName="nobody")
    assert [place[key] for key in ("positionX", "positionY", "boundsWidth", "boundsHeight")] == [
        10,
        20,
        160,
        90,
    ]
    assert cli.run(["obs", "status", *port]) == 0
    assert "livematte: in Scene, route media, permanent" in capsys.readouterr().out
    with livematte(obs):
        pass
    assert obs.inputs() == {"backdrop", "livematte"}, "what was set up for good stays"
    assert cli.run(["obs", "remove", *port]) == 0
    assert obs.inputs() == {"backdrop"}


def test_values_are_mixed_as_they_are_where_obs_does_not_use_linear_light(obs: RealObs) -> None:
    from livematte.plugins.obs.pictures import BgraConverter

    port = ["--obs-port", str(obs.port)]
    assert cli.run(["obs", "setup", *port]) == 0
    assert obs.stop(), "OBS saves its scenes"
    file = obs.settings / "basic" / "scenes" / "livematte.json"
    scenes = json.loads(file.read_text(encoding="utf-8"))
    for source in scenes["sources"]:
        for item in source.get("settings", {}).get("items") or []:
            if item.get("name") == "livematte":
                item["blend_method"] = "srgb_off"  # what Blending Method > sRGB Off does
    file.write_text(json.dumps(scenes), encoding="utf-8")
    obs.start()
    sent = BgraConverter()(pattern())[180, 40::80]
    a, F = sent[:, 3:] / 255, sent[:, 2::-1].astype(float)
    wanted = F * a + np.array(BACKDROP) * (1 - a)
    with livematte(obs, blend="srgb"):
        until(lambda: bool(np.abs(obs.screenshot()[90, 20::40] - wanted).max() <= 1.5), "the values mixed")
    assert cli.run(["obs", "remove", *port]) == 0
    until(lambda: bare(obs), "the backdrop alone")


def test_the_lua_route_is_as_transparent(obs: RealObs) -> None:
    from livematte.plugins.obs import sink

    assert obs.stop(), "OBS saves its scenes"
    obs.add_script(Path(sink.__file__).with_name("livematte.lua"))
    obs.start()
    with livematte(obs, route="lua"):
        until(lambda: shown(obs), "the patches through shared memory")
    assert obs.inputs() == {"backdrop"}
    until(lambda: bare(obs), "the backdrop alone")


def test_the_lua_route_never_shows_the_picture_of_a_killed_session_again(obs: RealObs) -> None:
    kill_a_session(obs, "lua")
    with livematte(obs, route="lua"):
        until(lambda: shown(obs), "the patches of a new session")
    assert obs.inputs() == {"backdrop"}


def test_another_route_takes_the_place_of_a_permanent_source_off_air(obs: RealObs) -> None:
    port = ["--obs-port", str(obs.port)]
    assert cli.run(["obs", "setup", "--obs-position", "10,20", "--obs-size", "160x90", *port]) == 0
    with obs.connection() as call:
        call(
            "CreateSourceFilter", sourceName="livematte", filterName="mine", filterKind="crop_filter",
            filterSettings={"left": 4},
        )  # fmt: skip
        with off_air(obs), livematte(obs, route="lua"):
            assert call("GetInputSettings", inputName="livematte")["inputKind"] == "livematte_overlay"
        (item,) = [
            entry for entry in call("GetSceneItemList", sceneName="Scene")["sceneItems"]  # type: ignore[attr-defined]
            if entry["sourceName"] == "livematte"
        ]  # fmt: skip
        (filter,) = call("GetSourceFilterList", sourceName="livematte")["filters"]  # type: ignore[misc]
    place = item["sceneItemTransform"]
    keys = ("positionX", "positionY", "boundsWidth", "boundsHeight")
    assert [place[key] for key in keys] == [10, 20, 160, 90]
    assert filter["filterSettings"]["left"] == 4
    assert cli.run(["obs", "remove", *port]) == 0
    assert obs.inputs() == {"backdrop"}
    until(lambda: bare(obs), "the backdrop alone")


def test_the_whole_command_shows_a_person_is_killed_and_tidies_up(obs: RealObs, tmp_path: Path) -> None:
    from livematte.tools import demo

    words = [sys.executable, "-m", "livematte", "live", "--to", "obs", "--input", str(demo.clip_path())]
    words += ["--resolution", "320x180", "--sink-option", f"obs.port={obs.port}"]
    words += ["--sink-option", "obs.stream-port=0"]
    environment = {**os.environ, "OBS_PASSWORD": PASSWORD, "XDG_RUNTIME_DIR": str(tmp_path)}

    def person() -> bool:
        seen = np.abs(obs.screenshot().astype(int) - BACKDROP).max(axis=2) > 20
        return bool(0.1 < seen.mean() < 0.8 and not seen[:10, :10].any())

    with (tmp_path / "log").open("ab") as log:
        for ends in (signal.SIGKILL, signal.SIGINT):
            command = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
            try:
                until(person, "a person before the backdrop")
                command.send_signal(ends)
                command.wait(SECONDS)
            finally:
                command.kill()
            until(lambda: bare(obs), "the backdrop alone")
    assert command.returncode == 0 and obs.inputs() == {"backdrop"}


def test_a_profile_follows_the_scene_on_air_and_stats_tell_when_the_source_is_deleted(
    obs: RealObs, tmp_path: Path
) -> None:
    from livematte.tools import demo

    profile = tmp_path / "talk.toml"
    profile.write_text(
        f'input = {str(demo.clip_path())!r}\nto = "obs"\nresolution = "320x180"\nsize = 128\n'
        f'[obs]\nport = {obs.port}\nstream-port = 0\n[obs.scenes.Break]\nbackground = "#ff0000"\n',
        encoding="utf-8",
    )
    environment = {**os.environ, "OBS_PASSWORD": PASSWORD, "XDG_RUNTIME_DIR": str(tmp_path)}
    words = [sys.executable, "-m", "livematte", "live", "--profile", str(profile)]

    def corner() -> list[int]:
        """Red, green, blue and alpha of livematte's source."""
        with obs.connection() as call:
            shot = call("GetSourceScreenshot", sourceName="livematte", imageFormat="png")["imageData"]
        data = np.frombuffer(base64.b64decode(str(shot).split(",", 1)[1]), np.uint8)
        return list(cv2.imdecode(data, cv2.IMREAD_UNCHANGED)[5, 5, [2, 1, 0, 3]])

    def stats() -> str:
        ctl = [sys.executable, "-m", "livematte", "ctl", "stats"]
        return subprocess.run(ctl, env=environment, capture_output=True, text=True, timeout=SECONDS).stdout

    command = subprocess.Popen(words, env=environment)
    try:
        until(lambda: corner()[3] == 0, "transparent")
        with off_air(obs):
            until(lambda: corner()[0] > 200 and corner()[1] < 60 and corner()[3] == 255, "red")
        until(lambda: corner()[3] == 0, "transparent again")
        until(lambda: "viewers see people" in stats(), "OBS shows people")
        with obs.connection() as call:
            call("RemoveInput", inputName="livematte")
        until(lambda: "nobody watches" in stats(), "the source was deleted by hand")
    finally:
        command.send_signal(signal.SIGINT)
        command.wait(SECONDS)
    assert command.returncode == 0 and obs.inputs() == {"backdrop"}


def test_the_buttons_of_the_panel_ask_a_real_obs(
    tmp_path: Path, display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    testclient = pytest.importorskip("starlette.testclient", reason="the extra panel is not installed")
    from livematte.panel.app import PanelFolders, make_app

    try:
        (tmp_path / "obs").mkdir()
        own = RealObs(tmp_path / "obs", display, 4455)
    except OSError:
        pytest.skip("port 4455, at which the buttons look for OBS, is in use")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    headers = {"authorization": f"Bearer {'t' * 43}"}
    panel = make_app(PanelFolders(tmp_path), "t" * 43, 8717)
    try:
        own.start()
        with testclient.TestClient(panel, base_url="http://127.0.0.1:8717", headers=headers) as client:
            until(lambda: client.get("/api/plugins/obs/status").status_code == 200, "OBS answers")
            status = client.get("/api/plugins/obs/status").json()
            assert status["scene"] == "Scene" and status["item"] is None and status["obs"][0].isdigit()
            assert client.post("/api/plugins/obs/setup").json()["scenes"] == ["Scene"]
            item = client.get("/api/plugins/obs/status").json()["item"]
            assert item["name"] == "livematte" and item["stays"] is True
            assert own.inputs() == {"livematte"}
            monkeypatch.setenv("OBS_PASSWORD", "wrong")
            refused = client.get("/api/plugins/obs/status")
            assert refused.status_code == 502 and "rejects the password" in refused.json()["error"]
    finally:
        own.stop()


def test_obs_that_is_absent(obs: RealObs, capsys: pytest.CaptureFixture[str]) -> None:
    obs.stop()
    assert cli.run(["obs", "status", "--obs-port", str(obs.port)]) == 1
    assert f"no OBS at 127.0.0.1:{obs.port}" in capsys.readouterr().err
    with livematte(obs) as notes:
        assert "livematte connects when OBS runs" in notes[0]
        obs.start()
        until(lambda: shown(obs), "the patches, OBS having come later")
    assert obs.inputs() == {"backdrop"}
