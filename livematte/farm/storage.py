"""Videos in shared storage, by URL: ``s3://``, ``gs://``, ``http://`` and whatever else fsspec knows."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from livematte.errors import InputError, LivematteError, MissingExtraError, OutputError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

_BLOCK = 8 << 20

_UPLOAD_BLOCK = 16 << 20
"""S3 allows 10,000 blocks of a file: 160 GB."""

_SPARE_BYTES = 1 << 30
"""Space to leave free on a disk on which inputs are copied."""

_IN_USE_SECONDS = 3600
"""Copies of inputs that were used within this time are not removed."""

_Result = TypeVar("_Result")


def is_url(path: str | os.PathLike[str]) -> bool:
    """Return True if a path is a URL."""
    return bool(_URL.match(os.fspath(path)))


def input_path(path: Path) -> str:
    """Return the text of a path: a URL as it was given, because a path has one slash after its scheme."""
    text = path.as_posix()
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/(?=[^/])", text)
    return f"{found[1]}://{text[found.end() :]}" if found and not path.exists() else os.fspath(path)


class Storage:
    """A folder in shared storage. Names are relative to it, with ``/`` between folders.

    Raises:
        MissingExtraError: a package for this kind of URL is missing.
        OutputError: a call fails.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._system, self._root = _open_system(url, "writing", OutputError)

    def check_writable(self) -> None:
        """Raise OutputError for storage that can only be read, or that does not answer."""
        if self._url.startswith(("http://", "https://")):
            raise OutputError(f"{self._url}: videos can be read over HTTP, not written: use s3:// or gs://")
        self.names(".livematte")

    def _call(self, name: str, call: Callable[[str], _Result]) -> _Result:
        try:
            return call(f"{self._root}/{name}")
        except FileNotFoundError:
            raise
        except Exception as error:  # each storage has errors of its own
            raise OutputError(f"{self._url}/{name} cannot be written or read: {_line(error)}") from error

    def stamp(self, name: str) -> list[str] | None:
        """Return size, hash and time of a file; None if there is none."""
        try:
            return _stamp(self._call(name, self._system.info))
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file; None if there is none."""
        try:
            return bytes(self._call(name, self._system.cat_file))
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        self._write(name, lambda path: self._system.pipe_file(path, data))

    def _write(self, name: str, call: Callable[[str], None]) -> None:
        try:
            self._call(name, call)
        except FileNotFoundError as error:  # there is no such bucket
            raise OutputError(f"{self._url}/{name} cannot be written: {_line(error)}") from error

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted."""
        try:
            found = self._call(folder, lambda path: self._system.ls(path, detail=False))
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(str(path)).name for path in found)

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        with suppress(FileNotFoundError):
            self._call(name, self._system.rm_file)

    def upload(self, path: Path, name: str) -> None:
        """Write a file in blocks. It appears when it is whole."""

        def copy(target: str) -> None:
            with path.open("rb") as source:
                file = self._system.open(target, "wb", block_size=_UPLOAD_BLOCK)
                try:
                    while block := source.read(_BLOCK):
                        file.write(block)
                except BaseException:  # its own context manager would write what it has
                    with suppress(Exception):
                        file.discard()
                    file.closed = True
                    raise
                file.close()

        self._write(name, copy)

    def download(self, name: str, path: Path) -> None:
        """Copy a file to this computer, in blocks."""

        def copy(source: str) -> None:
            with path.open("wb") as file, self._system.open(source, "rb", block_size=_BLOCK) as found:
                shutil.copyfileobj(found, file, _BLOCK)

        try:
            self._call(name, copy)
        except FileNotFoundError as error:
            raise OutputError(f"{self._url}/{name} is not there any more") from error


def url_stamp(url: str) -> list[str]:
    """Return what identifies the version of a file behind a URL: size, hash, time. Raises InputError."""
    system, name = _open_system(url, "reading", InputError)
    try:
        return _stamp(system.info(name))
    except Exception as error:  # each storage has errors of its own
        raise _unreadable(url, error) from error


def _stamp(found: Any) -> list[str]:
    return [str(found.get(key)) for key in ("size", "ETag", "LastModified", "mtime", "updated")]


def local_copy(path: str) -> Path:
    """Return a path on this machine with the content of ``path``: itself, or a copy of what a URL names.

    The copy is made once for each version of the file, in blocks, so that no process holds a whole file.
    Where the disk has no room for it, old copies are removed.

    Raises:
        InputError: it cannot be read.
        MissingExtraError: a package for this kind of URL is missing.
    """
    if not is_url(path):
        return Path(path)
    stamp = url_stamp(path)
    key = hashlib.sha256("\n".join([path, *stamp]).encode()).hexdigest()[:24]
    system, name = _open_system(path, "reading", InputError)
    folder = Path(os.environ.get("LIVEMATTE_FARM_TEMP") or tempfile.gettempdir(), "livematte-inputs")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / f"{key}-{PurePosixPath(name).name}"
    with suppress(FileNotFoundError):
        os.utime(target)  # it is in use
        return target
    _make_room(folder, int(stamp[0]) if stamp[0].isdigit() else 0)
    number, new = tempfile.mkstemp(dir=folder)
    try:
        with open(number, "wb") as file, system.open(name, "rb", block_size=_BLOCK) as source:
            shutil.copyfileobj(source, file, _BLOCK)
        os.replace(new, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(new)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        if isinstance(error, Exception):
            raise _unreadable(path, error) from error
        raise
    return target


def _make_room(folder: Path, size: int) -> None:
    """Remove copies that were not used for long, the oldest first, until a file of ``size`` bytes fits."""
    with suppress(OSError):
        for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime):
            enough = shutil.disk_usage(folder).free >= size + _SPARE_BYTES
            if enough or time.time() - old.stat().st_mtime < _IN_USE_SECONDS:
                return
            old.unlink()


def _open_system(url: str, doing: str, kind: type[LivematteError]) -> tuple[Any, str]:
    """Return the file system of a URL, and the name of the file there."""
    try:
        import fsspec

        system, name = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise MissingExtraError(f"{doing} {url}", "farm") from error
    except Exception as error:
        raise kind(f"{url} cannot be opened: {_line(error)}") from error
    return system, str(name)


def _unreadable(url: str, error: Exception) -> InputError:
    return InputError(f"{url} cannot be read: {_line(error)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
