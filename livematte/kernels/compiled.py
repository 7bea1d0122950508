"""How loops are compiled: the one place that knows Numba's options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar, cast

import numba

from livematte.weights import cache_folder

_CONFIG: Any = numba.config

_RELAXED = {"nnan", "nsz", "arcp", "contract"}
"""What may be assumed of floats: no NaN, no signed zero; multiply and add may be one step. Sums keep their
order.
"""

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``numba.njit`` that lets go of the GIL, cached on disk wherever a folder for that can be written.

    It is ``NUMBA_CACHE_DIR``, the package's own ``__pycache__`` or livematte's cache folder, in this order.
    Where none can be written, every process compiles for itself; Numba's own in the home is left alone.
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
