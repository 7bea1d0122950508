"""Read TOML and JSON files that a user wrote: whatever is wrong with one is an error of one line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from livematte.errors import LivematteError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1 << 24
"""Largest file that is read."""


def read_toml(
    path: str | os.PathLike[str],
    what: str,
    unreadable: type[LivematteError],
    invalid: type[LivematteError] | None = None,
) -> dict[str, Any]:
    """The content of a TOML file in UTF-8, with a byte order mark or without.

    Args:
        what: for the message, e.g. 'profile'.
        unreadable: raised if the file cannot be read.
        invalid: raised if its content is not TOML; ``unreadable`` if None.
    """
    given: dict[str, Any] = _read(path, what, "TOML", tomllib.loads, unreadable, invalid or unreadable)
    return given


def read_json(path: str | os.PathLike[str], what: str, error: type[LivematteError]) -> Any:
    """The content of a JSON file in UTF-8; a key that is there twice is not accepted. Raises ``error``."""

    def parse(text: str) -> Any:
        return json.loads(text, object_pairs_hook=_unique)

    return _read(path, what, "JSON", parse, error, error)


def _read(
    path: str | os.PathLike[str],
    what: str,
    language: str,
    parse: Callable[[str], Any],
    unreadable: type[LivematteError],
    invalid: type[LivematteError],
) -> Any:
    name = f"{what} {os.fspath(path)}"
    try:
        with open(Path(path), "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise unreadable(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise invalid(f"{name} is larger than {MAX_BYTES >> 20} MiB: give a {language} file written for it")
    try:
        return parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise invalid(
            f"{name} is not {language} in UTF-8 (byte {error.start} is 0x{data[error.start]:02x}): "
            "save it with the encoding UTF-8"
        ) from error
    except RecursionError as error:
        raise invalid(f"{name} is not {language} that can be read: it is nested too deeply") from error
    except ValueError as error:  # invalid, or a number of thousands of digits
        reason = str(error)
        if "integer string conversion" in reason:
            reason = "a number has too many digits"
        raise invalid(f"{name} is not {language}: {reason}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found
