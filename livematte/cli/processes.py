"""One command run as several processes that work together: ``RANK`` of ``WORLD_SIZE``, as torchrun has them.

They are in groups of their own: a terminal's Ctrl-C comes to the one that started them, which passes it on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from livematte.training import TOGETHER

GRACE, GRACE_ASKED = 5.0, 60.0
"""Seconds that the others have to end by themselves once one has failed; or has ended as it was asked to."""

_TICK = 0.1


def run_together(
    command: Sequence[str], count: int, environment: Mapping[str, str], say: Callable[[str], None]
) -> int:
    """Run ``command`` in ``count`` processes and wait for all; 0, or the first exit status that is not 0.

    The first Ctrl-C (or SIGTERM) is passed on once, so that they can end cleanly; the second ends them. Where
    one fails, the others, which would wait for it for ever, are ended.
    """
    meeting = tempfile.TemporaryDirectory(prefix="livematte-train-", ignore_cleanup_errors=True)
    shared = {**os.environ, **environment, "WORLD_SIZE": str(count)}
    shared[TOGETHER] = str(Path(meeting.name) / "store")
    apart: dict[str, int] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    asked: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _: asked.append(number)) for number in numbers]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(count):
            own = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            processes.append(subprocess.Popen(command, env=own, **apart))  # type: ignore[call-overload]
        return _wait(processes, asked, say)
    finally:
        for process in processes:
            with contextlib.suppress(OSError):
                process.kill()
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        meeting.cleanup()


def _wait(
    processes: Sequence[subprocess.Popen[bytes]], asked: Sequence[int], say: Callable[[str], None]
) -> int:
    passed_on, failed, since = False, 0, 0.0
    while None in [process.poll() for process in processes]:
        if len(asked) > 1:
            return 130
        if asked and not passed_on:
            passed_on = True
            say("stopping; Ctrl-C again ends at once")
            for process in processes:
                with contextlib.suppress(OSError):
                    process.send_signal(_stop_signal())
        if not failed:
            failed = next((p.returncode for p in processes if p.returncode), 0)
            since = time.monotonic()
        elif time.monotonic() - since > (GRACE_ASKED if asked else GRACE):
            break
        time.sleep(_TICK)
    codes = [process.returncode for process in processes if process.returncode]
    return 130 if asked and codes else failed or (codes[0] if codes else 0)


def _stop_signal() -> int:
    if sys.platform == "win32":
        return int(signal.CTRL_BREAK_EVENT)
    return int(signal.SIGINT)
