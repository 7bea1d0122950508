"""Videos in shared storage, by URL: ``s3://``, ``gs://``, ``http://`` and whatever else fsspec knows."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from livematte.errors import InputError, MissingExtraError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

_BLOCK = 8 << 20


def is_url(path: str | os.PathLike[str]) -> bool:
    """Return True if a path is a URL."""
    return bool(_URL.match(os.fspath(path)))


def input_path(path: Path) -> str:
    """Return the text of an input: a URL as it was given, because a path has one slash after its scheme."""
    text = path.as_posix()
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/(?=[^/])", text)
    return f"{found[1]}://{text[found.end() :]}" if found and not path.exists() else os.fspath(path)


def url_stamp(url: str) -> list[str]:
    """Return what identifies the version of a file behind a URL: size, hash, time. Raises InputError."""
    system, name = _open_system(url)
    try:
        found = system.info(name)
    except Exception as error:  # each storage has errors of its own
        raise _unreadable(url, error) from error
    return [str(found.get(key)) for key in ("size", "ETag", "LastModified", "mtime", "updated")]


def local_copy(path: str) -> Path:
    """Return a path on this machine with the content of ``path``: itself, or a copy of what a URL names.

    The copy is made once for each version of the file, in blocks, so that no process holds a whole file.

    Raises:
        InputError: it cannot be read.
        MissingExtraError: a package for this kind of URL is missing.
    """
    if not is_url(path):
        return Path(path)
    key = hashlib.sha256("\n".join([path, *url_stamp(path)]).encode()).hexdigest()[:24]
    system, name = _open_system(path)
    folder = Path(os.environ.get("LIVEMATTE_FARM_TEMP") or tempfile.gettempdir(), "livematte-inputs")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / f"{key}-{PurePosixPath(name).name}"
    if target.exists():
        return target
    number, new = tempfile.mkstemp(dir=folder)
    try:
        with open(number, "wb") as file, system.open(name, "rb", block_size=_BLOCK) as source:
            while block := source.read(_BLOCK):
                file.write(block)
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


def _open_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the name of the file there."""
    try:
        import fsspec

        system, name = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise MissingExtraError(f"reading {url}", "farm") from error
    except Exception as error:
        raise _unreadable(url, error) from error
    return system, str(name)


def _unreadable(url: str, error: Exception) -> InputError:
    return InputError(f"{url} cannot be read: {' '.join(str(error).split()) or type(error).__name__}")
