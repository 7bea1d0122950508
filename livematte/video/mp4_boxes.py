"""Boxes of MP4 and HEIC files (ISO/IEC 14496-12), as far as FFmpeg needs help with them."""

from __future__ import annotations

import io
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


class FirstIndex:
    """Turns the tracks of cover pictures in the first index of a file in fragments into free space.

    A stream, and a file whose writer was killed, have no other index. Called with what is written, in order.
    """

    def __init__(self) -> None:
        self._written = self._next = 0
        self._done = False

    def __call__(self, data: bytes) -> bytes:
        """Return ``data`` with those tracks hidden."""
        if self._done:
            return data
        file, end = io.BytesIO(data), len(data)
        at, self._written = self._next - self._written, self._written + end
        while not self._done and 0 <= at <= end - 8:
            file.seek(at)
            size, kind = int.from_bytes(file.read(4), "big"), file.read(4)
            if kind == b"moov":
                tracks = [each for each in read_boxes(file, at + 8, end) if each[0] == b"trak"]
                videos = [body for _, body, finish in tracks if _handler(file, body, finish) == b"vide"]
                for body in videos[1:]:
                    file.seek(body - 4)
                    file.write(b"free")
            self._done = kind in (b"moov", b"moof", b"mdat") or size < 8
            at, self._next = at + size, self._next + size
        return file.getvalue()


_CHUNK = 1 << 20
_CONTAINERS = (b"trak", b"mdia", b"minf", b"stbl")
_OFFSETS = {b"stco": 4, b"co64": 8}
"""Boxes with the position of each chunk in the file, and the bytes of a position."""


def write_index_first(source: BinaryIO, target: BinaryIO) -> bool:
    """Copy a finished MP4 or MOV file with its index ('moov') before the media data.

    A player then begins before it has all of the file, and a server need not support ranges.

    Returns:
        False, with nothing written, if the index is already there or a position would not fit.
    """
    size = source.seek(0, 2)
    top = list(read_boxes(source, 0, size))
    kinds = [kind for kind, _, _ in top]
    if kinds.count(b"moov") != 1 or b"mdat" not in kinds or b"moof" in kinds or top[-1][2] != size:
        return False
    place = kinds.index(b"moov")
    if place < kinds.index(b"mdat"):
        return False
    begin, end = top[place - 1][2], top[place][2]
    before = top[0][2] if kinds[0] == b"ftyp" else 0
    source.seek(begin)
    index = io.BytesIO(source.read(end - begin))
    if not _move_chunks(index, 8, end - begin, end - begin, slice(before, begin)):
        return False
    for first, last in ((0, before), (None, None), (before, begin), (end, size)):
        if first is None or last is None:
            target.write(index.getbuffer())
        else:
            _copy(source, target, first, last)
    return True


def _move_chunks(index: BinaryIO, begin: int, end: int, by: int, moved: slice) -> bool:
    """Add ``by`` to the positions in ``moved``. Return False if one does not fit."""
    for kind, body, finish in list(read_boxes(index, begin, end)):
        if kind in _CONTAINERS and not _move_chunks(index, body, finish, by, moved):
            return False
        if kind not in _OFFSETS:
            continue
        width = _OFFSETS[kind]
        index.seek(body + 4)
        count = int.from_bytes(index.read(4), "big")
        import numpy as np  # the process that tries files needs none

        old = np.frombuffer(index.read(width * count), f">u{width}").astype(np.uint64)
        new = old + np.where((old >= moved.start) & (old < moved.stop), np.uint64(by), np.uint64(0))
        if new.size and int(new.max()) >= 1 << 8 * width:
            return False
        index.seek(body + 8)
        index.write(new.astype(f">u{width}").tobytes())
    return True


def _copy(source: BinaryIO, target: BinaryIO, begin: int, end: int) -> None:
    source.seek(begin)
    while begin < end:
        chunk = source.read(min(_CHUNK, end - begin))
        if not chunk:
            raise OSError("the file became shorter")
        target.write(chunk)
        begin += len(chunk)


def _is_empty_video(file: BinaryIO, begin: int, end: int) -> bool:
    sizes = _find(file, begin, end, (b"mdia", b"minf", b"stbl", b"stsz"))
    if sizes is None or _handler(file, begin, end) != b"vide":
        return False
    file.seek(sizes + 8)
    return file.read(4) == bytes(4)


def _handler(file: BinaryIO, begin: int, end: int) -> bytes:
    """Return the type of the track between two positions, such as ``vide``; empty if it has none."""
    handler = _find(file, begin, end, (b"mdia", b"hdlr"))
    if handler is None:
        return b""
    file.seek(handler + 8)
    return file.read(4)


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


_LARGE = (b"ftyp", b"free", b"skip", b"wide", b"mdat", b"moov", b"moof", b"sidx", b"styp", b"meta", b"mfra")
"""Boxes of a whole file; what else stands behind the last of them is no box."""


def end_of_boxes(file: BinaryIO, size: int) -> int:
    """Return where the last box of a file ends; more than ``size`` if that box is cut off."""
    end = 0
    while end + 8 <= size:
        file.seek(end)
        length, kind, body = int.from_bytes(file.read(4), "big"), file.read(4), 8
        if length == 1:
            length, body = int.from_bytes(file.read(8), "big"), 16
        if length < body or kind not in _LARGE:  # 0: to the end of the file
            return size
        end += length
    return end


def timecode_count(file: BinaryIO) -> int | None:
    """Return the frames a second that the timecode track of an MP4 or MOV file counts; None without one."""
    size = file.seek(0, 2)
    for moov, begin, end in read_boxes(file, 0, size):
        if moov != b"moov":
            continue
        for trak, body, finish in list(read_boxes(file, begin, end)):
            found = (
                _find(file, body, finish, (b"mdia", b"minf", b"stbl", b"stsd")) if trak == b"trak" else None
            )
            if found is None or _handler(file, body, finish) != b"tmcd":
                continue
            file.seek(found + 8)
            entry = file.read(33)
            if len(entry) == 33 and entry[4:8] == b"tmcd" and entry[32]:
                return entry[32]
    return None
