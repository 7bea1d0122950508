"""``livematte ctl`` and ``--profile``: what they say; a live session that another process changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from livematte import cli
from livematte.clock import SystemClock
from livematte.protocols import LiveFormat
from livematte.streaming import session_registry
from livematte.streaming.control import Control
from livematte.streaming.stats import LiveMeter, LiveStats
from tests.livepeers import CollectingSink


class Remembers:
    """A session that takes whatever it is given."""

    def __init__(self) -> None:
        self.background, self.model, self.paused = "green", "some-model", False
        self.choke = self.feather = 0.0
        self.keep, self.frame = "all", "off"
        self.frozen = False

    def stats(self) -> LiveStats:
        return LiveMeter(SystemClock()).stats(
            late=0, skipped=0, level=0, steps=0, size=(160, 288), watched=None, sink_notes=["hot"]
        )


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def steered() -> Iterator[Remembers]:
    session = Remembers()
    with Control(session, lambda: None, name="desk"):
        yield session


Said = pytest.CaptureFixture[str]


def test_what_is_said(steered: Remembers, capsys: Said) -> None:
    for words, says in {
        "background white": "background: white",
        "blur 12": "background: blur:12",
        "blur 12.5": "background: blur:12.5",
        "model other": "model: other",
        "pause": "paused: viewers see the placeholder",
        "freeze": "frozen: viewers keep the present picture",
        "resume -s desk": "resumed",
        "choke -2": "choke: -2",
        "feather 2.5": "feather: 2.5",
        f"stop --session {os.getpid()}": "session desk ends",
    }.items():
        assert cli.run(["ctl", *words.split()]) == 0
        assert capsys.readouterr().out == f"{says}\n"
    assert cli.run(["ctl", "blur", "-3", "--quiet"]) == 0
    assert steered.background == "blur:-3", "the session says that it cannot be, not a reader of options"
    assert cli.run(["ctl", "background", "white", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_stats_for_people_and_for_programs(steered: Remembers, capsys: Said) -> None:
    assert cli.run(["ctl", "stats"]) == 0
    said = capsys.readouterr()
    assert f"session: 'desk', pid {os.getpid()}" in said.out and "fps, latency p50" in said.out
    assert "viewers see the placeholder: starting" in said.out and "note: hot" in said.err
    assert cli.run(["ctl", "stats", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told["event"] == "stats" and told["background"] == "green" and told["stats"]["size"] == [160, 288]


def test_a_path_is_one_of_the_folder_where_it_was_typed(
    steered: Remembers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["ctl", "background", "beach.jpg"]) == 0
    assert steered.background == str(tmp_path / "beach.jpg")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["pause"], 1, "no live session runs: start one with livematte live"),
        (["blur"], 2, "Missing argument"),
        (["blur", "much"], 2, "N 'much': give a number; see livematte ctl blur --help"),
        (["dance"], 2, "No such command"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], code: int, says: str, capsys: Said) -> None:
    assert cli.run(["ctl", *words]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_without_a_command_there_is_help_and_no_error(capsys: Said) -> None:
    assert cli.run(["ctl"]) == 2
    said = capsys.readouterr()
    assert "background" in said.out and said.err == ""


# A session of livematte live

Sinks = list[tuple[LiveFormat, dict[str, Any], CollectingSink]]


def ctl(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "livematte", "ctl", *words],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        cwd=cwd,
    )


def test_a_live_session_is_changed_by_another_process(sinks: Sinks, clip: Path, tmp_path: Path) -> None:
    """The session's folder is this one's, the picture lies in the other's."""
    (tmp_path / "pictures").mkdir()
    bright = b"P6 2 2 255 " + bytes([255] * 12)
    (tmp_path / "pictures" / "bright.ppm").write_bytes(bright)
    typed = ["--to", "collecting", "--resolution", "160x96", "--rate", "25", "--background", "black"]
    codes: list[int] = []
    live = threading.Thread(
        target=lambda: codes.append(cli.run(["live", "--input", str(clip), *typed, "--name", "talk"]))
    )
    live.start()
    try:
        end = time.monotonic() + 60
        while not session_registry.running() and time.monotonic() < end:
            time.sleep(0.1)
        sink = sinks[0][2]
        assert sink.wait_for(lambda frame: int(frame.planes[0][0, 0]) < 30)
        done = ctl("background", "bright.ppm", "--session", "talk", cwd=tmp_path / "pictures")
        assert done.returncode == 0 and "bright.ppm" in done.stdout, done
        assert sink.wait_for(lambda frame: int(frame.planes[0][0, 0]) > 200)
        done = ctl("background", "missing.jpg")
        assert done.returncode == 2 and "no such file" in done.stderr and done.stderr.count("\n") == 1
    finally:
        done = ctl("stop")
        live.join(60)
    assert done.returncode == 0 and codes == [0] and sink.closed
    assert session_registry.running() == []


