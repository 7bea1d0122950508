"""Orientation of pictures: the display matrix of phone videos and the EXIF orientation of photos."""

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
from livematte.video.side_data import read_side_data


@dataclass(frozen=True)
class Orientation:
    """Transformation from stored rows and columns to an upright picture: transpose, then mirror."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def is_identity(self) -> bool:
        """True if the picture is already upright."""
        return not (self.transpose or self.mirror_x or self.mirror_y)

    @property
    def degrees(self) -> int:
        """Clockwise rotation as in players; for a mirrored picture, the rotation before mirroring."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    @property
    def mirrored(self) -> bool:
        """True if left and right are also swapped."""
        return self.transpose ^ self.mirror_x ^ self.mirror_y

    def __call__(self, plane: Array) -> Array:
        """Return ``plane``, (h, w) or (h, w, c), in upright orientation as a contiguous copy."""
        import cv2  # imported only for rotated videos

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


def read_orientation(frame: VideoFrame, path: str | Path) -> Orientation:
    """Return the orientation of ``frame`` from the EXIF tag of the file or else from its display matrix.

    A rotation that is not a multiple of 90 degrees is rounded to the nearest multiple.
    """
    exif = exif_orientation(path)
    if exif is not None:
        return _FROM_EXIF[exif]
    try:
        side_data = read_side_data(frame, Type.DISPLAYMATRIX)
    except ValueError:  # a type that PyAV does not know hides the rest, but not the angle
        return _from_rotation(-frame.rotation)
    if (matrix := side_data.get(Type.DISPLAYMATRIX)) is not None:
        return _from_matrix(np.frombuffer(matrix, np.int32).astype(float))
    return Orientation()


_EXIF_HEADER = b"Exif\0\0"


def _from_matrix(matrix: Array) -> Orientation:
    # Row vectors: x' = a x + c y, y' = b x + d y (libavutil/display.h).
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, mirror_x=bool(c < 0), mirror_y=bool(b < 0))
    return Orientation(mirror_x=bool(a < 0), mirror_y=bool(d < 0))


def _from_rotation(clockwise: int) -> Orientation:
    return _FROM_EXIF[{0: 1, 1: 6, 2: 3, 3: 8}[round(clockwise / 90) % 4]]


def exif_orientation(path: str | Path) -> int | None:
    """Return the EXIF orientation (1-8) of a JPEG, PNG, WebP or TIFF file; None if there is none.

    FFmpeg reports the rotation for some of these formats, but PyAV does not report mirroring.
    Source: EXIF 2.3, 4.6.4; PNG 3, 11.3.3.6; the EXIF chunk of the WebP container.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(12)
            if head[:4] in (b"II*\0", b"MM\0*"):
                return _read_tiff_orientation(file)
            for name, size in _chunks(file, head):
                if name in (b"\xff\xe1", b"eXIf", b"EXIF"):
                    block = file.read(size)
                    if (
                        block.startswith(_EXIF_HEADER) or name != b"\xff\xe1"
                    ):  # JPEG also stores XMP in this segment
                        return _read_tiff_orientation(io.BytesIO(block.removeprefix(_EXIF_HEADER)))
    except (OSError, struct.error):  # the end of the file
        pass
    return None


def _chunks(file: BinaryIO, head: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield name and size of each segment before a JPEG's picture, or of each chunk of a PNG or WebP.

    ``file`` is positioned at the content. Raises struct.error at the end of the file.
    """
    header_size = {b"\xff\xd8": 2, b"\x89P": 8, b"RI": 12}.get(head[:2])
    if header_size is None or (header_size == 12 and head[8:] != b"WEBP"):
        return
    file.seek(header_size)
    while True:
        if header_size == 2:
            name, size = struct.unpack(">2sH", file.read(4))
            size, after = size - 2, 0
            if name[0] != 0xFF or name == b"\xff\xda" or size < 0:
                return
        elif header_size == 8:
            size, name = struct.unpack(">I4s", file.read(8))
            after = 4  # the checksum
        else:
            name, size = struct.unpack("<4sI", file.read(8))
            after = size % 2
        ends = file.tell() + size + after
        yield name, size
        file.seek(ends)


def _read_tiff_orientation(tiff: BinaryIO) -> int | None:
    tiff.seek(0)
    order = "<" if tiff.read(2) == b"II" else ">"
    tiff.seek(4)
    tiff.seek(struct.unpack(order + "I", tiff.read(4))[0])
    for _ in range(struct.unpack(order + "H", tiff.read(2))[0]):
        tag, value = struct.unpack(order + "H6xH2x", tiff.read(12))
        if tag == 0x0112:
            return value if value in _FROM_EXIF else None
    return None
