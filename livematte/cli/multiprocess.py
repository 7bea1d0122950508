"""Run one command as several cooperating processes, with ``RANK`` and ``WORLD_SIZE`` as set by torchrun.

Each process is in its own process group. Ctrl-C in a terminal reaches only the parent, which forwards it.
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

from livematte.cli.interrupt import handled
from livematte.training import TOGETHER

GRACE, GRACE_INTERRUPTED = 5.0, 60.0
"""Seconds until the other processes are killed after one has failed, without and with Ctrl-C."""

_TICK = 0.1


def run_together(
    command: Sequence[str], count: int, environment: Mapping[str, str], say: Callable[[str], None]
) -> int:
    """Run ``command`` in ``count`` processes and wait for all.

    The first Ctrl-C (or other signal to stop) is forwarded once, so that the processes can end cleanly; the
    second kills them. If one process fails, the others are killed, because they would wait for it forever.

    Returns:
        0, or the first exit status that is not 0; 130 after Ctrl-C.
    """
    rendezvous = tempfile.TemporaryDirectory(prefix="livematte-train-", ignore_cleanup_errors=True)
    shared = {**os.environ, **environment, "WORLD_SIZE": str(count)}
    shared[TOGETHER] = str(Path(rendezvous.name) / "store")
    group: dict[str, int] = {"start_new_session": True}
    if sys.platform == "win32":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    interrupts: list[int] = []
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with handled(lambda number, _: interrupts.append(number)):
            for rank in range(count):
                own = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                processes.append(subprocess.Popen(command, env=own, **group))  # type: ignore[call-overload]
            return _wait(processes, interrupts, say)
    finally:
        for process in processes:
            with contextlib.suppress(OSError):
                process.kill()
        rendezvous.cleanup()


def _wait(
    processes: Sequence[subprocess.Popen[bytes]], interrupts: Sequence[int], say: Callable[[str], None]
) -> int:
    forwarded, failed, since = False, 0, 0.0
    while None in [process.poll() for process in processes]:
        if len(interrupts) > 1:
            return 130
        if interrupts and not forwarded:
            forwarded = True
            say("stopping; press Ctrl-C again to stop immediately")
            for process in processes:
                with contextlib.suppress(OSError):
                    process.send_signal(_stop_signal())
        if not failed:
            failed = next((p.returncode for p in processes if p.returncode), 0)
            since = time.monotonic()
        elif time.monotonic() - since > (GRACE_INTERRUPTED if interrupts else GRACE):
            break
        time.sleep(_TICK)
    codes = [process.returncode for process in processes if process.returncode]
    return 130 if interrupts and codes else failed or (codes[0] if codes else 0)


def _stop_signal() -> int:
    if sys.platform == "win32":
        return int(signal.CTRL_BREAK_EVENT)
    return int(signal.SIGINT)
