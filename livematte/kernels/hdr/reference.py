"""Definition of :mod:`livematte.kernels.hdr`, in NumPy."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array, ColorInfo
from livematte.kernels.hdr.curves import (
    BT2020_FROM_709,
    BT2020_LUMINANCE,
    HLG,
    HLG_GAMMA,
    HLG_PEAK,
    REFERENCE_WHITE,
    hlg,
    is_bt2020,
    light_table,
    pq,
)


def sdr_to_hdr(rgb: Array, color: ColorInfo) -> Array:
    """An ordinary picture as codes of PQ or HLG: its white at 203 cd/m², not at the code's full value.

    Args:
        rgb: (..., 3) uint8 sRGB.
        color: of the frames it is put among; with PQ or HLG.

    Returns:
        (..., 3) float32 R'G'B' in 0..255, of BT.2020 if ``color`` is.
    """
    light = light_table().astype(np.float64)[rgb]
    if is_bt2020(color):
        light = light @ BT2020_FROM_709.T.astype(np.float64)
    if color.transfer == HLG:
        # The display's own gamma is removed (BT.2100-2, table 5, inverse OOTF).
        luminance = light @ BT2020_LUMINANCE.T.astype(np.float64)
        light = light * np.maximum(luminance, 1e-6) ** (1 / HLG_GAMMA - 1)
        codes = hlg(light * (REFERENCE_WHITE / HLG_PEAK) ** (1 / HLG_GAMMA))
    else:
        codes = pq(light * REFERENCE_WHITE)
    return (np.clip(codes, 0, 1) * 255).astype(np.float32)
