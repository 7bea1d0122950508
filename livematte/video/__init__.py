"""Video in and out of files, through FFmpeg (PyAV). ``open_video`` gives a Source, ``open_sink`` a Sink."""

from __future__ import annotations

from livematte.video.images import ImageSequenceSink, write_image
from livematte.video.reader import FileSource, open_video
from livematte.video.writer import FileSink, open_sink

__all__ = ["FileSink", "FileSource", "ImageSequenceSink", "open_sink", "open_video", "write_image"]
