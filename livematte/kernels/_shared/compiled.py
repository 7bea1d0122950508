"""Compilation of loops by Numba, with the same options for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar, cast

import numba

from livematte.cache import cache_folder

_CONFIG: Any = numba.config

_RELAXED = {"nnan", "nsz", "arcp", "contract"}
"""Assumptions about floats: no NaN, no signed zero, fused multiply and add allowed. Sums keep their order."""

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``numba.njit`` that releases the GIL, cached on disk if a folder for that can be written.

    Numba looks at ``NUMBA_CACHE_DIR``, the package's own ``__pycache__`` and the user's cache folder, in this
    order. If none can be written, every process compiles for itself.
    """
    with _cached(Path(function.__code__.co_filename).parent) as cached:
        if cached:
            try:
                return cast(F, numba.njit(nogil=True, cache=True, fastmath=_RELAXED)(function))
            except RuntimeError:
                pass
        return cast(F, numba.njit(nogil=True, fastmath=_RELAXED)(function))


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
        folder.mkdir(exist_ok=True)
        with TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
