"""Commands of livematte that the panel runs as child processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any

from livematte.errors import LivematteError, OutputError

SECONDS = 300.0
"""Longest time for a command whose result is waited for; ``doctor`` runs each network."""
_DETACHED: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if sys.platform == "win32"
    else {"start_new_session": True}
)
"""So that Ctrl-C in the terminal of the panel does not end a session."""


class Child:
    """A command that runs beside the panel; its output goes to a file, so it outlives the panel.

    Raises:
        OutputError: no process can be started.
    """

    def __init__(self, words: Sequence[str], *, reads: bool = False) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "livematte", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
                stderr=self._log,
                **_DETACHED,
            )
        except OSError as error:
            self._log.close()
            raise OutputError(f"no process can be started: {error.strerror or error}") from error

    def last_line(self) -> str:
        """Return the last line that the command printed on standard error."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        line = lines[-1] if lines else f"exit code {self.process.returncode}"
        return line.removeprefix("livematte: error: ")

    def close(self) -> None:
        """Forget the output; a process that still runs is not ended."""
        self._log.close()


async def run_json(*words: str) -> Any:
    """Run a command that prints one JSON value, and return it.

    Raises:
        LivematteError: it prints none, or an error: its message, or the last line on standard error.
    """

    def run() -> Any:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "livematte", *words],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise LivematteError(f"livematte {words[0]} gives no answer in {SECONDS:.0f} s") from None
        try:
            told = json.loads(done.stdout)
        except ValueError:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            line = lines[-1] if lines else f"livematte {words[0]} ended with exit code {done.returncode}"
            raise LivematteError(line.removeprefix("livematte: error: ")) from None
        if isinstance(told, dict) and told.get("event") == "error":
            raise LivematteError(told["message"])
        return told

    return await asyncio.to_thread(run)
