"""Standard output as the file of a sink: it is written once from beginning to end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from livematte.errors import UsageError

STREAM = "-"
"""Path of standard output."""


class WriteOnlyFile:
    """A file for a muxer that cannot seek. Each write reaches the system completely or raises an error.

    Attributes:
        error: the first error; every further write raises it again.
    """

    def __init__(self, descriptor: int) -> None:
        self.name = "<standard output>"
        self.error: OSError | None = None
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self.close = self._file.close

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return False: the muxer writes in order."""
        return False

    def write(self, data: bytes) -> int:
        """Write all of ``data`` or raise OSError."""
        if self.error is not None:
            raise self.error
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self.error = error
            raise
        return len(data)


class OutputStream:
    """Standard output with the interface of :class:`livematte.video.atomic_file.AtomicFile`.

    From its creation on, all that this process and its libraries print goes to standard error.

    Attributes:
        temporary: None: what was written cannot be read back.
    """

    temporary: Path | None = None

    def __init__(self) -> None:
        if sys.stdout is not None and sys.stdout.isatty():
            raise UsageError("standard output is a terminal: redirect it to a file or a program")
        self.path, self.notes = Path(STREAM), list[str]()
        if sys.stdout is not None:
            sys.stdout.flush()
        try:
            descriptor = os.dup(1)
            os.dup2(2, 1)
        except OSError as error:
            raise UsageError("there is no standard output: name a file") from error
        if sys.platform == "win32":
            import msvcrt

            msvcrt.setmode(descriptor, os.O_BINARY)
        self.file: Any = WriteOnlyFile(descriptor)

    def rewrite(self, copy: object) -> bool:
        """Return True: a stream cannot be rewritten, and begins with its index."""
        return True

    def commit(self) -> None:
        """Close the stream."""
        self.file.close()

    def keep_partial(self) -> Path:
        """Close the stream; its reader has what was written."""
        self.file.close()
        return self.path

    def discard(self) -> None:
        """Close the stream."""
        self.file.close()
