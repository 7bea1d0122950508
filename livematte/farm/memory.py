"""Memory of renders, and free memory of this computer."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

JOB_BYTES = 1 << 30
"""Memory of a render without its frames: runtime, network, compiled loops."""

JOB_FRAMES = 250
"""Frames in memory during a render: queues, the encoder's look-ahead, pictures being composed."""

_FALLBACK = 4 << 30


def render_bytes(size: tuple[int, int]) -> int:
    """Return the memory in bytes that a render of a video of this height and width fits in."""
    height, width = size
    return JOB_BYTES + JOB_FRAMES * (height * width * 3 // 2)


def free_memory() -> int:
    """Return the bytes that programs can still use, without swapping; 4 GiB if the system does not say."""
    if sys.platform == "win32":
        return _windows()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        (available,) = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(available) * 1024
    except (OSError, ValueError):
        pass
    try:  # macOS: half of all memory, because the free part is not said
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError):
        return _FALLBACK


if sys.platform == "win32":

    class _Status(ctypes.Structure):
        """MEMORYSTATUSEX."""

        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ["total", "free", "swap", "free_swap", "virtual", "free_virtual", "ext"]
            ),
        ]

    def _windows() -> int:
        status = _Status(length=ctypes.sizeof(_Status))
        found = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status.free) if found else _FALLBACK
