"""How bright codes are: where an ordinary picture's colours lie among those of HDR video."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.frame import Array, ColorInfo

PQ, HLG = 16, 18
"""AVColorTransferCharacteristic of SMPTE ST 2084 and of ARIB STD-B67."""

REFERENCE_WHITE = 203.0
"""cd/m² at which paper and captions lie in HDR (ITU-R BT.2408-7, 2.2)."""

_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2
"""cd/m² of the display that HLG levels are told for, and what it adds to the light of the scene (BT.2100-2,
table 5)."""

_FROM_709 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]],
                     np.float32)  # fmt: skip
"""Linear RGB of BT.709 to that of BT.2020 (ITU-R BT.2087-0, table 2)."""

_LUMINANCE = np.array([[0.2627, 0.6780, 0.0593]], np.float32)

_STEPS = 4096


def is_hdr(color: ColorInfo) -> bool:
    """Codes are PQ or HLG."""
    return color.transfer in (PQ, HLG)


def among_hdr(rgb: Array, color: ColorInfo) -> Array:
    """An ordinary picture as codes of PQ or HLG: its white at 203 cd/m², not at the code's full value.

    Args:
        rgb: (..., 3) uint8 sRGB.
        color: of the frames it is put among; with PQ or HLG.

    Returns:
        (..., 3) float32 R'G'B' in 0..255, of BT.2020 where ``color`` is.
    """
    light: Array = cv2.LUT(rgb.reshape(1, -1, 3), _linear())
    if color.primaries == 9 or (color.primaries in (0, 2) and color.matrix == "bt2020"):
        light = cv2.transform(light, _FROM_709)
    if color.transfer == HLG:
        # The display's own gamma is taken off (BT.2100-2, table 5, inverse OOTF).
        luminance = cv2.transform(light, _LUMINANCE).reshape(1, -1, 1)
        light = light * np.maximum(luminance, np.float32(1e-6)) ** np.float32(1 / _HLG_GAMMA - 1)
    # Through a table over the root of light, which is fine near black as the eye is.
    index = cv2.sqrt(light) * np.float32((_STEPS - 1) / 2) + np.float32(0.5)
    return np.take(_codes(color.transfer), index.astype(np.int64), mode="clip").reshape(rgb.shape)


@lru_cache(maxsize=1)
def _linear() -> NDArray[np.float32]:
    """Light in [0, 1] of sRGB codes 0..255 (IEC 61966-2-1)."""
    code = np.arange(256) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


@lru_cache(maxsize=2)
def _codes(transfer: int) -> NDArray[np.float32]:
    """Codes in 0..255 of light (index · 2 / 4095)², where 1 is reference white."""
    light = np.linspace(0, 2, _STEPS) ** 2
    if transfer == PQ:
        codes = pq(light * REFERENCE_WHITE)
    else:
        codes = hlg(light * (REFERENCE_WHITE / _HLG_PEAK) ** (1 / _HLG_GAMMA))
    return (np.clip(codes, 0, 1) * 255).astype(np.float32)


def pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Display light in cd/m² to PQ codes in [0, 1] (BT.2100-2, table 4, inverse EOTF)."""
    y = np.power(light / 10000, 2610 / 16384)
    return np.power((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y), 2523 / 32)


def hlg(scene: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scene light in [0, 1] to HLG codes in [0, 1] (BT.2100-2, table 5, OETF)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    bright = a * np.log(np.maximum(12 * scene, 1) - b) + c
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)
