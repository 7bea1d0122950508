r"""Ctrl-C: the first ends cleanly and keeps the finished part, the second ends the process immediately.

The same for the other wishes to stop: SIGTERM, the terminal that closes or the SSH connection that breaks
(SIGHUP), Ctrl-\ (SIGQUIT), Ctrl-Break on Windows, and a reader of standard output that goes away.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from livematte.sudden_end import end_suddenly

_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP", "SIGQUIT")

_SAME_WISH_SECONDS = 1.0
"""Another signal within this time is no second wish: systemd sends SIGTERM and SIGHUP together."""

_asked: list[threading.Event] = []


def stop_signals() -> list[signal.Signals]:
    """The signals of this system that ask a process to stop; without SIGHUP under ``nohup``."""
    found = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [
        number for number in found
        if not (number.name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN)
    ]  # fmt: skip


def request_stop() -> None:
    """Do as at the first Ctrl-C, without a line. Does nothing outside :func:`stop_event`."""
    for event in _asked:
        event.set()


@contextmanager
def handled(handler: Any) -> Iterator[None]:
    """Install ``handler`` for :func:`stop_signals`, and put back what was before; only in the main thread."""
    numbers = stop_signals() if threading.current_thread() is threading.main_thread() else []
    before: dict[Any, Any] = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def raise_interrupt(number: int, frame: FrameType | None) -> None:
    """Signal handler for commands that keep no part: every wish to stop is a Ctrl-C."""
    raise KeyboardInterrupt


@contextmanager
def stop_event(say: bool = True) -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets; the second ends the process with exit code 130.

    Args:
        say: print a line at the first Ctrl-C; False if another process prints it.
    """
    stop = threading.Event()
    seen: list[tuple[int, float]] = []

    def handle(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if seen and number != seen[0][0] and now - seen[0][1] < _SAME_WISH_SECONDS:
            return
        seen.append((number, now))
        if len(seen) == 2:
            end_suddenly(130)
        if len(seen) > 2:
            os._exit(130)  # putting things in order hangs
        stop.set()
        # not print: it could wait for a lock that the interrupted code holds
        if say and sys.__stderr__ is not None:
            with suppress(OSError, ValueError):  # the terminal may be gone
                os.write(sys.__stderr__.fileno(), b"\nstopping; press Ctrl-C again to stop immediately\n")

    with handled(handle):
        _asked.append(stop)
        try:
            yield stop
        finally:
            _asked.remove(stop)
