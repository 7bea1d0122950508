"""Read and write video files through FFmpeg (PyAV). ``open_video`` returns a Source, ``open_sink`` a Sink."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livematte.video.images import ImageSequenceSink, write_image
    from livematte.video.reader import FileSource, open_video
    from livematte.video.writer import FileSink, open_sink

__all__ = ["FileSink", "FileSource", "ImageSequenceSink", "open_sink", "open_video", "write_image"]

_HOMES = {
    "FileSink": "writer",
    "FileSource": "reader",
    "ImageSequenceSink": "images",
    "open_sink": "writer",
    "open_video": "reader",
    "write_image": "images",
}


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: the process that tries a file (``trial``) needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'livematte.video' has no attribute {name!r}")
    return getattr(import_module(f"livematte.video.{_HOMES[name]}"), name)
