"""Brings live frames to the output's form: size, 8-bit 4:2:0, mirrored, with or without alpha."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np

from livematte.errors import InputError
from livematte.frame import Array, ColorInfo, Frame
from livematte.kernels.boxes import Box, Placement, chroma_box, crop, place
from livematte.kernels.convert import planes_from_rgb, split_planes, to_rgb
from livematte.matting.contracts import background_frame, check_frame
from livematte.protocols import Background, LiveFormat
from livematte.video.pixel_shape import in_bars

_VIDEO = ColorInfo("bt709", matrix_tag=1, primaries=1, transfer=1, range_tag=1)


CAMERA_FITS = {"crop": "cover", "pad": "contain"}
"""Values of ``--fit-camera``, and the fit of :func:`livematte.kernels.boxes.place`."""

NOTICED = Fraction(1, 50)
"""Smallest share of a camera's picture whose loss by cropping is noted."""


class FrameNormalizer:
    """Brings a camera's frames to the output's size and format, in square pixels.

    Args:
        format: of the output.
        mirror: swap left and right.
        fit: a camera of another shape is cropped (``crop``) or shown whole (``pad``).
        note: called with a line for the user when a picture is cropped.
    """

    def __init__(
        self,
        format: LiveFormat,
        *,
        mirror: bool = False,
        fit: str = "crop",
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._size, self._mirror = (format.height, format.width), mirror
        self._fit, self._note = CAMERA_FITS[fit], note

    def __call__(self, frame: Frame) -> Frame:
        """The frame as 8-bit ``yuv420p`` or ``nv12`` of the output's size; times and colours are unchanged.

        Beside a camera's picture that is shown whole it is transparent: ``yuva420p``.

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
        placed = place(frame.size, self._size, self._fit, frame.sample_aspect, align=2)
        self._note_crop(frame, placed)
        planes = (self._fitted(frame.planes[0], placed, (0, 0), (0, 0)),)
        for plane in frame.planes[1 : 2 if layout.interleaved else 3]:
            planes += (self._fitted(plane, placed, layout.chroma, (1, 1)),)
        if layout.depth > 8:
            planes = tuple((plane >> (layout.depth - 8)).astype(np.uint8) for plane in planes)
        frame = replace(frame, sample_aspect=Fraction(1))
        made = frame.with_planes(planes, "nv12" if layout.interleaved else "yuv420p")
        return made if made.size == self._size else self._in_bars(made, placed.filled)

    def _note_crop(self, frame: Frame, placed: Placement) -> None:
        top, bottom, left, right = placed.shown
        for side, all_of_it, shown in (
            ("height", frame.height, bottom - top),
            ("width", frame.width, right - left),
        ):
            if (lost := Fraction(all_of_it - shown, all_of_it)) >= NOTICED:
                self._note(
                    f"the camera's picture of {frame.width}x{frame.height} is cropped: {round(100 * lost)} % "
                    f"of its {side} is not shown; --fit-camera pad shows it whole"
                )

    def _fitted(
        self, plane: Array, placed: Placement, chroma: tuple[int, int], target: tuple[int, int]
    ) -> Array:
        """The shown part of a plane at its size in the output; each with its subsampling."""
        cropped = crop(plane, chroma_box(placed.shown, chroma))
        top, bottom, left, right = chroma_box(placed.filled, target)
        size = bottom - top, right - left
        if cropped.shape[:2] != size:
            smaller = cropped.shape[0] >= size[0] and cropped.shape[1] >= size[1]
            method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            cropped = cv2.resize(cropped, size[::-1], interpolation=method)
        return cv2.flip(cropped, 1) if self._mirror else cropped

    def _in_bars(self, frame: Frame, box: Box) -> Frame:
        """The picture in a ``box`` of the output; around it nothing: there the background is seen."""
        planes = (*split_planes(frame), np.full(frame.size, 255, np.uint8))
        planes = in_bars(planes, "yuva420p", frame.color, box, self._size)
        return frame.with_planes(planes, "yuva420p")


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
    made = background_frame(background, empty, np.zeros(empty.size, np.float32))
    return with_opaque_alpha(made, format)