# Profiles


def test_a_profile_gives_what_is_not_typed(sinks: Sinks, clip: Path, tmp_path: Path, capsys: Said) -> None:
    profile = tmp_path / "meeting.toml"
    (tmp_path / "me.mp4").write_bytes(clip.read_bytes())
    profile.write_text(
        """
        camera = "none such"
        to = ["collecting"]
        resolution = "160x96"
        background = "white"
        rate = 10
        seconds = 0.5
        [sink-option.collecting]
        some-thing = 5
        """,
        encoding="utf-8",
    )
    typed = ["--rate", "25", "--input", str(tmp_path / "me.mp4"), "--json"]
    assert cli.run(["live", "--profile", str(profile), *typed]) == 0, capsys.readouterr()
    ((format, own, sink),) = sinks
    assert (format.width, format.height, format.rate) == (160, 96, 25), "what is typed comes first"
    assert own == {"some_thing": "5"}
    assert all(int(frame.planes[0][0, 0]) > 200 for frame in sink.frames) and sink.frames


@pytest.mark.parametrize(("typed", "bright"), [([], "right"), (["--no-mirror"], "left")])
def test_a_switch_of_the_profile_is_typed_off(
    sinks: Sinks, tmp_path: Path, capsys: Said, typed: list[str], bright: str
) -> None:
    half = np.zeros((96, 160), np.uint8)
    half[:, :80] = 230
    file = tmp_path / "me.png"
    cv2.imwrite(str(file), half)
    profile = tmp_path / "meeting.toml"
    profile.write_text(
        f"""
        mirror = true
        input = {str(file)!r}
        to = "collecting"
        resolution = "160x96"
        rate = 25
        background = "black"
        seconds = 0.6
        """,
        encoding="utf-8",
    )
    assert cli.run(["live", "--profile", str(profile), "--quiet", *typed]) == 0, capsys.readouterr()
    luma = sinks[0][2].frames[-1].planes[0].astype(int)
    left, right = luma[:, 56:78].mean(), luma[:, 82:104].mean()  # the person is the middle third
    assert ("right" if right > left else "left") == bright and abs(right - left) > 100


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('backgroud = "x"', "did you mean 'background'"),
        ('camera = "a"\ninput = "b.mp4"', "two sources"),
        ("threads = 0", "threads"),
        ('resolution = "big"', "1280x720"),
    ],
)
def test_a_wrong_profile_is_one_line(
    sinks: Sinks, tmp_path: Path, text: str, says: str, capsys: Said
) -> None:
    profile = tmp_path / "meeting.toml"
    profile.write_text(text, encoding="utf-8")
    assert cli.run(["live", "--profile", str(profile)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line and not sinks


def test_render_takes_one_too(clip: Path, tmp_path: Path, capsys: Said) -> None:
    profile = tmp_path / "render.toml"
    profile.write_text('background = "nope"\ncrf = 30', encoding="utf-8")
    assert cli.run(["render", str(clip), str(tmp_path / "out.mp4"), "--profile", str(profile)]) == 2
    assert str(tmp_path / "nope") in capsys.readouterr().err


def test_a_command_imports_no_other_command_and_no_large_library(tmp_path: Path) -> None:
    code = (
        "import sys; from livematte import cli; cli.run(['ctl', 'stats']);"
        "print(*(name for name in sys.modules if name.startswith('livematte.') or '.' not in name))"
    )
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    loaded = set(ended.stdout.split())
    assert "livematte.cli.ctl" in loaded and "no live session runs" in ended.stderr
    assert not {"livematte.cli.render", "livematte.cli.live", "livematte.preview", "numpy", "cv2"} & loaded
