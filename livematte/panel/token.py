"""The token that opens the panel, kept in a file that only its user can read."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from livematte.errors import OutputError

_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


def load_token(path: Path) -> str:
    """Return the token in the file, or make a new one if the file is missing.

    Raises:
        OutputError: the file cannot be read or written, belongs to another user, or holds no token.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _read(path)
        token = secrets.token_urlsafe(32)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
        return token
    except OSError as error:
        raise OutputError(f"the token file {path} cannot be used: {error.strerror or error}") from error


def _read(path: Path) -> str:
    found = path.lstat()
    if hasattr(os, "getuid"):
        if found.st_uid != os.getuid() or path.is_symlink():
            raise OutputError(f"the token file {path} does not belong to this user: remove it")
        if found.st_mode & 0o077:
            path.chmod(0o600)
    token = path.read_text(encoding="ascii", errors="replace").strip()
    if not _FORM.fullmatch(token):
        raise OutputError(f"the token file {path} holds no token: remove it, and a new one is made")
    return token
