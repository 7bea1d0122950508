"""Matrices between RGB and the codes of planes, for every pixel format and colour description."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from livematte.errors import InputError
from livematte.frame import ColorInfo, PixelFormat

_KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""Luma weights of red and blue (ITU-R BT.601, BT.709, BT.2020)."""


def _full_range_yuv(matrix: str) -> NDArray[np.float64]:
    """(3, 3): R, G, B in [0, 1] to Y in [0, 1] and U, V in [-0.5, 0.5]."""
    if matrix not in _KR_KB:
        raise InputError(f"a YUV picture cannot have the matrix {matrix!r}: known are {', '.join(_KR_KB)}")
    kr, kb = _KR_KB[matrix]
    luma = np.array([kr, 1 - kr - kb, kb])
    return np.stack(
        [luma, (np.array([0, 0, 1]) - luma) / (2 * (1 - kb)), (np.array([1, 0, 0]) - luma) / (2 * (1 - kr))]
    )


@lru_cache(maxsize=64)
def planes_from_rgb_matrix(color: ColorInfo, pixel_format: PixelFormat) -> NDArray[np.float64]:
    """(3, 4) matrix: R, G, B in 0..255 and 1, to the codes of the first three planes.

    RGB formats are full range whatever ``color`` says, as FFmpeg has them. Limited range is 16..235 and
    16..240 at 8 bits, shifted left for deeper formats (ITU-R BT.709, table 1).

    Raises:
        InputError: a YUV format with a matrix that is none.
    """
    maximum = pixel_format.maximum
    if pixel_format.rgb:
        matrix = np.zeros((3, 4))
        matrix[[0, 1, 2], [1, 2, 0]] = maximum / 255
        return matrix
    shift = 1 << (pixel_format.depth - 8)
    if color.full_range:
        luma, chroma, low = float(maximum), float(maximum), 0.0
    else:
        luma, chroma, low = 219.0 * shift, 224.0 * shift, 16.0 * shift
    scale = np.array([luma, chroma, chroma])[:, None]
    offset = np.array([low, 128.0 * shift, 128.0 * shift])[:, None]
    return np.hstack([scale * _full_range_yuv(color.matrix) / 255, offset])


@lru_cache(maxsize=64)
def rgb_from_planes_matrix(color: ColorInfo, pixel_format: PixelFormat) -> NDArray[np.float64]:
    """(3, 4) matrix: codes of the first three planes and 1, to R, G, B in 0..255; see the inverse."""
    forward = planes_from_rgb_matrix(color, pixel_format)
    inverse = np.linalg.inv(forward[:, :3])
    return np.hstack([inverse, -inverse @ forward[:, 3:]])


def encode_color(
    rgb: tuple[int, int, int], color: ColorInfo, pixel_format: PixelFormat
) -> tuple[int, int, int]:
    """Codes of one colour (R, G, B in 0..255) in the first three planes."""
    codes = planes_from_rgb_matrix(color, pixel_format) @ np.array([*rgb, 1.0])
    a, b, c = (int(v) for v in np.clip(np.rint(codes), 0, pixel_format.maximum))
    return a, b, c
