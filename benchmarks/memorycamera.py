"""A virtual camera without a driver: includes all work of the plug-in and one copy of each picture.

    python -m benchmarks.memorycamera live --input me.mp4 --sink-option virtualcam.backend=memory

runs ``livematte live`` with this camera. It is an additional back-end of pyvirtualcam: the plug-in converts
to I420 and pyvirtualcam checks the frame as for a real camera. Then ``write`` copies 1.4 MB for 720p into
kernel memory, as v4l2loopback does. The cost of a program that reads the camera is not included.
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
"""Name of the back-end for ``--sink-option virtualcam.backend=``."""

Bytes = NDArray[np.uint8]
PictureCallback = Callable[[Bytes], None]
"""Called with each picture, (height * width * 3 / 2,) uint8 I420; valid only during the call."""


class MemoryCamera:
    """A back-end of pyvirtualcam (interface: ``pyvirtualcam.camera.Backend``)."""

    def __init__(
        self, *, width: int, height: int, on_picture: PictureCallback | None = None, **_: Any
    ) -> None:
        self._file, self._on_picture = _memory(), on_picture

    def send(self, frame: Bytes) -> None:
        self._file.seek(0)
        self._file.write(frame.data)
        if self._on_picture is not None:
            self._on_picture(frame)

    def close(self) -> None:
        self._file.close()

    def device(self) -> str:
        return "memory"

    def native_fourcc(self) -> None:
        return None


def register(on_picture: PictureCallback | None = None) -> None:
    """Register the back-end with pyvirtualcam. The sending thread calls ``on_picture``.

    Raises:
        SystemExit: pyvirtualcam is not installed.
    """
    try:
        import pyvirtualcam
    except ImportError:
        raise SystemExit("this needs pyvirtualcam: pip install '.[virtualcam]'") from None
    pyvirtualcam.register_backend(BACKEND, partial(MemoryCamera, on_picture=on_picture))


def _memory() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("livematte"), "wb", buffering=0)
    return tempfile.TemporaryFile(buffering=0)  # goes to the file cache of the system


if __name__ == "__main__":
    from livematte.cli import main

    register()
    main()
