"""Output files that are written next to their target and renamed when they are complete."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import av
import av.error

from livematte.errors import OutputError, UsageError
from livematte.sudden_end import before_sudden_end
from livematte.video.complete_writes import CompleteWrites
from livematte.video.container import ffmpeg_name
from livematte.video.written_files import record_written


def check_target(path: Path, source: str | Path | None = None) -> Path:
    """Resolve symbolic links in ``path`` and check that the file can be written, before any work is done.

    Raises:
        UsageError: it is the file that is being read.
        OutputError: its folder is missing or not writable, or it is a directory or a device.
    """
    check_name(path)
    target = path.resolve()
    if source is not None and target.exists() and Path(source).exists() and os.path.samefile(source, target):
        raise UsageError(f"{path} is the input file: choose another output file")
    if target.is_dir():
        raise OutputError(f"{path} is a directory: add a file name, such as {path / 'out.mp4'}")
    if target.exists() and not target.is_file():
        raise OutputError(f"{path} is not a regular file: write to a file")
    if not target.parent.exists():
        raise OutputError(f"folder {target.parent} does not exist: create it first")
    if not target.parent.is_dir():
        raise OutputError(f"{target.parent} is not a folder")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"folder {target.parent} is not writable")
    return target


def check_name(path: Path) -> None:
    """Check that ``path`` can be the name of an output on this system.

    Raises:
        OutputError: it has no name, or the name or the whole path is too long.
    """
    if not path.name:
        raise OutputError(f"{path} is a directory: add a file name, such as {path / 'out.mp4'}")
    length, most = _name_length(path.name), _longest_name(path.parent)
    if length > most:
        raise OutputError(f"{path}: the name has {length} bytes, {most} are allowed: give it a shorter one")
    try:
        path.lstat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise OutputError(f"{path}: {error.strerror}: use another folder or a shorter name") from error
    except ValueError as error:  # a NUL byte
        raise OutputError(f"{str(path)!r} is no file name: {error}") from error


def describe_write_error(error: BaseException, path: Path, frames: int | None = None) -> str:
    """Return a one-line message for a failed write."""
    # FFmpeg errors reuse errno values for other meanings; only an OSError of the file is about the disk.
    number = None if isinstance(error, av.error.FFmpegError) else getattr(error, "errno", None)
    so_far = f" after {frames} frames" if frames is not None else ""
    if number == errno.ENOSPC or (hasattr(errno, "EDQUOT") and number == errno.EDQUOT):
        return f"{path}: the disk is full{so_far}: free some space or write to another disk"
    if number == errno.EFBIG:
        return f"{path}: the file exceeds the allowed file size{so_far}"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path}: no permission to write this file"
    if number == errno.EIO:
        return f"{path}: the disk reports an I/O error{so_far}"
    return f"{path}: cannot be written{so_far}: {getattr(error, 'strerror', None) or error}"


class AtomicFile:
    """An output file that is written as ``<stem>.rendering-xxxx<ext>`` next to its target.

    Attributes:
        notes: what :meth:`commit` could not keep of the file that it replaced.
    """

    def __init__(self, path: Path, source: str | Path | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        self._target = check_target(path, source)
        self.temporary = temporary_path(self._target)
        try:
            self.file = UnbufferedFile(self.temporary)
        except OSError as error:
            raise OutputError(describe_write_error(error, path)) from error
        self._forget = before_sudden_end(self._put_away)

    def _put_away(self) -> None:
        """Keep what can be played, under a name that a user understands."""
        self.file.close()
        if count_playable_frames(self.temporary, most=1):
            self.keep_partial()
        else:
            self.discard()

    def commit(self) -> None:
        """Close the file and rename it to the target in one step. Call this when the file is complete.

        A file that is replaced hands on its permissions. Its other names (hard links) keep the old content.
        """
        self.file.close()
        try:
            others = replace_file(self.temporary, self._target)
        except OSError as error:
            raise OutputError(
                f"{describe_write_error(error, self.path)} (the finished file is {self.temporary})"
            ) from error
        finally:
            self._forget()
        record_written(self._target)
        if others:
            names = "1 other name" if others == 1 else f"{others} other names"
            self.notes.append(
                f"{self.path} is a new file: the old one had {names} (hard links), which keep it"
            )

    def rewrite(self, copy: Callable[[BinaryIO, BinaryIO], bool]) -> bool:
        """Replace the content by what ``copy(source, target)`` writes, if it returns True.

        Call this before :meth:`commit`, after the file was closed. If the disk has no room for a second copy,
        or it fails, the content stays as it is.

        Returns:
            False if there is no room, or the disk failed.
        """
        if shutil.disk_usage(self.temporary.parent).free < self.temporary.stat().st_size + _SPARE_BYTES:
            return False
        new = temporary_path(self._target)
        forget = before_sudden_end(lambda: new.unlink(missing_ok=True))
        try:
            with self.temporary.open("rb") as source, new.open("xb") as target:
                written = copy(source, target)
            if written:
                os.replace(new, self.temporary)
        except OSError:
            return False
        finally:
            new.unlink(missing_ok=True)
            forget()
        return True

    def keep_partial(self) -> Path:
        """Keep an incomplete file. Use the name of the target if it is free, else ``<stem>.partial<ext>``."""
        self.file.close()
        final = self._target
        if final.exists():
            final = sibling_path(self._target, "partial")
        os.replace(self.temporary, final)
        self._forget()
        record_written(final)
        return final

    def discard(self) -> None:
        """Close and delete the file."""
        self.file.close()
        self.temporary.unlink(missing_ok=True)
        self._forget()


_SPARE_BYTES = 64 << 20
"""Space to leave free on a disk on which a file is copied."""

_LONG_SUFFIX = 16
"""Characters of what is no file extension any more, but part of the name of a folder."""


def sibling_path(path: Path, word: str) -> Path:
    """Return ``clip.<word>.mp4`` for ``clip.mp4``, or ``clip.<word>-2.mp4`` if that exists.

    The stem is shortened where the name would be too long for the file system.
    """
    found = _fitting_name(path, word)
    number = 1
    while found.exists():
        number += 1
        found = _fitting_name(path, f"{word}-{number}")
    return found


def temporary_path(path: Path) -> Path:
    """Return a name that nobody can guess, next to ``path``."""
    return sibling_path(path, f"rendering-{secrets.token_hex(8)}")


def _fitting_name(path: Path, word: str) -> Path:
    stem, suffix = (path.stem, path.suffix) if len(path.suffix) < _LONG_SUFFIX else (path.name, "")
    end, most = f".{word}{suffix}", _longest_name(path.parent)
    while len(stem) > 1 and _name_length(stem + end) > most:
        stem = stem[:-1]
    return path.with_name(stem + end)


def _name_length(name: str) -> int:
    """Bytes of a file name; UTF-16 units on Windows."""
    return len(name.encode("utf-16-le", "surrogatepass")) // 2 if os.name == "nt" else len(os.fsencode(name))


def _longest_name(folder: Path) -> int:
    """Length of the longest file name in ``folder``, in the unit of :func:`_name_length`."""
    if hasattr(os, "pathconf"):
        with contextlib.suppress(OSError, ValueError):
            return max(os.pathconf(folder, "PC_NAME_MAX"), 32)
    return 255


def replace_file(new: Path, target: Path) -> int:
    """Rename ``new`` to ``target`` in one step, with the permissions of a file that was there.

    Returns:
        the number of other names (hard links) that the replaced file has.

    Raises:
        OSError: it cannot be renamed.
    """
    others = 0
    with contextlib.suppress(OSError):  # also FileNotFoundError: nothing is replaced
        old = target.stat()
        others = max(0, old.st_nlink - 1)
        new.chmod(stat.S_IMODE(old.st_mode))
    os.replace(new, target)
    return others


def count_playable_frames(path: Path, most: int | None = None) -> int:
    """Return the number of frames (up to ``most``) that can be read back from a possibly incomplete file."""
    try:
        with av.open(ffmpeg_name(path)) as container:
            count = 0
            try:
                for packet in container.demux(video=0):
                    count += packet.size > 0 and not packet.is_corrupt
                    if count == most:
                        break
            except av.error.FFmpegError:
                pass  # the end of an incomplete file
            return count
    except (av.error.FFmpegError, IndexError, OSError):
        return 0


class UnbufferedFile(CompleteWrites):
    """A file on disk for a muxer, without a buffer.

    Because there is no buffer, a killed process leaves all packets that were muxed. Closing the file keeps
    FFmpeg from writing a trailer after a failed write (a full disk).
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), FileIO(path, "x+b"))
        self.seek, self.tell = self._file.seek, self._file.tell

    @property
    def closed(self) -> bool:
        """True if the file is closed."""
        return self._file.closed

    def seekable(self) -> bool:
        """Return True: the muxer may rewrite headers at the end."""
        return True
