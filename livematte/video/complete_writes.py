"""Unbuffered writing for a muxer: completely, or not at all after the first error."""

from __future__ import annotations

from collections.abc import Callable
from io import FileIO


class CompleteWrites:
    """An unbuffered file for a muxer. Each write reaches the system completely or raises an error.

    Attributes:
        name: name for FFmpeg's messages.
        error: the first error; every further write raises it again.
        patch: changes what is written, without changing its length; None if nothing is changed.
    """

    def __init__(self, name: str, file: FileIO) -> None:
        self.name = name
        self.error: OSError | None = None
        self.patch: Callable[[bytes], bytes] | None = None
        self._file = file
        self.close = file.close

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: bytes) -> int:
        """Write all of ``data`` or raise OSError. After an error every further write raises it again."""
        if self.error is not None:
            raise self.error
        rest = memoryview(data if self.patch is None else self.patch(data))
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self.error = error
            raise
        return len(data)
