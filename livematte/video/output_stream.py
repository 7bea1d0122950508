"""Standard output as the file of a sink: it is written once from beginning to end."""

from __future__ import annotations

import os
import sys
from io import FileIO
from pathlib import Path
from typing import Any

from livematte.errors import UsageError
from livematte.video.complete_writes import CompleteWrites

STREAM = "-"
"""Path of standard output."""


class WriteOnlyFile(CompleteWrites):
    """A file for a muxer that cannot seek."""

    def __init__(self, descriptor: int) -> None:
        super().__init__("<standard output>", FileIO(descriptor, "wb"))

    def seekable(self) -> bool:
        """Return False: the muxer writes in order."""
        return False


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
