"""Clean-up for a process that ends at once, without unwinding the stack: after a second Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

_cleanups: dict[object, Callable[[], object]] = {}


def before_sudden_end(cleanup: Callable[[], object]) -> Callable[[], None]:
    """Call ``cleanup`` before :func:`end_suddenly`; returns a function that takes this back.

    It runs in the main thread between two instructions of other code: it is short and waits for no lock.
    """
    key = object()
    _cleanups[key] = cleanup

    def forget() -> None:
        _cleanups.pop(key, None)

    return forget


def end_suddenly(code: int) -> None:
    """Call what was registered, last first, and end the process with exit code ``code``."""
    while _cleanups:
        _, cleanup = _cleanups.popitem()
        with suppress(Exception):
            cleanup()
    os._exit(code)
