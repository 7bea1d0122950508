"""Frames as the pictures that go out: straight-alpha BGRA, on green, or with alpha beside the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from livematte.errors import UsageError
from livematte.frame import Array, Frame
from livematte.video.color import SWS_OF_MATRIX
from livematte.video.pixels import to_video_frame, writable_planes

GREEN_BGR = (0x40, 0xB1, 0x00)
"""#00b140, the green that chroma keyers expect."""


class Bgra:
    """Frames to BGRA, in the calling thread only.

    swscale's fast path: flat colours come out within 3 of 255, and chroma is repeated, not interpolated. It
    costs 0.3 ms of one core for 720p yuva420p, where the exact path that files get costs 19 ms. Alpha is
    exact.
    """

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def __call__(self, frame: Frame) -> Array:
        """(H, W, 4) uint8 B, G, R, straight alpha; 255 where the frame has none."""
        source = _padded(frame)
        made = self._scaler.reformat(
            source,
            source.width,
            frame.height,
            "bgra",
            src_colorspace=SWS_OF_MATRIX[frame.color.matrix],
            dst_colorspace=SWS_OF_MATRIX[frame.color.matrix],
            interpolation=Interpolation.BILINEAR,
            src_color_range=2 if frame.color.full_range else 1,
            dst_color_range=2,
            threads=1,
        )
        plane = made.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)  # type: ignore[call-overload]
        picture: Array = rows[:, : 4 * frame.width].reshape(frame.height, frame.width, 4)
        picture = np.array(picture, order="C")
        if frame.pixel_format.alpha and frame.pixel_format.depth == 8:
            cv2.insertChannel(np.ascontiguousarray(frame.planes[-1]), picture, 3)  # 4:2:2's is 1 off
        return picture


def _padded(frame: Frame) -> VideoFrame:
    """A copy whose width is a multiple of 32: fast paths leave what is beyond 8 or 16 unwritten."""
    width = -(-frame.width // 32) * 32
    if width == frame.width:
        return to_video_frame(frame)
    made = VideoFrame(width, frame.height, frame.format)
    for target, plane in zip(writable_planes(made, frame.format), frame.planes, strict=True):
        target[:, : plane.shape[1]] = plane
        target[:, plane.shape[1] :] = plane[:, -1:]
    return made


def as_it_is(picture: Array) -> Array:
    """Transparency as alpha."""
    return picture


def on_green(picture: Array) -> Array:
    """Over #00b140, opaque, for a mixer with a chroma keyer: C = alpha·F + (1-alpha)·green.

    Args:
        picture: (H, W, 4) uint8 BGRA, straight.

    Returns:
        The same shape, alpha 255.
    """
    alpha = picture[..., 3:].astype(np.uint16)
    green = np.array(GREEN_BGR, np.uint16)
    out = np.full_like(picture, 255)
    out[..., :3] = (picture[..., :3] * alpha + green * (255 - alpha) + 127) // 255
    return out


def side_by_side(picture: Array) -> Array:
    """The straight picture on the left, its alpha as grey on the right: fill and key for a mixer.

    Args:
        picture: (H, W, 4) uint8 BGRA, straight.

    Returns:
        (H, 2W, 4) uint8, alpha 255.
    """
    height, width = picture.shape[:2]
    out = np.full((height, 2 * width, 4), 255, np.uint8)
    out[:, :width, :3] = picture[..., :3]
    out[:, width:, :3] = cv2.cvtColor(np.ascontiguousarray(picture[..., 3]), cv2.COLOR_GRAY2BGR)
    return out


LAYOUTS: Mapping[str, Callable[[Array], Array]] = {
    "alpha": as_it_is,
    "green": on_green,
    "side-by-side": side_by_side,
}
"""What an output can look like."""


def layout(name: str) -> Callable[[Array], Array]:
    """The layout called ``name``.

    Raises:
        UsageError: there is none.
    """
    if name not in LAYOUTS:
        raise UsageError(f"unknown layout {name!r}: allowed are {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
