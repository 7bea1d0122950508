"""Orientation of phone videos and photos, from the display matrix that FFmpeg gives for both."""

from __future__ import annotations

from dataclasses import dataclass

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


_ROTATIONS = (
    Orientation(),
    Orientation(transpose=True, mirror_x=True),
    Orientation(mirror_x=True, mirror_y=True),
    Orientation(transpose=True, mirror_y=True),
)
"""By quarter turns, clockwise."""


def read_orientation(frame: VideoFrame) -> Orientation:
    """Return the orientation of ``frame`` from its display matrix.

    FFmpeg also makes a display matrix from the EXIF orientation of a photo (JPEG, PNG, WebP, TIFF, AVIF).
    A rotation that is not a multiple of 90 degrees is rounded to the nearest multiple.
    """
    try:
        side_data = read_side_data(frame, Type.DISPLAYMATRIX)
    except ValueError:  # a type that PyAV does not know hides the rest, but not the angle
        return _ROTATIONS[round(-frame.rotation / 90) % 4]
    if (matrix := side_data.get(Type.DISPLAYMATRIX)) is not None:
        return _from_matrix(np.frombuffer(matrix, np.int32).astype(float))
    return Orientation()


def _from_matrix(matrix: Array) -> Orientation:
    # Row vectors: x' = a x + c y, y' = b x + d y (libavutil/display.h).
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, mirror_x=bool(c < 0), mirror_y=bool(b < 0))
    return Orientation(mirror_x=bool(a < 0), mirror_y=bool(d < 0))
