"""``livematte version`` and ``--version``."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import livematte

_PARTS = ("av", "numpy", "opencv-python-headless", "numba", "onnxruntime", "openvino", "torch", "safetensors")


def version() -> None:
    """Print the versions of livematte, its dependencies and the system, for a bug report."""
    show_version(verbose=True)


def show_version(*, verbose: bool) -> None:
    """Print the version; with ``verbose`` also those of the dependencies, FFmpeg and the system."""
    print(f"livematte {livematte.__version__}")
    if not verbose:
        return
    print(f"Python {platform.python_version()} on {platform.platform()} ({platform.machine()})")
    print(f"  from {sys.executable}")
    for part in _PARTS:
        try:
            print(f"{part} {installed(part)}")
        except PackageNotFoundError:
            print(f"{part} is not installed")
    import av

    print(f"FFmpeg {av.ffmpeg_version_info}")
    for library, numbers in sorted(av.library_versions.items()):
        print(f"  {library} {'.'.join(map(str, numbers))}")
