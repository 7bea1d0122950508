"""Fast :mod:`livematte.kernels.hdr` on the CPU, by OpenCV and tables."""

from __future__ import annotations

import cv2
import numpy as np

from livematte.frame import Array, ColorInfo
from livematte.kernels.hdr.curves import (
    BT2020_FROM_709,
    BT2020_LUMINANCE,
    HLG,
    HLG_GAMMA,
    STEPS,
    code_table,
    is_bt2020,
    light_table,
)


def sdr_to_hdr(rgb: Array, color: ColorInfo) -> Array:
    """An ordinary picture as codes of PQ or HLG: its white at 203 cd/m², not at the code's full value."""
    light: Array = cv2.LUT(rgb.reshape(1, -1, 3), light_table())
    if is_bt2020(color):
        light = cv2.transform(light, BT2020_FROM_709)
    if color.transfer == HLG:
        # The display's own gamma is removed (BT.2100-2, table 5, inverse OOTF).
        luminance = cv2.transform(light, BT2020_LUMINANCE).reshape(1, -1, 1)
        light = light * np.maximum(luminance, np.float32(1e-6)) ** np.float32(1 / HLG_GAMMA - 1)
    # Through a table over the root of light, which is fine near black as the eye is.
    index = cv2.sqrt(light) * np.float32((STEPS - 1) / 2) + np.float32(0.5)
    return np.take(code_table(color.transfer), index.astype(np.int64), mode="clip").reshape(rgb.shape)
