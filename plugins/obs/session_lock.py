"""A mark of a live session that other sessions can test: it ends with the process, however that ends."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import struct
from pathlib import Path

from filelock import FileLock, Timeout

from livematte.errors import OutputError
from livematte.plugins.obs.shared import shared_memory_folder

_SUFFIX = ".session"


class SessionLock:
    """Holds a locked file. The operating system unlocks it when the process ends.

    Attributes:
        mark: text for livematte's source in OBS; see :func:`holder`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Lock, and remove what killed sessions left in the folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = folder or shared_memory_folder()
        remove_leftovers(folder)
        self.mark = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._path = folder / f"{self.mark}{_SUFFIX}"
        self._lock = FileLock(self._path, mode=0o600, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except (OSError, Timeout) as error:
            raise OutputError(f"cannot write {self._path}: {error}") from error

    def release(self) -> None:
        """Unlock and remove the file. May be called twice; never raises."""
        with contextlib.suppress(OSError):
            self._lock.release()
            self._path.unlink(missing_ok=True)


def holder(mark: object, folder: Path | None = None) -> int | None:
    """Return the process ID of the live session with this mark; None if it has ended."""
    if not isinstance(mark, str) or (found := re.fullmatch(r"(\d+)-[0-9a-f]{16}", mark)) is None:
        return None
    path = (folder or shared_memory_folder()) / f"{mark}{_SUFFIX}"
    return int(found[1]) if path.exists() and not _unlockable(path) else None


def remove_leftovers(folder: Path) -> None:
    """Remove the files of sessions that have ended without removing them."""
    for path in folder.glob(f"*{_SUFFIX}"):
        if not _unlockable(path):
            continue
        for pictures in folder.glob(f"*-{path.stem}-*.bgra"):
            with contextlib.suppress(OSError), pictures.open("r+b") as memory:
                memory.write(struct.pack("<I", 0))  # a reader that maps it sees that the writer has ended
            with contextlib.suppress(OSError):
                pictures.unlink()
        with contextlib.suppress(OSError):
            path.unlink()


def _unlockable(path: Path) -> bool:
    """Return True if no process holds the lock."""
    try:
        with FileLock(path, timeout=0):
            return True
    except (OSError, Timeout):
        return False
