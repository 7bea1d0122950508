"""An input that can be read once only (standard input, a named pipe) as a file that can be read again.

A render reads its input several times: a trial in another process, the pictures, the sound beside them, and
again after a seek. So all of it is first copied to a temporary file, which is deleted at the end.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from livematte.errors import InputError, LivematteError
from livematte.sudden_end import before_sudden_end
from livematte.video.container import is_pipe

_CHUNK = 1 << 20
_TICK = 0.1
"""Seconds between two looks at the wish to stop: a read of a pipe cannot be interrupted."""

_WAIT_SECONDS = 2.0
"""Seconds without data after which the user is told what is waited for."""


@dataclass
class _Copy:
    """State of a copy that runs in a thread of its own.

    Attributes:
        opened: set when a program has opened the other end of the pipe.
        bytes: copied so far.
        error: why it ended early.
    """

    done: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    bytes: int = 0
    error: OSError | None = None


@contextmanager
def as_file(
    path: str, *, stop: threading.Event | None = None, say: Callable[[str], None] | None = None
) -> Iterator[str]:
    """Yield ``path``, or the path of a temporary copy of what can be read once only.

    In errors that pass through, the name of the copy is replaced by ``path``.

    Args:
        stop: set it in any thread to end the waiting.
        say: called with a line for the user if no data come.

    Raises:
        InputError: there are no data, they cannot be read, the disk is full, or ``stop`` was set before the
            end of the input (with exit code 130).
    """
    if not is_pipe(path):
        yield path
        return
    folder = Path(tempfile.mkdtemp(prefix="livematte-input-"))
    copy = folder / ("standard-input" if path == "-" else Path(path).name)

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)

    forget = before_sudden_end(remove)
    try:
        _fill(path, copy, stop, say or (lambda line: None))
        yield str(copy)
    except LivematteError as error:
        error.args = tuple(str(part).replace(str(copy), spoken(path)) for part in error.args)
        error.notes = tuple(note.replace(str(copy), spoken(path)) for note in error.notes)
        raise
    finally:
        remove()
        forget()


def spoken(path: str) -> str:
    """Return ``path`` as a message names it."""
    return "standard input" if path == "-" else path


def _fill(path: str, copy: Path, stop: threading.Event | None, say: Callable[[str], None]) -> None:
    state = _Copy()
    threading.Thread(target=_run, args=(path, copy, state), daemon=True, name="livematte-input").start()
    waited, told = 0.0, False
    while not state.done.wait(_TICK):
        waited += _TICK
        if stop is not None and stop.is_set():
            stopped = InputError(f"stopped while {spoken(path)} was read; nothing was written")
            stopped.exit_code = 130
            raise stopped
        if not told and not state.bytes and waited >= _WAIT_SECONDS:
            told = True
            nobody = "" if state.opened.is_set() else ", which no program has opened for writing yet"
            say(f"waiting for data from {spoken(path)}{nobody}")
    if state.error is not None:
        reason = state.error.strerror or state.error
        raise InputError(f"{spoken(path)} cannot be copied to {copy.parent}: {reason}")
    if not state.bytes:
        raise InputError(f"{spoken(path)} is empty (0 bytes)")


def _run(path: str, copy: Path, state: _Copy) -> None:
    try:
        with copy.open("xb") as file:
            if path == "-":
                _pass_on(sys.stdin.buffer, file, state)
            else:
                with open(path, "rb", buffering=0) as pipe:
                    _pass_on(pipe, file, state)
    except OSError as error:
        state.error = error
    except (AttributeError, ValueError):  # a service has no standard input, or it is closed
        state.error = OSError("it is closed")
    finally:
        state.done.set()


def _pass_on(source: Any, file: BinaryIO, state: _Copy) -> None:
    state.opened.set()
    read = getattr(source, "read1", source.read)  # what has come, without waiting for a whole chunk
    while chunk := read(_CHUNK):
        file.write(chunk)
        state.bytes += len(chunk)
