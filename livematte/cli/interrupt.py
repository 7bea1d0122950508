"""Ctrl-C: once ends cleanly and keeps what is done, twice ends at once."""

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
    """An event that the first Ctrl-C (or SIGTERM) sets; the second ends the process with 130.

    Args:
        say: tell the user what was asked for; another process may do so.
    """
    stop = threading.Event()

    def asked(number: int, where: FrameType | None) -> None:
        if stop.is_set():
            os._exit(130)  # whatever hangs, in C or in a driver, no longer matters
        stop.set()
        # os.write: print could wait for a lock that the interrupted code holds
        if say:
            stderr = sys.__stderr__.fileno() if sys.__stderr__ else 2
            os.write(stderr, b"\nstopping; Ctrl-C again ends at once\n")

    ours = _SIGNALS if threading.current_thread() is threading.main_thread() else []
    before: dict[Any, Any] = {number: signal.signal(number, asked) for number in ours}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
