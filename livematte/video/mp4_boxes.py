"""Boxes of MP4 and HEIC files (ISO/IEC 14496-12), as far as FFmpeg needs help with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO


def hide_empty_video_tracks(file: BinaryIO) -> None:
    """Turn the video tracks without samples of a finished MP4 file into free space.

    For a cover picture, FFmpeg's fragmented muxer (8.1) writes an empty track besides the cover itself.
    Players show it as a second, broken video.
    """
    file.seek(0, 2)
    for moov, begin, end in read_boxes(file, 0, file.tell()):
        if moov != b"moov":
            continue
        for trak, body, finish in list(read_boxes(file, begin, end)):
            if trak == b"trak" and _is_empty_video(file, body, finish):
                file.seek(body - 4)
                file.write(b"free")


def _is_empty_video(file: BinaryIO, begin: int, end: int) -> bool:
    handler = _find(file, begin, end, (b"mdia", b"hdlr"))
    sizes = _find(file, begin, end, (b"mdia", b"minf", b"stbl", b"stsz"))
    if handler is None or sizes is None:
        return False
    file.seek(handler + 8)
    if file.read(4) != b"vide":
        return False
    file.seek(sizes + 8)
    return file.read(4) == bytes(4)


def _find(file: BinaryIO, begin: int, end: int, path: tuple[bytes, ...]) -> int | None:
    """Return where the content of the box at ``path`` begins; None if there is none."""
    for kind, body, finish in read_boxes(file, begin, end):
        if kind == path[0]:
            return body if len(path) == 1 else _find(file, body, finish, path[1:])
    return None


def read_boxes(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of the content, end) of the boxes between two positions."""
    while begin + 8 <= end:
        file.seek(begin)
        size, kind, body = int.from_bytes(file.read(4), "big"), file.read(4), begin + 8
        if size == 1:
            size, body = int.from_bytes(file.read(8), "big"), body + 8
        finish = begin + size if size else end
        if finish < body or finish > end:
            return
        yield kind, body, finish
        begin = finish
