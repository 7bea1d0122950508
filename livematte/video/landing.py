"""Where an output file lands: written beside its target, renamed when whole, kept when cut short."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

import av.error

from livematte.errors import OutputError, UsageError


def check_target(path: Path, source: str | Path | None = None) -> Path:
    """The real place of ``path``, links followed, checked before anything is done.

    Raises:
        UsageError: it is the file that is being read.
        OutputError: its folder is missing or not writable, or it is a directory or a device.
    """
    target = path.resolve()
    if source is not None and target.exists() and Path(source).exists() and os.path.samefile(source, target):
        raise UsageError(f"{path} is the file being read: write to another name")
    if target.is_dir():
        raise OutputError(f"{path} is a directory: add a file name, such as {path / 'out.mp4'}")
    if target.exists() and not target.is_file():
        raise OutputError(f"{path} is not a regular file: write to a file")
    if not target.parent.exists():
        raise OutputError(f"folder {target.parent} does not exist: make it first")
    if not target.parent.is_dir():
        raise OutputError(f"{target.parent} is not a folder")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"folder {target.parent} is not writable")
    return target


def explain(error: BaseException, path: Path, frames: int | None = None) -> str:
    """One line for a failed write."""
    # FFmpeg's own complaints reuse the system's numbers; only the file itself speaks of disks.
    number = None if isinstance(error, av.error.FFmpegError) else getattr(error, "errno", None)
    so_far = f" after {frames} frames" if frames is not None else ""
    if number == errno.ENOSPC or (hasattr(errno, "EDQUOT") and number == errno.EDQUOT):
        return f"{path}: the disk is full{so_far}: free some room or write elsewhere"
    if number == errno.EFBIG:
        return f"{path}: the file grew larger than is allowed here{so_far}"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path}: no permission to write there"
    if number == errno.EIO:
        return f"{path}: the disk reports an error{so_far}"
    return f"{path}: cannot be written{so_far}: {getattr(error, 'strerror', None) or error}"


class Landing:
    """A file in the making, ``<stem>.rendering-xxxx<ext>`` beside its target."""

    def __init__(self, path: Path, source: str | Path | None = None) -> None:
        self.path = path
        self._target = check_target(path, source)
        self.temporary = beside(self._target, f"rendering-{secrets.token_hex(2)}")
        try:
            self.file = WholeWrites(self.temporary)
        except OSError as error:
            raise OutputError(explain(error, path)) from error

    def commit(self) -> None:
        """The file is whole: it takes its target's place in one step."""
        self.file.close()
        try:
            os.replace(self.temporary, self._target)
        except OSError as error:
            raise OutputError(
                f"{explain(error, self.path)} (what was written is {self.temporary})"
            ) from error

    def keep_partial(self) -> Path:
        """The file was cut short: it gets its target's name if that is free, else ``<stem>.partial<ext>``."""
        self.file.close()
        kept = self._target
        if kept.exists():
            kept = beside(self._target, "partial")
        os.replace(self.temporary, kept)
        return kept

    def discard(self) -> None:
        """Nothing worth keeping."""
        self.file.close()
        self.temporary.unlink(missing_ok=True)


def beside(path: Path, word: str) -> Path:
    """``clip.mp4`` → ``clip.<word>.mp4``, or ``clip.<word>-2.mp4`` if there is one already."""
    found = path.with_name(f"{path.stem}.{word}{path.suffix}")
    number = 1
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}.{word}-{number}{path.suffix}")
    return found


class WholeWrites:
    """An unbuffered file for a muxer: what it was given is with the system at once, wholly or with an error.

    Unbuffered, so that a killed process leaves all that was muxed; and closing it keeps FFmpeg from writing
    a trailer over a file whose end is missing (a full disk).
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.error: OSError | None = None
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 - closed by the muxer's owner
        self.seek, self.tell, self.close = self._file.seek, self._file.tell, self._file.close

    @property
    def closed(self) -> bool:
        """No more is taken."""
        return self._file.closed

    def seekable(self) -> bool:
        """Headers may be mended at the end."""
        return True

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: bytes) -> int:
        """All of ``data``, or OSError."""
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
