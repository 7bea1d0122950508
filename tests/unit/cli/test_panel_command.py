"""``livematte panel``: what it refuses before it serves anything."""

from __future__ import annotations

import builtins
import socket
from pathlib import Path
from typing import Any

import pytest

from livematte import cli
from livematte.panel import server

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "default_folder", lambda: tmp_path / "own")


def test_the_path_of_the_token_is_printed(tmp_path: Path, capsys: Said) -> None:
    assert cli.run(["panel", "--token-file"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'own' / 'token'}\n" and (tmp_path / "own/token").exists()


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    before = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "uvicorn":
            raise ImportError(name)
        return before(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert cli.run(["panel"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the panel needs an extra package: run pip install '.[panel]'" in line


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, capsys: Said) -> None:
    pytest.importorskip("uvicorn", reason="the extra panel is not installed")
    for option in ("--profiles", "--backgrounds", "--files"):
        assert cli.run(["panel", option, str(tmp_path / "none"), "--port", str(free_port())]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "none does not exist: create it or name another" in line


def test_a_port_that_is_taken_is_one_line(capsys: Said) -> None:
    pytest.importorskip("uvicorn", reason="the extra panel is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert cli.run(["panel", "--port", str(taken.getsockname()[1])]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "is a panel running already? Choose another with --port" in line
    assert cli.run(["panel", "--port", "80"]) == 2
    assert "port 80 is invalid: use 1024 to 65535" in capsys.readouterr().err


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
