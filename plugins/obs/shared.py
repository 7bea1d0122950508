"""Send pictures through shared memory to the source that livematte.lua adds to OBS.

The memory is a memory-mapped file. Its first page is the header, little-endian::

    0   u32 magic 0x4C4D4154; 0 when the writer has ended
    4   u32 width, u32 height, u32 slots
    16  u64 number of the newest picture, 0 before the first
    24  u64 number of pictures shown, incremented by the reader

``slots`` pictures of width x height BGRA follow; picture n is in slot n % slots.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import struct
import time
import warnings
from pathlib import Path

import numpy as np
import platformdirs

from livematte.errors import OutputError
from livematte.frame import Array

MAGIC = 0x4C4D4154
SLOTS = 3
"""The newest picture, the one that a slow reader may still copy, and the one being written."""
HEADER = 4096
_NEWEST, _SHOWN = 16, 24
_READER_TIMEOUT = 2.0
"""Seconds without a shown picture after which the reader counts as gone."""


def shared_memory_folder() -> Path:
    """Return the runtime folder of this user, which is in memory on most Linux systems.

    Raises:
        OutputError: the folder cannot be created.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Path(platformdirs.user_runtime_path("livematte", appauthor=False, ensure_exists=True))
    except OSError as error:
        raise OutputError(f"no folder for shared memory: {error}") from error


class SharedPictures:
    """Writes pictures to shared memory, from which another process reads the newest. There is one writer."""

    def __init__(self, *, width: int, height: int, name: str = "overlay", folder: Path | None = None) -> None:
        """Create the memory. Memory of an earlier writer with the same name is marked as ended.

        Raises:
            OutputError: no space left, or no permission.
        """
        self.width, self.height = width, height
        size = HEADER + SLOTS * height * width * 4
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", name)
        try:
            self.path, descriptor = _create_file(folder or shared_memory_folder(), stem)
            try:
                os.truncate(descriptor, size)
                self._memory = mmap.mmap(descriptor, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise OutputError(f"cannot create {size / 1e6:.0f} MB of shared memory: {error}") from error
        self._slots: Array | None = np.frombuffer(self._memory, np.uint8, offset=HEADER).reshape(
            SLOTS, height, width, 4
        )
        self._newest = 0
        self._shown, self._shown_at = 0, -_READER_TIMEOUT
        struct.pack_into("<IIIIQQ", self._memory, 0, MAGIC, width, height, SLOTS, 0, 0)

    @property
    def clients(self) -> int:
        """1 while a reader shows the pictures, else 0.

        Must be read at least every few seconds to be correct.
        """
        if self._slots is None:
            return 0
        (shown,) = struct.unpack_from("<Q", self._memory, _SHOWN)
        now = time.monotonic()
        if shown != self._shown:
            self._shown, self._shown_at = shown, now
        return int(now - self._shown_at < _READER_TIMEOUT)

    def publish(self, picture: Array) -> None:
        """Make ``picture``, (height, width, 4) uint8 BGRA with straight alpha, the newest."""
        if self._slots is None:
            return
        number = self._newest + 1
        np.copyto(self._slots[number % SLOTS], picture)
        # After the pixels, so that a reader never sees half a picture.
        struct.pack_into("<Q", self._memory, _NEWEST, number)
        self._newest = number

    def disconnect_clients(self) -> None:
        """Do nothing: a reader of shared memory never waits for the writer."""

    def close(self) -> None:
        """Mark the memory as ended and remove it. May be called twice; never raises."""
        if self._slots is None:
            return
        self._slots = None
        struct.pack_into("<I", self._memory, 0, 0)
        self._memory.close()
        with contextlib.suppress(OSError):
            self.path.unlink()


def _create_file(folder: Path, stem: str) -> tuple[Path, int]:
    """Create an empty file that only this user can open; return its path and descriptor.

    Windows cannot remove a file that is still mapped; then the next number is used.
    """
    for number in range(10):
        path = folder / f"{stem}-{number}.bgra"
        if path.exists():
            with contextlib.suppress(OSError), path.open("r+b") as old:
                old.write(bytes(4))
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(FileExistsError):
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
            return path, os.open(path, flags, 0o600)
    raise FileExistsError(f"ten shared memory files in {folder} are in use")
