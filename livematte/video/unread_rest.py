"""Recordings that were joined byte by byte in formats of which FFmpeg reads only the first ones."""

from __future__ import annotations

import re
from pathlib import Path

from livematte.video.mp4_boxes import read_boxes

_BEGINNINGS = {
    "matroska": re.compile(rb"\x1a\x45\xdf\xa3"),
    "flv": re.compile(rb"FLV\x01"),
    "avi": re.compile(rb"RIFF.{4}AVI ", re.DOTALL),
}
"""First bytes of a file, by format."""

_CHUNK, _OVERLAP = 1 << 20, 16

_MOST = 1 << 28
"""Bytes to search behind the last packet."""


def notes_of_unread(path: str | Path, format_name: str, position: int) -> list[str]:
    """Return a line about the recordings in a file that follow those that were read, if there are any.

    Args:
        format_name: FFmpeg's name of the format.
        position: of the last packet that was read, in bytes.
    """
    rest = _unread_bytes(Path(path), format_name, position)
    if not rest:
        return []
    line = f"{rest:,} bytes at the end of {path} are another recording, which is not read"
    return [f"{line}: joined recordings of this format have to be separated"]


def _unread_bytes(path: Path, format_name: str, position: int) -> int:
    if not path.is_file():
        return 0
    size = path.stat().st_size
    if format_name.startswith("mov"):
        with path.open("rb") as file:
            begins = [body - 8 for kind, body, _ in read_boxes(file, 0, size) if kind == b"ftyp"]
        return size - begins[1] if len(begins) > 1 else 0
    beginning = _BEGINNINGS.get(format_name.split(",")[0])
    if beginning is None:
        return 0
    with path.open("rb") as file:
        for start in range(position + 1, min(size, position + _MOST), _CHUNK):
            file.seek(start)
            if found := beginning.search(file.read(_CHUNK + _OVERLAP)):
                return size - start - found.start()
    return 0
