"""Check that a file was read to its end and was not changed since it was opened.

FFmpeg reports a read error of a disk as the end of the file, and a file that is cut or written to while it is
read looks the same. A file that was damaged before is none of these: the frames that it has are used.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from av.packet import Packet
from av.stream import Stream

from livematte.errors import InputError

TAIL_BYTES = 1 << 26
"""Bytes that are read again behind the last packet, to see whether the disk gives them."""

StreamT = TypeVar("StreamT", bound=Stream)

_CHUNK = 1 << 20


class ReadCheck:
    """Compares a file with what it was when this object was made; what is no regular file is not checked."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._position: int | None = None
        self._before = _state(path)

    @property
    def position(self) -> int:
        """Position of the last packet in bytes; 0 if it is not known."""
        return max(0, self._position or 0)

    def follow(self, packets: Iterator[Packet[StreamT]]) -> Iterator[Packet[StreamT]]:
        """Yield ``packets``, and remember where the last one is: what follows it is read again."""
        for packet in packets:
            self._position = packet.pos or self._position
            yield packet

    def __call__(self, *, early: bool = False, may_grow: bool = False) -> None:
        """Check the file after its last packet was read.

        Where another file has the name now, this one was replaced in one step: what was opened is whole.

        Args:
            early: there was an error, or less than the file declares.
            may_grow: only its beginning was wanted, so it may have grown since.

        Raises:
            InputError: it was changed, or removed before its end, or the system cannot read it.
        """
        if self._before is None:
            return
        now = _state(self._path)
        if now is None:
            if early:
                raise InputError(f"{self._path} was removed while it was read: the part until there was used")
            return
        if (now.st_dev, now.st_ino) != (self._before.st_dev, self._before.st_ino):
            return
        grown = now.st_size > self._before.st_size
        changed = (now.st_size, now.st_mtime_ns) != (self._before.st_size, self._before.st_mtime_ns)
        if changed and not (grown and may_grow):
            raise InputError(
                f"{self._path} was changed while it was read: start again when nothing writes to it any more"
            )
        if self._position is not None and self._position >= 0 and not may_grow:
            try:
                _read(Path(self._path), self._position)
            except OSError as error:
                raise InputError(
                    f"{self._path} cannot be read to its end: {error.strerror or error}; copy it elsewhere"
                ) from error


def _state(path: str | Path) -> os.stat_result | None:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _read(path: Path, position: int) -> None:
    with path.open("rb", buffering=0) as file:
        file.seek(position)
        for _ in range(TAIL_BYTES // _CHUNK):
            if not file.read(_CHUNK):
                return
