"""Which way up: the display matrix of phones' videos and the EXIF orientation of photographs."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from livematte.frame import Array
from livematte.video.sides import side_data_of


@dataclass(frozen=True)
class Orientation:
    """How stored rows and columns become an upright picture: first transpose, then mirror."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def upright(self) -> bool:
        """Nothing is to be done."""
        return not (self.transpose or self.mirror_x or self.mirror_y)

    @property
    def degrees(self) -> int:
        """Clockwise turn, as players name it; a mirrored picture's turn before mirroring."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    @property
    def mirrored(self) -> bool:
        """Left and right are swapped as well."""
        return self.transpose ^ self.mirror_x ^ self.mirror_y

    def __call__(self, plane: Array) -> Array:
        """``plane`` (h, w) or (h, w, c) turned; a contiguous copy."""
        import cv2  # only turned videos pay for it

        if self.transpose:
            plane = cv2.transpose(plane)
        if self.mirror_x and self.mirror_y:
            plane = cv2.flip(plane, -1)
        elif self.mirror_x:
            plane = cv2.flip(plane, 1)
        elif self.mirror_y:
            plane = cv2.flip(plane, 0)
        return plane


_FROM_EXIF = {
    1: Orientation(),
    2: Orientation(mirror_x=True),
    3: Orientation(mirror_x=True, mirror_y=True),
    4: Orientation(mirror_y=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, mirror_x=True),
    7: Orientation(transpose=True, mirror_x=True, mirror_y=True),
    8: Orientation(transpose=True, mirror_y=True),
}


def orientation_of(frame: VideoFrame, path: str | Path) -> Orientation:
    """How ``frame`` is to be turned, from a picture file's EXIF tag or else its display matrix.

    A matrix that turns by anything but a quarter is rounded to the nearest quarter.
    """
    exif = exif_orientation(path)
    if exif is not None:
        return _FROM_EXIF[exif]
    try:
        sides = side_data_of(frame, Type.DISPLAYMATRIX)
    except ValueError:  # side data that PyAV has no name for hides the rest; the angle is still told
        return _turned(-frame.rotation)
    if (matrix := sides.get(Type.DISPLAYMATRIX)) is not None:
        return _from_matrix(np.frombuffer(matrix, np.int32).astype(float))
    return Orientation()


_EXIF = b"Exif\0\0"


def _from_matrix(matrix: Array) -> Orientation:
    # Row vectors: x' = a x + c y, y' = b x + d y (libavutil/display.h).
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, mirror_x=bool(c < 0), mirror_y=bool(b < 0))
    return Orientation(mirror_x=bool(a < 0), mirror_y=bool(d < 0))


def _turned(clockwise: int) -> Orientation:
    return _FROM_EXIF[{0: 1, 1: 6, 2: 3, 3: 8}[round(clockwise / 90) % 4]]


def exif_orientation(path: str | Path) -> int | None:
    """The EXIF orientation (1-8) of a JPEG, PNG, WebP or TIFF file; None for others or where none is set.

    FFmpeg tells the turn of some of these, but not through PyAV that a picture is mirrored as well.
    Source: EXIF 2.3, 4.6.4; PNG 3, 11.3.3.6; the WebP container's chunk EXIF.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(12)
            if head[:4] in (b"II*\0", b"MM\0*"):
                return _orientation_entry(file)
            for name, size in _blocks(file, head):
                if name in (b"\xff\xe1", b"eXIf", b"EXIF"):
                    block = file.read(size)
                    if block.startswith(_EXIF) or name != b"\xff\xe1":  # JPEG keeps XMP there as well
                        return _orientation_entry(io.BytesIO(block.removeprefix(_EXIF)))
    except (OSError, struct.error):  # the end of the file
        pass
    return None


def _blocks(file: BinaryIO, head: bytes) -> Iterator[tuple[bytes, int]]:
    """Name and size of each block before a JPEG's picture or of a whole PNG or WebP; ``file`` stands at it.

    Ends with struct.error where the file ends.
    """
    begins = {b"\xff\xd8": 2, b"\x89P": 8, b"RI": 12}.get(head[:2])
    if begins is None or (begins == 12 and head[8:] != b"WEBP"):
        return
    file.seek(begins)
    while True:
        if begins == 2:
            name, size = struct.unpack(">2sH", file.read(4))
            size, after = size - 2, 0
            if name[0] != 0xFF or name == b"\xff\xda" or size < 0:
                return
        elif begins == 8:
            size, name = struct.unpack(">I4s", file.read(8))
            after = 4  # the checksum
        else:
            name, size = struct.unpack("<4sI", file.read(8))
            after = size % 2
        ends = file.tell() + size + after
        yield name, size
        file.seek(ends)


def _orientation_entry(tiff: BinaryIO) -> int | None:
    tiff.seek(0)
    order = "<" if tiff.read(2) == b"II" else ">"
    tiff.seek(4)
    tiff.seek(struct.unpack(order + "I", tiff.read(4))[0])
    for _ in range(struct.unpack(order + "H", tiff.read(2))[0]):
        tag, value = struct.unpack(order + "H6xH2x", tiff.read(12))
        if tag == 0x0112:
            return value if value in _FROM_EXIF else None
    return None
