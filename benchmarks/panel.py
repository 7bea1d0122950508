"""Measure the panel: its processor share, and the pictures in a page of Chromium, beside a live session."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.memorycamera import BACKEND
from livematte.tools.demo import background_path

PATIENCE = 120.0
"""Longest time for a start, in seconds."""


@dataclass(frozen=True)
class PanelRun:
    """Figures of a session with the panel open in Chromium.

    Attributes:
        first: seconds from the start of the session, whose model is loaded then, to the first picture.
        fps: new frames per second of the session.
        pictures: pictures per second in the page.
        share: processor share of the panel, of one core.
        session: processor share of the session, of one core.
        placeholders: ticks during the measurement at which viewers saw the placeholder.
    """

    first: float
    fps: float
    pictures: float
    share: float
    session: float
    placeholders: int


def missing() -> str:
    """Return the reason why the panel cannot be measured, or an empty text."""
    if not Path("/proc/self/stat").exists():
        return "no /proc, from which the processor time is read"
    if shutil.which("chromium") is None:
        return "Chromium is not installed"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "Playwright is not installed: pip install '.[browser]'"
    return ""


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, read from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def panel_run(clip: Path, settle: float, seconds: float) -> PanelRun:
    """Start a panel, a page and a session from a clip, and measure for some seconds."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        own = dict.fromkeys(("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"), name)
        environment: dict[str, Any] = {**os.environ, **own}
        command = [sys.executable, "-m", "livematte", "panel", "--port", str(port), "--profiles", name]
        live = [sys.executable, "-m", "benchmarks.memorycamera", "live", "--input", str(clip), "--quiet"]
        live += ["--background", str(background_path()), "--sink-option", f"virtualcam.backend={BACKEND}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as panel:
            assert panel.stdout is not None
            address = panel.stdout.readline().removeprefix("panel: ").strip()
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(address)
            with subprocess.Popen(live, env=environment, cwd=Path(__file__).parents[1]) as session:
                try:
                    return _measure(page, panel.pid, session.pid, settle, seconds)
                finally:
                    session.terminate()
                    session.wait(20)
                    browser.close()
                    panel.terminate()


def _measure(page: Any, panel: int, session: int, settle: float, seconds: float) -> PanelRun:
    def stats() -> dict[str, Any]:
        state = page.evaluate("fetch('/api/state').then((answer) => answer.json())")
        return dict(state["sessions"][0]["stats"]) if state["sessions"] else {}

    def drawn() -> int:
        return int(page.get_attribute("#picture", "data-drawn") or 0)

    end = time.monotonic() + PATIENCE
    while drawn() == 0:
        if time.monotonic() > end:
            raise SystemExit("the page shows no picture")
        time.sleep(0.02)
    appeared, told = time.monotonic(), stats()
    while not told or told["first_good"] is None:
        time.sleep(0.1)
        told = stats()
    first = max(0.0, told["seconds"] - (time.monotonic() - appeared))
    page.wait_for_timeout(1000 * settle)
    began, before = time.monotonic(), (cpu_seconds(panel), cpu_seconds(session), drawn(), stats())
    page.wait_for_timeout(1000 * seconds)
    after, wall = (cpu_seconds(panel), cpu_seconds(session), drawn(), stats()), time.monotonic() - began

    def gone(name: str) -> int:
        return int(after[3][name]) - int(before[3][name])

    new = gone("sent") - gone("repeats") - gone("placeholders")
    return PanelRun(
        first,
        new / (after[3]["seconds"] - before[3]["seconds"]),
        (after[2] - before[2]) / wall,
        (after[0] - before[0]) / wall,
        (after[1] - before[1]) / wall,
        gone("placeholders"),
    )
