"""Brings live frames to the output's form: size, 8-bit 4:2:0, mirrored, with or without alpha."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np

from livematte.errors import InputError
from livematte.frame import Array, ColorInfo, Frame
from livematte.kernels.convert import planes_from_rgb, split_planes, to_rgb
from livematte.matting.contracts import check_background_frame, check_frame
from livematte.protocols import Background, LiveFormat

_VIDEO = ColorInfo("bt709", matrix_tag=1, primaries=1, transfer=1, range_tag=1)


class FrameNormalizer:
    """Brings a camera's frames to the output's size and format: scaled to fill it and cropped, as ``--fit
    cover``.

    Args:
        format: of the output.
        mirror: swap left and right.
    """

    def __init__(self, format: LiveFormat, *, mirror: bool = False) -> None:
        self._height, self._width, self._mirror = format.height, format.width, mirror

    def __call__(self, frame: Frame) -> Frame:
        """The frame as opaque 8-bit ``yuv420p`` or ``nv12`` of the output's size; times and colours are
        unchanged.

        Raises:
            InputError: the planes do not match the frame's format.
        """
        check_frame(frame, "the camera sent")
        if min(frame.size) < 2:
            raise InputError(f"the camera sent a damaged picture: {frame.width}x{frame.height} pixels")
        if frame.pixel_format.rgb:
            color = replace(_VIDEO, primaries=frame.color.primaries, transfer=frame.color.transfer)
            planes = planes_from_rgb(to_rgb(frame), "yuv420p", color)
            frame = replace(frame, planes=planes, format="yuv420p", color=color)
        layout = frame.pixel_format
        box = self._box(*frame.size)
        half = (self._height // 2, self._width // 2)
        planes = (self._fitted(frame.planes[0], box, (0, 0), (self._height, self._width)),)
        for plane in frame.planes[1 : 2 if layout.interleaved else 3]:
            planes += (self._fitted(plane, box, layout.chroma, half),)
        if layout.depth > 8:
            planes = tuple((plane >> (layout.depth - 8)).astype(np.uint8) for plane in planes)
        return frame.with_planes(planes, "nv12" if layout.interleaved else "yuv420p")

    def _box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, bottom, left, right of the visible part; even, so that chroma is cropped at the same place."""
        scale = max(Fraction(self._height, height), Fraction(self._width, width))
        rows, columns = min(height, round(self._height / scale)), min(width, round(self._width / scale))
        top, left = (height - rows) // 4 * 2, (width - columns) // 4 * 2
        return top, top + rows, left, left + columns

    def _fitted(
        self, plane: Array, box: tuple[int, int, int, int], chroma: tuple[int, int], size: tuple[int, int]
    ) -> Array:
        v, h = chroma
        top, bottom, left, right = box
        cropped = plane[top >> v : -(-bottom >> v), left >> h : -(-right >> h)]
        if cropped.shape[:2] != size:
            smaller = cropped.shape[0] >= size[0] and cropped.shape[1] >= size[1]
            method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            cropped = cv2.resize(cropped, size[::-1], interpolation=method)
        return cv2.flip(cropped, 1) if self._mirror else cropped


def with_opaque_alpha(picture: Frame, format: LiveFormat) -> Frame:
    """``picture`` with an opaque alpha plane if the output has alpha and the picture has none."""
    if not format.alpha or picture.pixel_format.alpha:
        return picture
    planes = (*split_planes(picture), np.full(picture.size, 255, np.uint8))
    return picture.with_planes(planes, "yuva420p")


def empty_frame(format: LiveFormat) -> Frame:
    """A black frame of the output's size, in which there is nobody."""
    luma = np.full((format.height, format.width), 16, np.uint8)
    chroma = np.full((format.height // 2, format.width // 2), 128, np.uint8)
    return Frame((luma, chroma, chroma), "yuv420p", 0, 1 / format.rate, 1, _VIDEO)


def render_placeholder(background: Background, format: LiveFormat) -> Frame:
    """The frame that replaces the camera's: ``background`` without a person. No camera frame is used for it.

    With a transparent background it is fully transparent.
    """
    empty = empty_frame(format)
    if background.transparent:
        alpha = np.zeros(empty.size, np.uint8)
        return empty.with_planes((*empty.planes, alpha), "yuva420p")
    made = background(empty, np.zeros(empty.size, np.float32))
    return with_opaque_alpha(check_background_frame(background, made, empty), format)
