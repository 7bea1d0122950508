"""Compilation of loops by Numba, with the same options for all of them."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import IndexDataCacheFile

from livematte.cache import cache_folder

_CONFIG: Any = numba.config
_CacheFile: Any = IndexDataCacheFile

_RELAXED = {"nnan", "nsz", "arcp", "contract"}
"""Assumptions about floats: no NaN, no signed zero, fused multiply and add allowed. Sums keep their order."""

_DIGEST_BYTES = hashlib.sha256().digest_size

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``numba.njit`` that releases the GIL, cached on disk if a folder for that can be written.

    Numba looks at ``NUMBA_CACHE_DIR``, the package's own ``__pycache__`` and the user's cache folder, in this
    order. If none can be written, every process compiles for itself.
    """
    with _cached(Path(function.__code__.co_filename).parent) as cached:
        if cached:
            try:
                loop = numba.njit(nogil=True, cache=True, fastmath=_RELAXED)(function)
                _verify_cache(loop)
                return cast(F, loop)
            except RuntimeError:
                pass
        return cast(F, numba.njit(nogil=True, fastmath=_RELAXED)(function))


class VerifiedCacheFile(_CacheFile):  # type: ignore[misc]  # Numba has no types
    """Numba's files of one function, with the hash of what is compiled at the end of each file of code.

    Where something is wrong with them, there is nothing in them: the function is compiled again.
    """

    _key: object = None

    def load(self, key: object) -> Any:
        """Return what was saved under ``key``; None if there is nothing or it was changed."""
        self._key = key
        try:
            return super().load(key)
        except Exception:  # unpickling something else raises anything
            return None

    def save(self, key: object, data: object) -> None:
        """Save ``data``. A full disk is no error."""
        self._key = key
        with suppress(OSError):
            super().save(key, data)

    def _load_index(self) -> Any:
        try:
            found = super()._load_index()
        except Exception:  # as above
            return {}
        return found if isinstance(found, dict) else {}

    def _load_data(self, name: str) -> Any:
        stored = Path(self._data_path(name)).read_bytes()
        data = stored[:-_DIGEST_BYTES]
        return pickle.loads(data) if stored[-_DIGEST_BYTES:] == self._digest(data) else None

    def _dump(self, obj: object) -> bytes:
        data: bytes = super()._dump(obj)
        return data + self._digest(data)  # the index, too: Numba reads no further than the end of its data

    def _digest(self, data: bytes) -> bytes:
        return hashlib.sha256(repr(self._key).encode() + b"\0" + data).digest()


def _verify_cache(loop: Any) -> None:
    """Make a compiled function use :class:`VerifiedCacheFile`, if this version of Numba is made like that."""
    with suppress(AttributeError):
        loop._cache._cache_file.__class__ = VerifiedCacheFile


@contextmanager
def _cached(package: Path) -> Iterator[bool]:
    """Let Numba find a folder for the cache of a function that lies in ``package``; whether there is one."""
    if _CONFIG.CACHE_DIR or _takes_files(package / "__pycache__"):
        yield True
        return
    folder = _own_folder()
    if folder is None:
        yield False
        return
    _CONFIG.CACHE_DIR = str(folder)  # looked at by the decorator only
    try:
        yield True
    finally:
        _CONFIG.CACHE_DIR = ""


@lru_cache(maxsize=1)
def _own_folder() -> Path | None:
    return cache_folder("numba")


@lru_cache
def _takes_files(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
