"""README: "Nothing is sent anywhere". Every command is run once and its network and home are looked at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from livematte.cli.app import app
from tests.clips import make_clip
from tests.people import draw_people
from tests.watched import every_command

ROOT = Path(__file__).parents[2]
WATCHED = ROOT / "tests" / "watched"
OURS = ("HOME", "PATH", "LANG", "VIRTUAL_ENV", "SYSTEMROOT", "LD_LIBRARY_PATH")
"""All that is passed on: no setting of a user's or of this suite's that turns something off."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Watch:
    """What was seen while every command ran once."""

    results: list[dict[str, Any]]
    asked: list[str]
    """By Python code, of the network."""
    packets: list[str] | None
    """DNS queries and what was sent to other machines; None where no network could be made to look at."""
    said: str


def no_network_of_its_own() -> str | None:
    """Why no process can be given a network here; None where one can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    missing = [name for name in ("unshare", "ip", "mount") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    tried = subprocess.run(
        ["unshare", "-rnm", "sh", "-c", "ip link set lo up && mount --bind /etc/hosts /etc/resolv.conf"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"no network namespace may be made here: {tried.stderr.strip()}" if tried.returncode else None


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    folder = tmp_path_factory.mktemp("watched")
    for name in ("home", "scratch"):
        (folder / name).mkdir()
    make_clip(folder / "clip.mp4", frames=12, size=(96, 160))
    draw_people(folder / "people", people=4, held_out=1, rooms=2, side=64)
    asked, packets, results = folder / "asked.txt", folder / "packets.txt", folder / "results.json"
    asked.touch()
    environment = {name: os.environ[name] for name in OURS if name in os.environ}
    home, scratch = str(folder / "home"), str(folder / "scratch")
    environment |= {"HOME": home, "USERPROFILE": home, "TMPDIR": scratch, "TEMP": scratch, "TMP": scratch}
    environment |= {"PYTHONPATH": os.pathsep.join((str(WATCHED), str(ROOT))), "WATCHED_LOG": str(asked)}
    command = [sys.executable, str(WATCHED / "every_command.py"), str(folder), str(results)]
    alone = no_network_of_its_own() is None
    if alone:
        command = ["unshare", "-rnm", sys.executable, str(WATCHED / "alone.py"), str(packets), *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Watch(
        json.loads(results.read_text(encoding="utf-8")),
        asked.read_text(encoding="utf-8").splitlines(),
        packets.read_text(encoding="utf-8").splitlines() if alone else None,
        (folder / "said.txt").read_text(encoding="utf-8", errors="replace"),
    )


def test_every_command_is_in_the_list() -> None:
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    names = set()
    for name in group.list_commands(context):
        inner = group.get_command(context, name)
        names |= {f"{name} {sub}" for sub in getattr(inner, "commands", ())} or {name}
    run = [f"{command} ".split(" ") for command in every_command.COMMANDS]
    assert names - {words[0] for words in run} - {" ".join(words[:2]) for words in run} == set()


def test_every_command_does_its_work_while_it_is_watched(watch: Watch) -> None:
    codes = {result["command"]: result["code"] for result in watch.results}
    wrong = {
        command: code
        for command, code in codes.items()
        if code not in ((0, 130) if command in every_command.INTERRUPTED else (0,))
        and command not in every_command.FAILS
    }
    assert not wrong, watch.said
    assert set(codes) >= set(every_command.COMMANDS)


def test_no_command_asks_python_for_another_machine(watch: Watch) -> None:
    assert watch.asked == []


def test_no_command_sends_a_packet_or_asks_the_dns(watch: Watch) -> None:
    if watch.packets is None:
        pytest.skip(str(no_network_of_its_own()))
    assert watch.packets == []


@pytest.mark.skipif(sys.platform == "win32", reason="a user's folders come from the registry there")
def test_no_command_leaves_a_file_outside_the_folders_of_livematte(watch: Watch) -> None:
    assert {result["command"]: result["left"] for result in watch.results if result.get("left")} == {}
