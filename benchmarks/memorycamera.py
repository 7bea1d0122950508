"""A virtual camera without a driver: all of the plug-in's work up to the kernel's copy of the picture.

    python -m benchmarks.memorycamera live --input me.mp4 --sink-option virtualcam.backend=memory

is ``livematte live`` with it. It is a back-end of pyvirtualcam beside its own ones: the plug-in converts to
I420 and pyvirtualcam checks as for a real camera, then ``write`` copies 1.4 MB of 720p into memory of the
kernel, as v4l2loopback does. What a program that watches would cost is not in it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

BACKEND = "memory"
"""Its name for ``--sink-option virtualcam.backend=``."""

Bytes = NDArray[np.uint8]
Look = Callable[[Bytes], None]
"""Gets each picture as programs would: (height * width * 3 / 2,) uint8 I420, to be read at once."""


class MemoryCamera:
    """See ``pyvirtualcam.camera.Backend``."""

    def __init__(self, *, width: int, height: int, look: Look | None = None, **_: Any) -> None:
        self._file, self._look = _memory(), look

    def send(self, frame: Bytes) -> None:
        self._file.seek(0)
        self._file.write(frame.data)
        if self._look is not None:
            self._look(frame)

    def close(self) -> None:
        self._file.close()

    def device(self) -> str:
        return "memory"

    def native_fourcc(self) -> None:
        return None


def register(look: Look | None = None) -> None:
    """Make the back-end known to pyvirtualcam. ``look`` is called by the thread that sends.

    Raises:
        SystemExit: pyvirtualcam is not installed.
    """
    try:
        import pyvirtualcam
    except ImportError:
        raise SystemExit("this needs pyvirtualcam: pip install 'livematte[virtualcam]'") from None
    pyvirtualcam.register_backend(BACKEND, partial(MemoryCamera, look=look))


def _memory() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("livematte"), "wb", buffering=0)
    return tempfile.TemporaryFile(buffering=0)  # where it costs what the system's file cache costs


if __name__ == "__main__":
    from livematte.cli import main

    register()
    main()
