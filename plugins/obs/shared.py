"""Pictures through shared memory, for the source that livematte.lua adds to OBS.

The memory is a mapped file, which all systems have. Its first page is the header, little-endian::

    0   u32 magic 0x4C4D4154, 0 once it is given up
    4   u32 width, u32 height, u32 slots
    16  u64 number of the newest picture, 0 before the first
    24  u64 counted up by the reader for each picture it shows

Then come ``slots`` pictures of width x height BGRA; picture n is in slot n % slots.
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
"""The newest, the one a slow reader may still be copying, and the one that is written."""
HEADER = 4096
_NEWEST, _SHOWN = 16, 24
_UNSEEN = 2.0
"""Seconds without a shown picture after which nobody is looking."""


def folder() -> Path:
    """Of this user alone, in memory where the system has such a folder.

    Raises:
        OutputError: there is none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Path(platformdirs.user_runtime_path("livematte", appauthor=False, ensure_exists=True))
    except OSError as error:
        raise OutputError(f"no folder for shared memory: {error}") from error


class SharedPictures:
    """Writes pictures where a reader in another process finds the newest; one writer."""

    def __init__(self, *, width: int, height: int, name: str = "overlay", where: Path | None = None) -> None:
        """Make the memory; what an earlier writer left under the same name is given up.

        Raises:
            OutputError: no room, or no right to.
        """
        self.width, self.height = width, height
        size = HEADER + SLOTS * height * width * 4
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", name)
        try:
            self.path, descriptor = _fresh_file(where or folder(), stem)
            try:
                os.truncate(descriptor, size)
                self._memory = mmap.mmap(descriptor, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise OutputError(f"cannot make {size / 1e6:.0f} MB of shared memory: {error}") from error
        self._slots: Array | None = np.frombuffer(self._memory, np.uint8, offset=HEADER).reshape(
            SLOTS, height, width, 4
        )
        self._newest = 0
        self._shown, self._shown_at = 0, -_UNSEEN
        struct.pack_into("<IIIIQQ", self._memory, 0, MAGIC, width, height, SLOTS, 0, 0)

    @property
    def clients(self) -> int:
        """1 while a reader shows the pictures, else 0; it is asked now and then."""
        if self._slots is None:
            return 0
        (shown,) = struct.unpack_from("<Q", self._memory, _SHOWN)
        now = time.monotonic()
        if shown != self._shown:
            self._shown, self._shown_at = shown, now
        return int(now - self._shown_at < _UNSEEN)

    def publish(self, picture: Array) -> None:
        """Make ``picture``, (height, width, 4) uint8 straight BGRA, the newest."""
        if self._slots is None:
            return
        number = self._newest + 1
        np.copyto(self._slots[number % SLOTS], picture)
        struct.pack_into("<Q", self._memory, _NEWEST, number)  # after the picture: a reader sees it whole
        self._newest = number

    def hang_up(self) -> None:
        """Nothing to do: readers of memory hold nothing open that waits."""

    def close(self) -> None:
        """Tell the reader, and let go of the memory; safe to call twice, never raises."""
        if self._slots is None:
            return
        self._slots = None
        struct.pack_into("<I", self._memory, 0, 0)
        self._memory.close()
        with contextlib.suppress(OSError):
            self.path.unlink()


def _fresh_file(where: Path, stem: str) -> tuple[Path, int]:
    """A new, empty file that only this user can open. Where one that is still mapped cannot be removed, as on
    Windows, the next number is taken.
    """
    for number in range(10):
        path = where / f"{stem}-{number}.bgra"
        if path.exists():
            with contextlib.suppress(OSError), path.open("r+b") as left:
                left.write(bytes(4))
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(FileExistsError):
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
            return path, os.open(path, flags, 0o600)
    raise FileExistsError(f"{where} holds ten of them that are in use")
