"""Convert frames to the bytes of a virtual camera: I420 or NV12, BT.601, limited range."""

from __future__ import annotations

import cv2
import numpy as np

from livematte.frame import Array, ColorInfo, Frame
from livematte.video.pixels import Converter, to_video_frame, view_planes

WEBCAM_COLOR = ColorInfo("bt601", False, matrix_tag=6, range_tag=1)
"""Colour that programs assume for an untagged camera (V4L2_COLORSPACE_SRGB: BT.601, limited range)."""

_KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""Kr and Kb of BT.601, BT.709 and BT.2020 (ITU-R BT.601-7 2.5.1, BT.709-6 3.2, BT.2020-2 table 4)."""


class Packer:
    """Packs frames into one array, which is reused for each frame.

    Args:
        height, width: size of the camera, both even.
        interleaved: True for NV12, False for I420.

    Attributes:
        notes: one line for each kind of slow conversion.
    """

    def __init__(self, height: int, width: int, *, interleaved: bool) -> None:
        self.notes: list[str] = []
        self._size, self._interleaved = (height, width), interleaved
        self._bytes: Array = np.zeros(height * width * 3 // 2, np.uint8)
        self._planes: tuple[Array, ...] | None = None
        self._converter = Converter()
        self._luma = self._bytes[: height * width].reshape(height, width)
        chroma = self._bytes[height * width :]
        quarter = (height // 2, width // 2)
        if interleaved:
            pairs = chroma.reshape(*quarter, 2)
            self._blue, self._red = pairs[..., 0], pairs[..., 1]
        else:
            self._blue = chroma[: chroma.size // 2].reshape(quarter)
            self._red = chroma[chroma.size // 2 :].reshape(quarter)

    def __call__(self, frame: Frame) -> Array:
        """Return (height * width * 3 / 2,) uint8.

        The array belongs to the packer; the next call overwrites it.
        """
        if self._planes is frame.planes:  # a repeated frame
            return self._bytes
        if frame.size != self._size or frame.format not in ("yuv420p", "nv12"):
            frame = self._convert(frame)
        luma, blue, red = split(frame)
        if (frame.color.matrix, frame.color.full_range) == (WEBCAM_COLOR.matrix, WEBCAM_COLOR.full_range):
            self._luma[:], self._blue[:], self._red[:] = luma, blue, red
        else:
            recoloured = recolour(luma, blue, red, frame.color)
            self._luma[:], self._blue[:], self._red[:] = recoloured
        self._planes = frame.planes
        return self._bytes

    def _convert(self, frame: Frame) -> Frame:
        note = f"frames of {frame.width}x{frame.height} {frame.format} are converted, which is slow"
        if note not in self.notes:
            self.notes.append(note)
        converted = self._converter(
            to_video_frame(frame, drop_alpha=True), "yuv420p", frame.color, WEBCAM_COLOR, self._size
        )
        return Frame(
            view_planes(converted, "yuv420p"), "yuv420p", frame.pts, frame.time_base, color=WEBCAM_COLOR
        )


def split(frame: Frame) -> tuple[Array, Array, Array]:
    """Return Y, Cb and Cr of a 4:2:0 frame as views."""
    if frame.format == "nv12":
        return frame.planes[0], frame.planes[1][..., 0], frame.planes[1][..., 1]
    return frame.planes[0], frame.planes[1], frame.planes[2]


def recolour(luma: Array, blue: Array, red: Array, color: ColorInfo) -> tuple[Array, Array, Array]:
    """Convert 4:2:0 planes of another matrix or range to BT.601 limited, with an error of at most one level.

    The contribution of chroma to luma is computed at the size of chroma. At 720p this takes a tenth of the
    time of swscale.

    Args:
        luma: (h, w) uint8.
        blue, red: (h / 2, w / 2) uint8.
    """
    gain = _conversion_matrix(color)
    black = 0.0 if color.full_range else 16.0
    blue, red = np.ascontiguousarray(blue), np.ascontiguousarray(red)
    # Luma: a lookup table, plus the contribution of chroma as bytes with the zero at 128.
    table = np.clip(np.rint(16 + gain[0, 0] * (np.arange(256) - black)), 0, 255).astype(np.uint8)
    scaled = cv2.LUT(luma, table) if color.full_range else luma
    added = cv2.addWeighted(
        blue, gain[0, 1], red, gain[0, 2], 128 - 128 * (gain[0, 1] + gain[0, 2])
    )  # fmt: skip
    if gain[0, 1] or gain[0, 2]:
        large = cv2.resize(added, (luma.shape[1], luma.shape[0]), interpolation=cv2.INTER_NEAREST)
        scaled = cv2.addWeighted(scaled, 1, large, 1, -128)
    new_blue = cv2.addWeighted(blue, gain[1, 1], red, gain[1, 2], 128 - 128 * (gain[1, 1] + gain[1, 2]))
    new_red = cv2.addWeighted(blue, gain[2, 1], red, gain[2, 2], 128 - 128 * (gain[2, 1] + gain[2, 2]))
    return scaled, new_blue, new_red


def _conversion_matrix(color: ColorInfo) -> Array:
    """Return the (3, 3) float64 matrix from Y - black, Cb - 128, Cr - 128 of ``color`` to BT.601."""
    luma, chroma = (255.0, 255.0) if color.full_range else (219.0, 224.0)
    source = _ycbcr_matrix(color.matrix) / np.array([[1 / luma], [1 / chroma], [1 / chroma]])
    target = _ycbcr_matrix(WEBCAM_COLOR.matrix) * np.array([[219.0], [224.0], [224.0]])
    gain: Array = target @ np.linalg.inv(source)
    gain[np.abs(gain) < 1e-9] = 0
    return gain


def _ycbcr_matrix(matrix: str) -> Array:
    """Return the (3, 3) matrix from R, G, B in [0, 1] to Y in [0, 1] and Cb, Cr in [-0.5, 0.5]."""
    red, blue = _KR_KB[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack([
        luma,
        (np.array([0, 0, 1.0]) - luma) / (2 * (1 - blue)),
        (np.array([1.0, 0, 0]) - luma) / (2 * (1 - red)),
    ])  # fmt: skip
