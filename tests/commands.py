"""The ``livematte`` command in the process of the tests: as from a shell, without the seconds of a start.

What only a process of its own has (exit codes as the system sees them, signals) is tested with real ones.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess
from tempfile import TemporaryFile
from typing import IO, Any

from livematte import cli
from livematte.cli import terminal

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(*words: object) -> CompletedProcess[str]:
    """``livematte`` with these words: its exit code, and what it and its child processes print."""
    arguments = [str(word) for word in words]
    with TemporaryFile() as out, TemporaryFile() as err:
        with _state_kept(arguments), _printed_to(1, "stdout", out), _printed_to(2, "stderr", err):
            code = cli.run(arguments)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode("utf-8", "replace"))
    return CompletedProcess(["livematte", *arguments], code, *said)


@contextmanager
def _printed_to(descriptor: int, name: str, file: IO[bytes]) -> Iterator[None]:
    """Let Python, C libraries and child processes print to a file."""
    before, stream = os.dup(descriptor), getattr(sys, name)
    os.dup2(file.fileno(), descriptor)
    try:
        with open(os.dup(descriptor), "w", encoding="utf-8", errors="replace", buffering=1) as own:
            setattr(sys, name, own)
            try:
                yield
            finally:
                setattr(sys, name, stream)
    finally:
        os.dup2(before, descriptor)
        os.close(before)


@contextmanager
def _state_kept(arguments: list[str]) -> Iterator[None]:
    """Put back what a command changes in its process, and what ends with one."""
    environment, argv = dict(os.environ), sys.argv
    handlers = [signal.getsignal(number) for number in _SIGNALS]
    torch: Any = sys.modules.get("torch")
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    threads = threads if torch is None else torch.get_num_threads()
    sys.argv = ["livematte", *arguments]
    try:
        yield
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
        for number, handler in zip(_SIGNALS, handlers, strict=True):
            signal.signal(number, handler)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        terminal.configure(as_json=False, quiet=False)
