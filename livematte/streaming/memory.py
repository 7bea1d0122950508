"""The C library's memory, in a process that hands pictures from thread to thread for hours."""

from __future__ import annotations

import ctypes
import os
import sys

ARENAS = 2
"""Enough for threads that allocate a few large pieces a frame each."""
_M_ARENA_MAX = -8  # malloc.h


def keep_arenas_few() -> bool:
    """Let threads that begin from now on share :data:`ARENAS` arenas of memory; whether that was done.

    glibc gives threads an arena each, up to eight for each core. Pictures are made in one thread and let go
    of in another, so that arenas grow with holes between what is in use: measured in a live session at 720p,
    190 MB of holes after two minutes, and more with each change of level; with two arenas 30 to 40 MB.

    Nothing is done where another C library works, or ``MALLOC_ARENA_MAX`` says what the user wants.
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and mallopt(_M_ARENA_MAX, ARENAS) == 1
