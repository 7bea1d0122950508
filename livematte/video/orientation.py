"""Which way up: the display matrix of phones' videos and the EXIF orientation of photographs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from livematte.frame import Array


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
    """How ``frame`` is to be turned, from its display matrix, or for a JPEG from its EXIF tag.

    A matrix that turns by anything but a quarter is rounded to the nearest quarter.
    """
    exif = exif_orientation(path)
    if exif is not None:
        return _FROM_EXIF[exif]
    try:
        sides: list[Any] = [frame.side_data[index] for index in range(len(frame.side_data))]  # type: ignore[literal-required]
    except ValueError:  # side data that PyAV has no name for hides the rest; the angle is still told
        return _turned(-frame.rotation)
    for side in sides:
        if side.type is Type.DISPLAYMATRIX:
            return _from_matrix(np.frombuffer(side, np.int32).astype(float))
    return Orientation()


def _from_matrix(matrix: Array) -> Orientation:
    # Row vectors: x' = a x + c y, y' = b x + d y (libavutil/display.h).
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, mirror_x=bool(c < 0), mirror_y=bool(b < 0))
    return Orientation(mirror_x=bool(a < 0), mirror_y=bool(d < 0))


def _turned(clockwise: int) -> Orientation:
    return _FROM_EXIF[{0: 1, 1: 6, 2: 3, 3: 8}[round(clockwise / 90) % 4]]


def exif_orientation(path: str | Path) -> int | None:
    """The EXIF orientation (1-8) of a JPEG, None for other files or where none is set (EXIF 2.3, 4.6.4)."""
    try:
        with open(path, "rb") as file:
            if file.read(2) != b"\xff\xd8":
                return None
            while (marker := file.read(4)) and len(marker) == 4 and marker[0] == 0xFF:
                size = struct.unpack(">H", marker[2:])[0] - 2
                if marker[1] == 0xE1:
                    payload = file.read(size)
                    if payload[:6] == b"Exif\0\0":
                        return _orientation_entry(payload[6:])
                elif marker[1] == 0xDA or size < 0:
                    return None
                else:
                    file.seek(size, 1)
    except (OSError, struct.error):
        pass
    return None


def _orientation_entry(tiff: bytes) -> int | None:
    order = "<" if tiff[:2] == b"II" else ">"
    start = struct.unpack_from(order + "I", tiff, 4)[0]
    for index in range(struct.unpack_from(order + "H", tiff, start)[0]):
        entry = start + 2 + 12 * index
        if struct.unpack_from(order + "H", tiff, entry)[0] == 0x0112:
            value = int(struct.unpack_from(order + "H", tiff, entry + 8)[0])
            return value if value in _FROM_EXIF else None
    return None
