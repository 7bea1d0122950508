"""The secret that a reader of the stream must send; see :mod:`livematte.plugins.obs.stream_server`."""

from __future__ import annotations

import re
import secrets

from livematte.cache import cache_folder, read_cached, write_cached


def load_secret() -> str:
    """Return the secret of this user, 32 hexadecimal digits; make it at the first call.

    It is kept in the cache folder, which only this user can read, so that an address that was given to
    another program, or to OBS with ``livematte obs setup``, stays valid. Without a cache folder, or when the
    user deletes it, it is a new one.
    """
    folder = cache_folder("obs")
    if folder is None:
        return secrets.token_hex(16)
    path = folder / "stream-secret"
    stored = (read_cached(path) or b"").decode("ascii", "replace")
    if re.fullmatch("[0-9a-f]{32}", stored):
        return stored
    made = secrets.token_hex(16)
    write_cached(path, made.encode())
    return made
