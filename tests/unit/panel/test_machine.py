"""The addresses that run other commands: doctor, devices, and those of plug-ins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra panel is not installed")
from starlette.testclient import TestClient

from livematte import registry
from livematte.errors import LivematteError
from livematte.panel import app as panel_app
from livematte.panel import child
from livematte.panel.app import PanelFolders, make_app
from livematte.streaming import session_registry

TOKEN, PORT = "t" * 43, 8717


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that ran; each answers with its words."""
    commands: list[tuple[str, ...]] = []

    async def run(*words: str) -> Any:
        commands.append(words)
        if words[0] == "broken":
            raise LivematteError("broken: no connection:\nstart it first")
        return {"words": words}

    monkeypatch.setattr(panel_app, "run_json", run)
    monkeypatch.setattr(registry, "names", lambda group: ["broken", "mixer"])
    return commands


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(session_registry, "folders", lambda: [tmp_path / "run"])
    headers = {"authorization": f"Bearer {TOKEN}"}
    app = make_app(PanelFolders(tmp_path), TOKEN, PORT)
    with TestClient(app, base_url=f"http://127.0.0.1:{PORT}", headers=headers) as opened:
        yield opened


def test_commands_of_plugins_are_two_and_only_setup_changes_something(
    client: TestClient, ran: list[tuple[str, ...]]
) -> None:
    assert client.get("/api/plugins/mixer/status").json() == {"words": ["mixer", "status", "--json"]}
    assert client.post("/api/plugins/mixer/setup").json() == {"words": ["mixer", "setup", "--json"]}
    assert client.get("/api/plugins/mixer/setup").status_code == 405
    assert client.post("/api/plugins/mixer/status").status_code == 405
    assert client.post("/api/plugins/mixer/remove").status_code == 400
    assert client.get("/api/plugins/render/status").status_code == 400
    assert len(ran) == 2


def test_a_command_that_fails_is_one_line(client: TestClient, ran: list[tuple[str, ...]]) -> None:
    answer = client.get("/api/plugins/broken/status")
    assert answer.status_code == 502
    assert answer.json() == {"error": "broken: no connection: start it first"}


def test_doctor_and_devices_are_those_of_the_command_line(
    client: TestClient, ran: list[tuple[str, ...]]
) -> None:
    assert client.get("/api/doctor").json() == {"words": ["doctor", "--json"]}
    assert client.get("/api/devices").json() == {"words": ["devices", "--json"]}
    assert client.post("/api/doctor").status_code == 405


def test_a_real_command_answers_or_says_why() -> None:
    import asyncio

    assert isinstance(asyncio.run(child.run_json("devices", "--json")), list)
    with pytest.raises(LivematteError, match="--no-such-option"):
        asyncio.run(child.run_json("devices", "--no-such-option"))
    with pytest.raises(LivematteError, match="^size 9 is invalid"):  # printed as JSON, too
        asyncio.run(child.run_json("bench", "--size", "9", "--json"))
