"""Run ``livematte`` commands in separate processes.

Python and numba take a minute to start on an emulated processor. So a server imports livematte once, and each
command is a fork of it that calls ``livematte.cli.main()``. ``fresh`` commands are ``python -m livematte``.
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

TIMEOUT = 600.0
"""Timeout of each step in seconds: an emulated processor on a busy machine is very slow."""

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([
    "cv2", "pyvirtualcam", "livematte.cli", "livematte.cli.live", "livematte.kernels.composite.loops",
    "livematte.kernels.convert.loops", "livematte.kernels.foreground.loops", "livematte.kernels.resize.loops",
    "livematte.kernels.upsample.loops",
    "livematte.streaming.launch", "livematte.video.camera", "livematte.plugins.virtualcam.sink",
])  # fmt: skip


def main(arguments: list[str], output_file: str, fresh: bool) -> None:
    """Run the command; called in the new process."""
    output = os.open(output_file, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["livematte", *arguments]
    if fresh:
        os.execv(sys.executable, [sys.executable, "-m", *sys.argv])
    from livematte.cli import main as livematte

    livematte()


class Command:
    """A running command; a file collects its stdout and stderr."""

    def __init__(self, *arguments: str, fresh: bool = False) -> None:
        number, name = tempfile.mkstemp(suffix=".log")
        os.close(number)
        self._file = Path(name)
        self.process = FORKS.Process(target=main, args=(list(arguments), name, fresh), daemon=True)
        self.process.start()
        self._read = 0

    @property
    def output(self) -> str:
        return self._file.read_text(encoding="utf-8")

    def lines(self) -> Iterator[str]:
        """Yield complete new lines until the command ends or TIMEOUT passes."""
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            alive = self.process.is_alive()
            new = self.output[self._read :]
            new = new[: new.rfind("\n") + 1]
            self._read += len(new)
            yield from new.splitlines()
            if not alive and not new:
                return
            time.sleep(0.2)

    def wait(self) -> int:
        """Wait for the end and return the exit code; kill the command after TIMEOUT."""
        self.process.join(TIMEOUT)
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"the command does not end: {self.output[-2000:]}")
        return self.process.exitcode


class Live(Command):
    """``livematte live`` with the webcam vivid; the constructor waits until viewers see pictures."""

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
        """Read events until ``wanted`` returns True for what viewers see; return that."""
        for line in self.lines():
            if line.startswith("{"):
                event = json.loads(line)
                if event["event"] == "showing" and wanted(event["showing"]):
                    return str(event["showing"])
        self.process.kill()
        raise AssertionError(f"livematte did not show the expected picture: {self.output[-2000:]}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, number)
        return self.wait()
