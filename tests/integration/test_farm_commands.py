"""``livematte render --cluster`` and ``livematte farm`` as a user runs them, on a cluster on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from livematte.farm.out_dir import LocalDir
from livematte.farm.status import read_status
from tests import clips

pytestmark = pytest.mark.farm

FRAMES, RATE, SEGMENTS = 800, 5, 8
"""160 seconds: eight segments of the usual length, with few frames each."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A head without cores, and two machines with one core each."""
    pytest.importorskip("ray", reason="Ray is not installed (pip install '.[farm]')")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    small: dict[str, Any] = {"object_store_memory": 100 << 20}
    head = {**small, "num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1, **small)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.make_clip(
        tmp_path_factory.mktemp("film") / "film.mp4", frames=FRAMES, rate=RATE, size=(360, 640),
        options={"preset": "ultrafast", "g": "5"},
    )  # fmt: skip


HOW = ["--device", "cpu", "--threads", "1", "--preset", "ultrafast", "--size", "192"]


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    given = [sys.executable, "-m", "livematte", *map(str, words)]
    return subprocess.run(given, capture_output=True, text=True, timeout=240)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_plan_measures_each_machine_and_leaves_nothing(address: str, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["render", film, "--out-dir", out, "--cluster", address, *HOW, "--plan", "--price", "3600"]
    done = command(*words, "--json")
    assert done.returncode == 0, done.stderr
    (plan,) = events(done.stdout)
    assert (plan["files"], plan["segments"], plan["frames"]) == (1, SEGMENTS, FRAMES)
    assert [(each["kind"], each["slots"]) for each in plan["machines"]] == [("cpu", 1), ("cpu", 1)]
    assert all(each["fps"] > 1 for each in plan["machines"])
    slowest = min(each["fps"] for each in plan["machines"])
    assert FRAMES / 8 / slowest < plan["seconds"] < 3 * FRAMES / slowest
    assert plan["cost"] == pytest.approx(2 * plan["seconds"]) and not out.exists()


def test_a_render_is_seen_cancelled_and_finished_by_the_commands(
    address: str, film: Path, tmp_path: Path
) -> None:
    out, words = tmp_path / "out", [sys.executable, "-m", "livematte", "render", str(film)]
    words += ["--out-dir", str(out), "--cluster", address, *HOW, "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
        end = time.monotonic() + 180
        while not any(each.done for each in status(out)) and driver.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        seen, refused = command("farm", "status", out, "--json"), command(*words[3:])
        cancelled = command("farm", "cancel", out)
        said, errors = driver.communicate(timeout=120)
    run, file = events(seen.stdout)
    assert (run["event"], run["process"]) == ("run", driver.pid)
    assert (file["name"], file["segments"], file["failed"]) == ("film.mp4", SEGMENTS, [])
    assert refused.returncode == 1 and f"is being written by process {driver.pid}" in refused.stderr
    assert cancelled.returncode == 0 and f"process {driver.pid} on" in cancelled.stdout
    assert events(said)[-1] == {"event": "done", "done": 0, "unchanged": 0, "failed": 0, "stopped": 1}, errors
    shown = [each["files"] for each in events(said) if each["event"] == "progress" and "files" in each]
    assert shown and all(file["name"] == "film.mp4" for files in shown for file in files)
    (left,) = status(out)
    assert 0 < left.done < SEGMENTS and not (out / "film.mp4").exists()
    finished = command("farm", "retry", out, "--json")
    assert finished.returncode == 0, finished.stderr
    assert [each["frames"] for each in events(finished.stdout) if each["event"] == "file"] == [FRAMES]
    assert (out / "film.mp4").exists() and status(out) == []
    assert "nothing is unfinished" in command("farm", "status", out).stdout


def status(out: Path) -> Any:
    return read_status(LocalDir(out)) if out.is_dir() else []


def test_an_address_without_a_cluster_is_one_line(film: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (pip install '.[farm]')")
    for address in ("127.0.0.1:9", "ray://127.0.0.1:9"):
        done = command("render", film, "--out-dir", tmp_path / "out", "--cluster", address, *HOW)
        assert done.returncode == 1 and f"no Ray cluster answers at {address}: " in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_commands_for_a_folder_without_renders_are_one_line(tmp_path: Path) -> None:
    for words, says in (
        (["status", tmp_path / "none"], "no such folder"),
        (["cancel", tmp_path], "no render into"),
        (["retry", tmp_path], "nothing was rendered into"),
    ):
        done = command("farm", *words)
        assert done.returncode in (1, 2) and says in done.stderr and len(done.stderr.splitlines()) == 1
