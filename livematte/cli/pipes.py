"""A named pipe as input: say that nobody writes to it yet, and let Ctrl-C end the wait."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livematte.cli import terminal
from livematte.printable import printable

_POLL_MS = 250


@contextmanager
def written_pipe(path: object, stop: threading.Event) -> Iterator[None]:
    """Wait until a program writes to ``path``, if that is a named pipe; open the input inside the block.

    Both ends are held until the block ends: a writer that is quick would otherwise be gone before the input
    is opened, which would then wait for another.

    Raises:
        KeyboardInterrupt: ``stop`` was set first.
    """
    if not _is_pipe(path):
        yield
        return
    import select

    name = os.fspath(path)  # type: ignore[call-overload]
    reader = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    try:
        ready, said = select.poll(), False
        ready.register(reader, select.POLLIN | select.POLLHUP)
        while not ready.poll(_POLL_MS):
            if stop.is_set():
                raise KeyboardInterrupt
            if not said:
                said = True
                terminal.note(f"waiting for a program that writes to the pipe {printable(str(name))}")
        writer = os.open(name, os.O_WRONLY | os.O_NONBLOCK)
        try:
            yield
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _is_pipe(path: object) -> bool:
    if sys.platform == "win32" or not isinstance(path, (str, os.PathLike)):
        return False
    try:
        return stat.S_ISFIFO(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False
