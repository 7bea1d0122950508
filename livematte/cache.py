"""Per-user folder for compiled networks and kernels."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from platformdirs import user_cache_path

_CACHE_VARIABLE = "LIVEMATTE_CACHE"


def cache_folder(*parts: str) -> Path | None:
    """Return a per-user folder for compiled files, created if missing; None if it is not writable.

    The environment variable ``LIVEMATTE_CACHE`` sets its location. Its content can be deleted at any time.
    """
    root = os.environ.get(_CACHE_VARIABLE)
    folder = (Path(root) if root else user_cache_path("livematte", appauthor=False)).joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".try-"):
            return folder
    except OSError:
        return None


def write_cached(path: Path, data: bytes) -> None:
    """Write ``data`` atomically. A full disk, or another process writing the same file, raises no error."""
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError:
        with suppress(OSError):
            part.unlink()
