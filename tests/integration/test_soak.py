"""Memory and latency of long live sessions. To run the long test::

LIVEMATTE_SOAK=30 python -m pytest tests/integration/test_soak.py    # minutes; it writes runs/soak.png
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="pip install '.[virtualcam]'")

from benchmarks import sampling, soak, soakengine, soaksamples  # noqa: E402
from benchmarks.clips import loop_clip  # noqa: E402
from livematte.tools.demo import clip_path  # noqa: E402

WORKS = "import time\nwhile time.process_time() < 1: pass"
MINUTES = float(os.environ.get("LIVEMATTE_SOAK", "0"))


@pytest.fixture(autouse=True)
def _no_other_test_finds_the_camera_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", dict(pyvirtualcam.camera.BACKENDS))


def test_hundreds_of_frames_through_everything_but_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soakengine, "SLOW_EVERY", 300)
    monkeypatch.setattr(soakengine, "SLOW_FOR", 100)
    monkeypatch.setattr(soakengine, "UNPLUGGED_EVERY", 150)
    clip = loop_clip(clip_path(), 1, soakengine.HEIGHT, tmp_path / "small.mp4")
    soaked = soakengine.run_frames(clip, 700)
    assert "700 frames" in soaked.what and len(soaked.times) == len(soaked.memory) >= 500
    assert soaked.lines["reconnects"][-1] == 4
    level = soaked.lines["level"]
    assert level[200] == 0 and max(level) >= 1, "slow once, it went down"
    assert soaked.lines["placeholders"][-1] < 100, "most frames were pictures"


def test_growth_is_seen_and_noise_is_not() -> None:
    times = list(np.linspace(0, 30, 360))
    noise = np.random.default_rng(0).normal(0, 5, 360)
    filling = 200 * np.exp(-np.linspace(0, 30, 360))  # caches, in the beginning

    def judged(leak: float, slower: float) -> dict[str, float | bool]:
        used = list(500 - filling + noise + leak * np.array(times))
        p95 = list(50 + noise + slower * np.array(times))
        p95[100:104] = [900.0] * 4  # somebody else used the machine
        return soaksamples.SoakRun("made up", times, used, {"latency p95 ms": p95}).verdict()

    flat = judged(0, 0)
    assert flat["memory is flat"] and flat["latency is flat"]
    assert abs(flat["memory MB a minute"]) < 0.2 and abs(flat["latency p95 ms"] - 50) < 2
    grown = judged(2, 1)
    assert not grown["memory is flat"] and not grown["latency is flat"]
    assert grown["memory MB a minute"] == pytest.approx(2, abs=0.2)
    assert grown["latency p95 ms a minute"] == pytest.approx(1, abs=0.2)


def test_what_another_program_slowed_down_is_not_judged() -> None:
    times = list(np.linspace(0, 30, 360))
    busy = np.array(times) > 15
    lines = {"latency p95 ms": list(np.where(busy, 90.0 + np.array(times), 50.0))}
    used = [500.0] * 360
    assert not soaksamples.SoakRun("made up", times, used, lines).verdict()["latency is flat"]
    lines[soaksamples.OTHERS] = list(np.where(busy, 0.7, 0.01))
    judged = soaksamples.SoakRun("made up", times, used, lines).verdict()
    assert judged["latency is flat"] and judged["latency p95 ms"] == 50
    assert judged["share of samples on a quiet machine"] == pytest.approx(0.375, abs=0.01)
    lines[soaksamples.OTHERS] = [0.01] * 75 + [0.7] * 285
    assert "latency is flat" not in soaksamples.SoakRun("made up", times, used, lines).verdict(), (
        "nobody can tell"
    )


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="there is no /proc")
def test_what_others_take_of_the_processor_is_seen() -> None:
    began, taken = time.monotonic(), sampling.other_cpu_seconds()
    subprocess.run([sys.executable, "-c", WORKS], check=True)
    other = sampling.other_cpu_seconds() - taken
    assert 0.9 < other < 1.2 * os.cpu_count() * (time.monotonic() - began) + 0.2


def test_what_was_measured_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pip install '.[train]'")
    import cv2

    lines = {"latency p95 ms": [50.0, 60.0, 55.0], "level": [0.0, 1.0, 0.0]}
    soak.draw(
        soaksamples.SoakRun("three looks", [0.0, 1.0, 2.0], [500.0, 510.0, 505.0], lines), tmp_path / "a.png"
    )
    drawn = np.asarray(cv2.imread(str(tmp_path / "a.png")))
    assert drawn.shape[1] == 1000 and drawn.std() > 5


@pytest.mark.soak
@pytest.mark.skipif(not MINUTES, reason="takes long: set LIVEMATTE_SOAK=30 (minutes) to run it")
def test_memory_and_latency_are_flat() -> None:
    assert soak.main(["--minutes", str(MINUTES), "--out", "runs/soak"]) == 0
