"""Bytes that a file lacks, because it is cut off, or that FFmpeg does not read.

Of recordings that were joined byte by byte, it reads only the first ones in some formats.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from livematte.video.mp4_boxes import end_of_boxes, read_boxes

_BEGINNINGS = {
    "matroska": re.compile(rb"\x1a\x45\xdf\xa3"),
    "flv": re.compile(rb"FLV\x01"),
    "avi": re.compile(rb"RIFF.{4}AVI ", re.DOTALL),
}
"""First bytes of a file, by format."""

_CHUNK, _OVERLAP = 1 << 20, 16

_MOST = 1 << 28
"""Bytes to search behind the last packet."""


def notes_of_extent(path: str | Path, format_name: str, position: int, early: bool) -> list[str]:
    """Return lines about the end of a file: what is missing, and the recordings that were not read.

    Args:
        format_name: FFmpeg's name of the format.
        position: of the last packet that was read, in bytes.
        early: it is known that the end is missing.
    """
    path, name = Path(path), format_name.split(",")[0]
    if not path.is_file():
        return []
    notes = []
    if not early and (missing := _missing_bytes(path, name)):
        notes.append(f"the end of {path} is missing: {missing:,} of {path.stat().st_size + missing:,} bytes")
    if rest := _unread_bytes(path, name, position):
        line = f"{rest:,} bytes at the end of {path} are another recording, which is not read"
        notes.append(f"{line}: joined recordings of this format have to be separated")
    return notes


def _missing_bytes(path: Path, name: str) -> int:
    """Return how many bytes the file is shorter than its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if name == "matroska":
            return max(0, _matroska_end(file) - size)
        if name == "avi":
            head = file.read(12)
            length = int.from_bytes(head[4:8], "little")
            return max(0, length + 8 - size) if head[:4] == b"RIFF" and length < 0xFFFFFFFF else 0
        if name == "mov":
            return max(0, end_of_boxes(file, size) - size)
    return 0


def _matroska_end(file: BinaryIO) -> int:
    """Return where the segment of a Matroska file ends; 0 if that is not known, as in a live recording."""
    end = 0
    for wanted in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        file.seek(end)
        head = file.read(12)
        if head[:4] != wanted or len(head) < 12 or not head[4]:
            return 0
        length = 9 - head[4].bit_length()
        number = int.from_bytes(head[4 : 4 + length], "big") & ((1 << 7 * length) - 1)
        if number == (1 << 7 * length) - 1:
            return 0
        end += 4 + length + number
    return end


def _unread_bytes(path: Path, name: str, position: int) -> int:
    """Return the size of the recordings behind the one that was read."""
    size = path.stat().st_size
    if name == "mov":
        with path.open("rb") as file:
            begins = [body - 8 for kind, body, _ in read_boxes(file, 0, size) if kind == b"ftyp"]
        return size - begins[1] if len(begins) > 1 else 0
    beginning = _BEGINNINGS.get(name)
    if beginning is None:
        return 0
    with path.open("rb") as file:
        for start in range(position + 1, min(size, position + _MOST), _CHUNK):
            file.seek(start)
            if found := beginning.search(file.read(_CHUNK + _OVERLAP)):
                return size - start - found.start()
    return 0
