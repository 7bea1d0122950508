"""The C library's memory allocator, in a process that passes frames between threads for hours."""

from __future__ import annotations

import ctypes
import os
import sys

ARENAS = 2
"""Enough for threads that allocate a few large blocks per frame each."""
_M_ARENA_MAX = -8  # malloc.h


def keep_arenas_few() -> bool:
    """Let threads that start from now on share :data:`ARENAS` memory arenas; True if that was done.

    glibc gives each thread an arena, up to eight for each core. Frames are allocated in one thread and freed
    in another, so that arenas become fragmented: in a live session at 720p, 190 MB were unused after two
        minutes,
    and more after each change of level; with two arenas 30 to 40 MB.

    Nothing is done with another C library, or if the user has set ``MALLOC_ARENA_MAX``.
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and mallopt(_M_ARENA_MAX, ARENAS) == 1
