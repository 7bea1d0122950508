"""``livematte obs`` and checks of ``livematte doctor``, against a server that speaks the real protocol."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from livematte import cli
from livematte.plugins.obs import client
from livematte.plugins.obs.checks import obs as check
from tests.unit.plugins.obs.fake_obs import FakeObs


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeObs]:
    monkeypatch.setenv("OBS_PASSWORD", "secret")
    made = FakeObs(removal=0.05)
    yield made
    made.stop()


def run(fake: FakeObs, *words: str) -> int:
    return cli.run(["obs", *words, "--obs-port", str(fake.port)])


def test_setup_status_and_remove(fake: FakeObs, capsys: pytest.CaptureFixture[str]) -> None:
    fake.add("logo", "image_source")
    assert run(fake, "status") == 0
    assert "livematte: not found" in capsys.readouterr().out
    assert run(fake, "setup", "--obs-scene", "Break", "--obs-position", "10,20") == 0
    assert "livematte: created in Break" in capsys.readouterr().out
    assert fake.inputs["livematte"]["settings"]["livematte"] == "kept"
    assert run(fake, "setup") == 0
    assert "unchanged in Break" in capsys.readouterr().out
    assert run(fake, "status") == 0
    out = capsys.readouterr().out
    assert "OBS 29.0.2, websocket 5.1.0, scene on air: Scene" in out
    assert "livematte: in Break, route media, permanent, visible" in out
    assert run(fake, "remove") == 0
    assert run(fake, "remove") == 0
    assert capsys.readouterr().out.splitlines() == ["livematte: removed", "livematte: not found"]
    assert set(fake.inputs) == {"logo"}


def test_status_as_json(fake: FakeObs, capsys: pytest.CaptureFixture[str]) -> None:
    run(fake, "setup")
    capsys.readouterr()
    assert run(fake, "status", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {
        "obs": "29.0.2", "websocket": "5.1.0", "scene": "Scene",
        "item": {
            "name": "livematte", "kind": "ffmpeg_source", "scenes": ["Scene"], "stays": True, "showing": True
        },
    }  # fmt: skip


def test_setup_remove_and_errors_as_json(fake: FakeObs, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fake, "setup", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "livematte",
        "done": "created",
        "scenes": ["Scene"],
    }
    assert run(fake, "remove", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"name": "livematte", "done": "removed"}
    for words in (
        ["setup", "--obs-route", "ndi"],
        ["status", "--obs-port", "70000"],
        ["remove", "--obs-port", "70000"],
    ):
        cli.run(["obs", *words, "--json"])
        event = json.loads(capsys.readouterr().out)
        assert event["event"] == "error" and ": use " in event["message"]


def test_the_password_file_is_read_and_shown_nowhere(
    fake: FakeObs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OBS_PASSWORD")
    file = tmp_path / "word"
    file.write_text("secret\n", encoding="utf-8")
    assert run(fake, "status", "--obs-password-file", str(file)) == 0
    file.write_text("not-the-word\n", encoding="utf-8")
    assert run(fake, "status", "--obs-password-file", str(file)) == 1
    said = capsys.readouterr()
    assert "code 4009" in said.err and "not-the-word" not in said.out + said.err
    assert len(said.err.splitlines()) == 1


def test_no_option_takes_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["obs", "status", "--obs-password", "x"]) == 2
    assert cli.run(["obs", "setup", "--password", "x"]) == 2


def test_errors_of_obs_reach_the_user_with_their_code(
    fake: FakeObs, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.fail["CreateInput"] = (605, "The specified source kind is not supported.")
    assert run(fake, "setup") == 1
    assert "OBS refused CreateInput (code 605: The specified source kind" in capsys.readouterr().err


def test_an_unreachable_obs_gives_one_line_with_the_fix(
    fake: FakeObs, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.stop()
    assert run(fake, "status") == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "Enable WebSocket server" in said


@pytest.mark.parametrize("words", [["--obs-route", "ndi"], ["--obs-size", "big"]])
def test_invalid_options_are_refused(fake: FakeObs, words: list[str]) -> None:
    assert run(fake, "setup", *words) == 2
    assert fake.requests == []


def test_invalid_ports_are_refused_before_any_request(
    fake: FakeObs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fake, "setup", "--obs-stream-port", "70000") == 2
    assert cli.run(["obs", "status", "--obs-port", "70000"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "obs-stream-port 70000 is invalid: use a number" in first
    assert "obs-port 70000 is invalid: use a number" in second and fake.requests == []


def test_the_script_is_where_the_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["obs", "script"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.name == "livematte.lua" and "obs_register_source" in path.read_text(encoding="utf-8")


def test_the_doctor_finds_everything_in_order(fake: FakeObs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.ObsClient.__init__, "__kwdefaults__", kwdefaults(fake.port))
    found = {finding.name: (finding.good, finding.what) for finding in check()}
    assert found == {
        "reachable": (True, "OBS answers"), "version": (True, "OBS 29.0.2"),
        "websocket": (True, "obs-websocket 5.1.0"), "password": (True, "accepted"),
        "media source": (True, "available"),
        "lua source": (None, "not loaded; needed only for the route lua"),
        "item": (None, "not found"),
    }  # fmt: skip


def kwdefaults(port: int) -> dict[str, object]:
    usual = client.ObsClient.__init__.__kwdefaults__
    return {**usual, "port": port, "timeout": 3.0}


def test_the_doctor_names_the_fix(fake: FakeObs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.ObsClient.__init__, "__kwdefaults__", kwdefaults(fake.port))
    fake.kinds.remove("ffmpeg_source")
    (media,) = [finding for finding in check() if finding.name == "media source"]
    assert media.good is False and "obs-plugins" in media.fix
    monkeypatch.setenv("OBS_PASSWORD", "wrong")
    reachable, password = check()
    assert reachable.good and not password.good
    assert "code 4009" in password.what and "Show Connect Info" in password.fix
    fake.stop()
    (absent,) = check()
    assert absent.good is None and absent.fix.startswith("start OBS 28")


def test_without_the_extra_the_doctor_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "livematte.plugins.obs.client")
    monkeypatch.setitem(sys.modules, "obswebsocket", None)
    (package,) = check()
    assert package.good is None and package.fix == "pip install '.[obs]'"
