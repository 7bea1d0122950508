"""Standard output and standard error that may be missing, closed or full: none of it is an exception."""

from __future__ import annotations

import errno
import io
import os
import sys
import time
from collections.abc import Callable
from typing import Any

_BLOCKED_SECONDS = 0.01
"""Wait for a reader that is slower, where the stream does not block."""

_CLOSED = (errno.EPIPE, errno.EINVAL)
"""Nobody reads any more; Windows says EINVAL."""


class GuardedFile(io.RawIOBase):
    """Passes on what is written until that fails, and drops everything after.

    Attributes:
        error: why it failed.
    """

    def __init__(self, raw: Any, on_closed: Callable[[], None]) -> None:
        """Take the raw file, and what is called once if its reader has gone."""
        super().__init__()
        self._raw, self._on_closed = raw, on_closed
        self.error: OSError | None = None

    @property
    def reader_is_gone(self) -> bool:
        """True if the stream failed because nobody reads it, as in ``livematte probe ... | head``."""
        return self.error is not None and self.error.errno in _CLOSED

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        """Return True for a terminal."""
        return bool(self._raw.isatty())

    def write(self, data: Any) -> int:
        """Write ``data``; return its length after a failure."""
        while self.error is None:
            try:
                written = self._raw.write(data)
            except OSError as error:
                self.error = error
                if self.reader_is_gone:
                    self._on_closed()
            else:
                if written is not None:
                    return int(written)
                time.sleep(_BLOCKED_SECONDS)
        return len(data)


def guard_streams(on_closed: Callable[[], None]) -> GuardedFile | None:
    """Replace ``sys.stdout`` and ``sys.stderr``; return the guard of the former.

    Characters that their encoding lacks are printed as '?'. A service may have no streams: their descriptors
    are taken, so that no file gets them and what libraries print.

    Args:
        on_closed: called once if the reader of standard output has gone.
    """
    if sys.platform != "win32":
        for descriptor in (0, 1, 2):
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free
    guard = None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
            continue
        buffer = getattr(stream, "buffer", None)
        if buffer is None:  # replaced by who calls
            continue
        raw = getattr(buffer, "raw", buffer)  # the same with PYTHONUNBUFFERED
        stream.flush()
        found = GuardedFile(raw, on_closed if name == "stdout" else lambda: None)
        text = io.TextIOWrapper(
            io.BufferedWriter(found),
            encoding=stream.encoding,
            errors="replace",
            line_buffering=name == "stderr" or found.isatty() or raw is buffer,
        )
        setattr(sys, name, text)
        guard = found if name == "stdout" else guard
    return guard
