"""``livematte`` with its arguments, in a process of its own.

Python and numba take a minute to come up on an emulated processor. So a server imports livematte once, and
each command is a fork of it that calls ``livematte.cli.main()``; ``fresh`` ones are ``python -m livematte``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PATIENCE = 600.0
"""Seconds that one thing may take: an emulated processor on a busy machine is very slow."""

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([
    "cv2", "pyvirtualcam", "livematte.cli", "livematte.cli.live", "livematte.kernels.loops",
    "livematte.streaming.session", "livematte.video.camera", "livematte.plugins.virtualcam.sink",
])  # fmt: skip


def main(arguments: list[str], said: str, fresh: bool) -> None:
    """In the new process."""
    output = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["livematte", *arguments]
    if fresh:
        os.execv(sys.executable, [sys.executable, "-m", *sys.argv])
    from livematte.cli import main as livematte

    livematte()


class Command:
    """One that runs; what it says on either output is in a file."""

    def __init__(self, *arguments: str, fresh: bool = False) -> None:
        number, name = tempfile.mkstemp(suffix=".log")
        os.close(number)
        self._file = Path(name)
        self.process = FORKS.Process(target=main, args=(list(arguments), name, fresh), daemon=True)
        self.process.start()
        self._read = 0

    @property
    def said(self) -> str:
        return self._file.read_text(encoding="utf-8")

    def lines(self) -> Iterator[str]:
        """Whole new lines as they come, until it ends or PATIENCE does."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            alive = self.process.is_alive()
            new = self.said[self._read :]
            new = new[: new.rfind("\n") + 1]
            self._read += len(new)
            yield from new.splitlines()
            if not alive and not new:
                return
            time.sleep(0.2)

    def wait(self) -> int:
        """Its exit code; killed where PATIENCE is not enough."""
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"does not end: {self.said[-2000:]}")
        return self.process.exitcode


class Live(Command):
    """``livematte live`` from vivid, waited for until viewers see pictures."""

    def __init__(
        self, webcam: str, size: tuple[int, int] = (640, 480), rate: int = 5, fresh: bool = False
    ) -> None:
        super().__init__(
            "live", "--json", "--camera", webcam, "--to", "virtualcam", "--pixel-format", "yuyv422",
            "--resolution", f"{size[0]}x{size[1]}", "--rate", str(rate), "--background", "#ff8000",
            "--model", "everything", "--temporal", "off", "--no-govern", fresh=fresh,
        )  # fmt: skip
        self.until(lambda showing: showing == "picture")

    def until(self, wanted: Callable[[str], bool]) -> str:
        """Read events until one says that viewers see what is ``wanted``."""
        for line in self.lines():
            if line.startswith("{"):
                event = json.loads(line)
                if event["event"] == "showing" and wanted(event["showing"]):
                    return str(event["showing"])
        self.process.kill()
        raise AssertionError(f"livematte did not show it: {self.said[-2000:]}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, number)
        return self.wait()
