"""A record of the files that livematte wrote, so that it asks before it replaces a file of the user's.

Each record is a small file in the cache folder, with the size and the time of the written file: a file that
was changed or replaced since then counts as the user's. If the records are lost, livematte asks more often.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from livematte.cache import cache_folder

MAX_RECORDS = 2000
"""Number of records that are kept, the newest ones."""


def record_written(path: Path, files: Sequence[Path] | None = None) -> None:
    """Remember that livematte wrote this file, or the pictures of a pattern. A failure is no error.

    Args:
        path: the file, or the pattern ``out/%04d.png``.
        files: the pictures of a pattern.
    """
    record = _record(path)
    if record is None:
        return
    with suppress(OSError):
        record.write_text(_state(files or [path]), encoding="ascii")
        records = [each for each in record.parent.iterdir() if not each.name.startswith(".")]
        if len(records) > MAX_RECORDS:
            records.sort(key=lambda each: each.stat().st_mtime)
            for old in records[: -MAX_RECORDS // 2]:
                old.unlink(missing_ok=True)


def was_written(path: Path, files: Sequence[Path] | None = None) -> bool:
    """Return True if livematte wrote this file, or exactly these pictures, and nobody changed it since."""
    record = _record(path)
    if record is None:
        return False
    try:
        return record.read_text(encoding="ascii") == _state(files or [path])
    except (OSError, ValueError):
        return False


def foreign_file(path: Path) -> str:
    """Return a line if a file exists that livematte did not write, else an empty text."""
    if not path.is_file() or was_written(path):
        return ""
    return f"{path} exists, and livematte did not write it"


def foreign_pictures(pattern: Path, files: Sequence[Path]) -> str:
    """Return a line if there are pictures of a pattern that livematte did not write, else an empty text."""
    if not files or was_written(pattern, files):
        return ""
    many = f"{len(files)} pictures {pattern} exist" if len(files) > 1 else f"{files[0]} exists"
    return f"{many}, and livematte did not write {'all of them' if len(files) > 1 else 'it'}"


def _state(files: Sequence[Path]) -> str:
    found = [file.stat() for file in files]
    state = " ".join(f"{each.st_size} {each.st_mtime_ns}" for each in found)
    if len(files) == 1:
        return state
    names = "\0".join(file.name for file in files)
    return hashlib.sha256(f"{names}\0{state}".encode("utf-8", "surrogatepass")).hexdigest()


def _record(path: Path) -> Path | None:
    folder = cache_folder("written")
    if folder is None:
        return None
    return folder / hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
