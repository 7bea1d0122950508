"""The per-user folder for compiled networks and kernels.

A file there is believed only if it is this user's and its content has the hash that was written with it:
anything else is removed and made again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, mkstemp

from platformdirs import user_cache_path

_CACHE_VARIABLE = "LIVEMATTE_CACHE"

_MAGIC = b"livematte cache 1\n"
_DIGEST_BYTES = hashlib.sha256().digest_size
_SEAL = ".sha256"
"""Suffix of the file that holds the hash of a file which another library wrote."""

_said: set[str] = set()
_log = logging.getLogger(__name__)


def cache_folder(*parts: str) -> Path | None:
    """A per-user folder for compiled artefacts, made if need be; None where it cannot be used.

    ``LIVEMATTE_CACHE`` in the environment moves it. Everything in it can be deleted at any time. New folders
    are accessible for their owner only. A folder that another user owns or can write to is not used, because
    what lies in it is run as code; a warning says so once.
    """
    root = os.environ.get(_CACHE_VARIABLE)
    folder = Path(root) if root else user_cache_path("livematte", appauthor=False)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for each in (folder, *(folder.joinpath(*parts[:n]) for n in range(1, len(parts) + 1))):
            each.mkdir(mode=0o700, exist_ok=True)
            trouble = _why_not_private(each.stat())
            if trouble:
                _say_once(f"livematte: note: cache folder {each} is not used: {trouble}")
                return None
        folder = folder.joinpath(*parts)
        with NamedTemporaryFile(dir=folder, prefix=".try-"):
            return folder
    except (OSError, ValueError):  # ValueError: a NUL byte in the path
        return None


def _why_not_private(found: os.stat_result) -> str:
    """Return the reason why another user can have written a file or folder; empty if none can or on Windows.

    Windows keeps the folders of a user from other users without this.
    """
    if sys.platform == "win32":
        return ""
    if found.st_uid != os.geteuid():
        return f"it belongs to user {found.st_uid}; set {_CACHE_VARIABLE} to a folder of your own"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "other users can write to it; delete it, or set its mode to 700 if you trust what is in it"
    return ""


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        _log.warning("%s", line)  # on stderr, unless the program that uses livematte sends it elsewhere


def write_cached(path: Path, data: bytes) -> None:
    """Write ``data`` with its hash, whole or not at all.

    A full disk or another process at the same file is no error. Only the owner can read the file.
    """
    _replace(path, _MAGIC, _digest(path.name, data), data)


def read_cached(path: Path) -> bytes | None:
    """Return what :func:`write_cached` wrote; None if there is nothing. A changed file is removed."""
    stored = _read_own(path)
    if stored is None:
        return None
    start = len(_MAGIC) + _DIGEST_BYTES
    data = stored[start:]
    if stored[:start] == _MAGIC + _digest(path.name, data):
        return data
    discard(path)
    return None


def discard(path: Path) -> None:
    """Remove a cached file, if that is possible."""
    with suppress(OSError):
        path.unlink()


def seal_files(folder: Path) -> None:
    """Write the hash of every file in ``folder`` that has none yet; for files that another library wrote."""
    for path in _foreign_files(folder):
        if not path.with_name(path.name + _SEAL).exists() and (data := _read_own(path)) is not None:
            _replace(path.with_name(path.name + _SEAL), _digest(path.name, data))


def discard_changed_files(folder: Path) -> None:
    """Remove the files in ``folder`` without the hash that :func:`seal_files` wrote."""
    for path in _foreign_files(folder):
        seal, data = path.with_name(path.name + _SEAL), _read_own(path)
        if data is None or _read_own(seal) != _digest(path.name, data):
            discard(path)
            discard(seal)


def _foreign_files(folder: Path) -> list[Path]:
    try:
        return [p for p in sorted(folder.iterdir()) if p.suffix != _SEAL and not p.name.startswith(".part-")]
    except OSError:
        return []


def _digest(name: str, data: bytes) -> bytes:
    """The hash of a file's content and name, so that a file under the name of another is not believed."""
    digest = hashlib.sha256(name.encode() + b"\0")
    digest.update(data)
    return digest.digest()


def _read_own(path: Path) -> bytes | None:
    """The content of a regular file that only this user can write; None if it is none."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or _why_not_private(found):
            return None
        return path.read_bytes()
    except (OSError, MemoryError):  # MemoryError: far larger than what is cached
        return None


def _replace(path: Path, *data: bytes) -> None:
    """Write a file and then rename it, both synced: after a power cut it is whole or not there."""
    try:
        number, name = mkstemp(dir=path.parent, prefix=".part-")  # mode 600
    except OSError:
        return
    try:
        with open(number, "wb") as file:
            file.writelines(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
        _sync_folder(path.parent)
    except OSError:
        discard(Path(name))


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # has no such call
        return
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
