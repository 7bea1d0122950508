"""The client and the controller, tested with a server that uses the real protocol over TCP."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from livematte.errors import InputError, UsageError
from livematte.plugins.obs.client import (
    ObsClient,
    ObsError,
    ObsUnreachableError,
    WrongPasswordError,
    read_password,
)
from livematte.plugins.obs.controller import (
    LUA_KIND,
    MARK,
    MEDIA_KIND,
    PERMANENT,
    SESSION,
    ObsController,
    media_settings,
)
from livematte.plugins.obs.placement import ScenePlacement, parse_placement
from tests.unit.plugins.obs.fake_obs import FakeObs

SETTINGS = media_settings("gopher://127.0.0.1:24455")


@pytest.fixture
def fake() -> Iterator[FakeObs]:
    made = FakeObs()
    yield made
    made.stop()


@pytest.fixture
def client(fake: FakeObs) -> Iterator[ObsClient]:
    made = ObsClient(port=fake.port, password="secret", timeout=20)
    yield made
    made.close()


@pytest.fixture
def controller(client: ObsClient) -> ObsController:
    return ObsController(client)


def test_a_good_password_opens_and_is_never_sent_or_logged(
    fake: FakeObs, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client = ObsClient(port=fake.port, password="secret")
        assert client.call("GetVersion")["obsVersion"] == "29.0.2"
        client.close()
    assert not [text for text in fake.received if "secret" in text]
    assert "secret" not in caplog.text and fake._answer() not in caplog.text


def test_no_password_is_needed_where_obs_asks_for_none(fake: FakeObs) -> None:
    fake.password = ""
    client = ObsClient(port=fake.port)
    assert client.connected
    client.close()
    assert not client.connected


def test_a_wrong_password_is_said_with_the_code_of_obs(fake: FakeObs) -> None:
    with pytest.raises(
        WrongPasswordError, match=r"rejects the password \(code 4009: Authentication"
    ) as raised:
        ObsClient(port=fake.port, password="wrong-one")
    assert raised.value.code == 4009
    assert "wrong-one" not in str(raised.value)


def test_a_missing_password_is_asked_for(fake: FakeObs) -> None:
    with pytest.raises(WrongPasswordError, match="requires a password.*OBS_PASSWORD or .*password-file=FILE"):
        ObsClient(port=fake.port)


def test_an_unreachable_obs_is_reported_with_the_fix(fake: FakeObs) -> None:
    fake.stop()
    words = rf"no OBS at 127.0.0.1:{fake.port} \([^\[]*\): .*Enable WebSocket server; .*obs.port=N"
    with pytest.raises(ObsUnreachableError, match=words):
        ObsClient(port=fake.port)


def test_an_unknown_host_is_reported() -> None:
    with pytest.raises(ObsError, match=r"unknown host 'nowhere\.invalid': give the name"):
        ObsClient(host="nowhere.invalid")


def test_a_server_that_never_greets_is_not_waited_for(fake: FakeObs) -> None:
    fake.mute = True
    with pytest.raises(ObsError, match="does not answer: use the port of"):
        ObsClient(port=fake.port, timeout=0.3)  # the server would be mute for ever


def test_another_program_on_the_port_is_reported() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ObsError, match="not an obs-websocket 5 server") as raised:
            ObsClient(port=server.getsockname()[1], timeout=2)
    assert not isinstance(raised.value, ObsUnreachableError)


def test_a_refused_request_carries_the_code_and_words_of_obs(client: ObsClient) -> None:
    with pytest.raises(
        ObsError, match=r"refused GetInputSettings \(code 600: No source was found by"
    ) as raised:
        client.call("GetInputSettings", inputName="nobody")
    assert (raised.value.code, raised.value.comment) == (600, "No source was found by the name of `nobody`")


def test_a_request_that_does_not_exist_is_an_error(client: ObsClient) -> None:
    with pytest.raises(ObsError, match="code 204"):
        client.call("MakeCoffee")


def test_threads_share_one_connection(client: ObsClient) -> None:
    problems: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(20):
                assert client.call("GetVersion")["obsVersion"] == "29.0.2"
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_events_wait_in_a_queue(fake: FakeObs, client: ObsClient) -> None:
    fake.event("CurrentProgramSceneChanged", sceneName="Break")
    assert client.events.get(timeout=60) == ("CurrentProgramSceneChanged", {"sceneName": "Break"})


@pytest.mark.parametrize("rude", [False, True], ids=["quits", "is killed"])
def test_obs_that_goes_away_is_noticed_without_a_traceback(
    fake: FakeObs, client: ObsClient, rude: bool
) -> None:
    fake.stop(rude=rude)
    with pytest.raises(ObsUnreachableError, match="closed the connection"):
        for _ in range(100):
            client.call("GetVersion")
            time.sleep(0.02)
    assert not client.connected
    client.close()
    client.close()


def test_a_new_item_fills_the_canvas_with_the_settings_that_obs_needs(
    fake: FakeObs, controller: ObsController
) -> None:
    assert controller.ensure(MEDIA_KIND, SETTINGS) == "created"
    made = fake.inputs["livematte"]
    assert made["inputKind"] == "ffmpeg_source"
    assert made["settings"] == {
        "is_local_file": False, "input": "gopher://127.0.0.1:24455", "input_format": "nut",
        "buffering_mb": 0, "reconnect_delay_sec": 1, "hw_decode": False, "clear_on_media_end": True,
        "close_when_inactive": False, "restart_on_activate": False, "linear_alpha": True,
        "livematte": "session", "livematte_session": "",
    }  # fmt: skip
    (item,) = fake.items["Scene"]
    place = fake.transforms[item["sceneItemId"]]
    assert (place["positionX"], place["positionY"]) == (0, 0)
    assert (place["boundsType"], place["boundsWidth"], place["boundsHeight"]) == (
        "OBS_BOUNDS_SCALE_INNER", 1920, 1080,
    )  # fmt: skip


def test_scene_position_and_size_are_as_asked(fake: FakeObs, controller: ObsController) -> None:
    controller.ensure(MEDIA_KIND, SETTINGS, scene="Break", placement=parse_placement("960,540", "640x360"))
    (item,) = fake.items["Break"]
    place = fake.transforms[item["sceneItemId"]]
    assert (place["positionX"], place["positionY"], place["boundsWidth"], place["boundsHeight"]) == (
        960, 540, 640, 360,
    )  # fmt: skip
    assert fake.items["Scene"] == []


def test_an_item_that_is_as_it_should_be_is_left_alone(fake: FakeObs, controller: ObsController) -> None:
    controller.ensure(MEDIA_KIND, SETTINGS)
    (item,) = fake.items["Scene"]
    fake.transforms[item["sceneItemId"]]["positionX"] = 33.0  # moved by hand
    assert controller.ensure(MEDIA_KIND, SETTINGS) == "unchanged"
    assert fake.asked("SetInputSettings") == []
    assert fake.transforms[item["sceneItemId"]]["positionX"] == 33.0


def test_only_what_differs_is_written(fake: FakeObs, controller: ObsController) -> None:
    controller.ensure(MEDIA_KIND, SETTINGS)
    assert controller.ensure(MEDIA_KIND, media_settings("gopher://127.0.0.1:5")) == "changed"
    assert [data["inputSettings"] for data in fake.asked("SetInputSettings")] == [
        {"input": "gopher://127.0.0.1:5"}
    ]
    assert fake.inputs["livematte"]["settings"]["linear_alpha"] is True


def test_an_item_can_be_moved_and_shown_in_another_scene_too(
    fake: FakeObs, controller: ObsController
) -> None:
    controller.ensure(MEDIA_KIND, SETTINGS)
    (item,) = fake.items["Scene"]
    assert controller.ensure(MEDIA_KIND, SETTINGS, placement=ScenePlacement((1, 2))) == "changed"
    moved = fake.transforms[item["sceneItemId"]]
    assert (moved["positionX"], moved["positionY"], moved["boundsWidth"]) == (1, 2, 1920)
    assert controller.ensure(MEDIA_KIND, SETTINGS, scene="Break") == "changed"
    found = controller.find()
    assert found is not None and found.scenes == ("Scene", "Break")


def test_what_somebody_else_made_is_never_touched(fake: FakeObs, controller: ObsController) -> None:
    fake.add("livematte", "image_source", file="holiday.png")
    before = dict(fake.inputs["livematte"])
    for attempt in (lambda: controller.ensure(MEDIA_KIND, SETTINGS), controller.remove):
        with pytest.raises(ObsError, match="source 'livematte' that livematte did not create"):
            attempt()
    assert fake.inputs["livematte"] == before


def test_removing_leaves_everything_else(fake: FakeObs, controller: ObsController) -> None:
    fake.add("logo", "image_source")
    controller.ensure(MEDIA_KIND, SETTINGS)
    assert controller.remove()
    assert list(fake.inputs) == ["logo"]
    assert [item["sourceName"] for item in fake.items["Scene"]] == ["logo"]
    assert not controller.remove()


def test_a_removal_is_waited_for_before_the_name_is_used_again(
    fake: FakeObs, controller: ObsController
) -> None:
    fake.kinds.append(LUA_KIND)
    fake.removal = 0.3
    controller.ensure(MEDIA_KIND, SETTINGS)
    assert controller.ensure(LUA_KIND, {"path": "/x"}) == "created"
    assert fake.inputs["livematte"]["inputKind"] == LUA_KIND


@pytest.mark.parametrize("place", ["off air", "two scenes", "twice in one scene", "a group"])
def test_the_source_is_removed_wherever_it_is(fake: FakeObs, controller: ObsController, place: str) -> None:
    """OBS lets go of a removed source only when it draws the scene that holds it."""
    controller.ensure(MEDIA_KIND, SETTINGS)
    if place == "two scenes":
        controller.ensure(MEDIA_KIND, SETTINGS, scene="Break")
    elif place == "twice in one scene":
        fake._place("Scene", "livematte")
    elif place == "a group":
        fake.add_group("Me")
        fake.groups["Me"].append(fake.items["Scene"].pop(0))
    fake.add_group("Others", "Break")
    fake.switch("Break" if place != "two scenes" else "Scene")
    found = controller.find()
    assert found is not None
    assert found.scenes == {"two scenes": ("Scene", "Break"), "a group": ("Me",)}.get(place, ("Scene",))
    assert controller.remove()
    assert fake.inputs == {} and controller.find() is None
    fake.switch("Scene")
    assert [item["sourceName"] for item in fake.items["Break"]] == ["Others"]


def test_a_source_flagged_as_removed_is_not_taken_for_a_good_one(
    fake: FakeObs, controller: ObsController
) -> None:
    controller.ensure(MEDIA_KIND, SETTINGS)
    fake.switch("Break")
    controller._call("RemoveInput", inputName="livematte")  # as an earlier livematte, or a user, did
    fake.items["Scene"].clear()
    assert controller.ensure(MEDIA_KIND, SETTINGS) == "created"
    assert [item["sourceName"] for item in fake.items["Break"]] == ["livematte"]


def test_another_route_keeps_every_place_and_filter(fake: FakeObs, controller: ObsController) -> None:
    fake.kinds.append(LUA_KIND)
    fake.add("logo", "image_source")
    controller.ensure(MEDIA_KIND, SETTINGS, permanent=True)
    fake.add("frame", "image_source")
    controller.ensure(MEDIA_KIND, SETTINGS, scene="Break", placement=parse_placement("5,6", "70x80"))
    (item,) = fake.items["Break"]
    item["enabled"], item["locked"], item["blend"] = False, True, "OBS_BLEND_SCREEN"
    fake.filters["livematte"] = [
        {
            "filterName": "crop",
            "filterKind": "crop_filter",
            "filterSettings": {"left": 3},
            "filterEnabled": False,
        }
    ]
    fake.switch("Break")
    assert controller.ensure(LUA_KIND, {"path": "/x"}) == "created"
    fake.switch("Scene")
    found = controller.find()
    assert found is not None and (found.kind, found.mark) == (LUA_KIND, PERMANENT)
    assert [each["sourceName"] for each in fake.items["Scene"]] == ["logo", "livematte", "frame"]
    (item,) = fake.items["Break"]
    assert (item["enabled"], item["locked"], item["blend"]) == (False, True, "OBS_BLEND_SCREEN")
    look = fake.transforms[item["sceneItemId"]]
    assert [look[key] for key in ("positionX", "positionY", "boundsWidth", "boundsHeight")] == [5, 6, 70, 80]
    (filter,) = fake.filters["livematte"]
    assert (filter["filterSettings"], filter["filterEnabled"]) == ({"left": 3}, False)


@pytest.mark.parametrize("obstacle", ["no kind", "a group"])
def test_a_route_that_obs_refuses_loses_nothing(
    fake: FakeObs, controller: ObsController, obstacle: str
) -> None:
    controller.ensure(MEDIA_KIND, SETTINGS, permanent=True)
    if obstacle == "a group":
        fake.kinds.append(LUA_KIND)
        fake.add_group("Me")
        fake.groups["Me"].append(fake.items["Scene"].pop(0))
    message = "no source kind" if obstacle == "no kind" else "group 'Me': take 'livematte' out of the group"
    with pytest.raises(ObsError, match=message):
        controller.ensure(LUA_KIND, {"path": "/x"})
    found = controller.find()
    assert found is not None and (found.kind, found.mark) == (MEDIA_KIND, PERMANENT)


def test_a_permanent_item_stays_permanent(fake: FakeObs, controller: ObsController) -> None:
    controller.ensure(MEDIA_KIND, SETTINGS)
    assert fake.inputs["livematte"]["settings"][MARK] == SESSION
    controller.ensure(MEDIA_KIND, SETTINGS, permanent=True)
    assert fake.inputs["livematte"]["settings"][MARK] == PERMANENT
    controller.ensure(MEDIA_KIND, SETTINGS)
    assert fake.inputs["livematte"]["settings"][MARK] == PERMANENT


def test_nothing_is_left_behind_when_the_item_cannot_be_placed(
    fake: FakeObs, controller: ObsController
) -> None:
    fake.fail["SetSceneItemTransform"] = (402, "The field value of `boundsWidth` is below the minimum.")
    with pytest.raises(ObsError, match="code 402"):
        controller.ensure(MEDIA_KIND, SETTINGS)
    assert fake.inputs == {}


def test_obs_that_is_still_starting_is_waited_for(fake: FakeObs, controller: ObsController) -> None:
    fake.not_ready = 2
    assert controller.ensure(MEDIA_KIND, SETTINGS) == "created"


def test_an_unknown_scene_is_said_with_those_that_are(controller: ObsController) -> None:
    with pytest.raises(ObsError, match="no scene 'Pause': use one of 'Scene', 'Break'"):
        controller.ensure(MEDIA_KIND, SETTINGS, scene="Pause")


def test_the_lua_source_must_have_been_added(controller: ObsController) -> None:
    with pytest.raises(ObsError, match="add livematte.lua in Tools > Scripts"):
        controller.ensure(LUA_KIND, {"path": "/x"})


@pytest.mark.parametrize(
    ("position", "size", "message"),
    [
        ("left", None, "use x,y"),
        (None, "640", "use WIDTHxHEIGHT"),
        (None, "0x360", "WIDTHxHEIGHT"),
    ],
)
def test_an_invalid_placement_is_refused(position: str | None, size: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_placement(position, size)


def test_the_password_comes_from_a_file_or_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBS_PASSWORD", "of the variable")
    assert read_password() == "of the variable"
    file = tmp_path / "password"
    file.write_text("of the file\n", encoding="utf-8")
    assert read_password(file) == "of the file"
    monkeypatch.delenv("OBS_PASSWORD")
    assert read_password() == ""
    file.write_text("\n", encoding="utf-8")
    with pytest.raises(UsageError, match="is empty"):
        read_password(file)
    with pytest.raises(InputError, match="cannot read the password file"):
        read_password(tmp_path / "missing")


def test_the_fake_checks_passwords_as_the_protocol_says() -> None:
    """Check the fake server with the example in the documentation of obs-websocket."""
    fake = FakeObs(password="supersecretpassword")
    fake.stop()
    assert fake._answer() == "1Ct943GAT+6YQUUX47Ia/ncufilbe6+oD6lY+5kaCu4="


def test_the_library_logs_nothing() -> None:
    assert not logging.getLogger("obswebsocket.core").isEnabledFor(logging.ERROR)
