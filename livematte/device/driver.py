"""Questions to the NVIDIA driver, asked through its C library: nothing has to be installed or imported."""

from __future__ import annotations

import ctypes
import sys
from typing import Any


def driver_gpus() -> int:
    """Number of GPUs that the NVIDIA driver shows; 0 without a driver. Imports nothing."""
    driver = _driver()
    count = ctypes.c_int(0)
    if driver is None or driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def in_use(index: int) -> bool:
    """True if this process has a context on GPU ``index``, or if the driver does not say.

    Without one, making the GPU current would take some hundred MB of its memory, or fail if it is full.
    """
    driver, card = _driver(), ctypes.c_int(0)
    flags, active = ctypes.c_uint(0), ctypes.c_int(1)
    if driver is not None and driver.cuDeviceGet(ctypes.byref(card), index) == 0:
        driver.cuDevicePrimaryCtxGetState(card, ctypes.byref(flags), ctypes.byref(active))
    return bool(active.value)


def _driver() -> Any:
    """NVIDIA's driver library; None if there is none."""
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
