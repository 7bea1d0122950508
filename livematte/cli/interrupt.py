"""Ctrl-C: the first ends cleanly and keeps the finished part, the second ends the process immediately."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


@contextmanager
def stop_event(say: bool = True) -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C (or SIGTERM) sets; the second ends the process with exit code 130.

    Args:
        say: print a line at the first Ctrl-C; False if another process prints it.
    """
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(130)  # also ends the process if C code or a driver hangs
        stop.set()
        # not print: it could wait for a lock that the interrupted code holds
        if say:
            stderr = sys.__stderr__.fileno() if sys.__stderr__ else 2
            os.write(stderr, b"\nstopping; press Ctrl-C again to stop immediately\n")

    signals = _SIGNALS if threading.current_thread() is threading.main_thread() else []
    before: dict[Any, Any] = {number: signal.signal(number, handle) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
