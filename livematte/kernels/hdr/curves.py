"""Transfer curves of PQ, HLG and sRGB, and tables of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from livematte.frame import ColorInfo

PQ, HLG = 16, 18
"""AVColorTransferCharacteristic of SMPTE ST 2084 and of ARIB STD-B67."""

REFERENCE_WHITE = 203.0
"""cd/m² at which paper and captions lie in HDR (ITU-R BT.2408-7, 2.2)."""

HLG_PEAK, HLG_GAMMA = 1000.0, 1.2
"""cd/m² of the display that HLG levels are given for, and the gamma that it applies to the light of the scene
(BT.2100-2, table 5)."""

BT2020_FROM_709 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]], np.float32
)
"""Linear RGB of BT.709 to that of BT.2020 (ITU-R BT.2087-0, table 2)."""

BT2020_LUMINANCE = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
"""Weights of R, G and B in the luminance (ITU-R BT.2100-2, table 4)."""

STEPS = 4096
"""Length of :func:`code_table`."""


def is_hdr(color: ColorInfo) -> bool:
    """True if codes are PQ or HLG."""
    return color.transfer in (PQ, HLG)


def is_bt2020(color: ColorInfo) -> bool:
    """True if colours have the primaries of BT.2020; those of the matrix count if none are given."""
    return color.primaries == 9 or (color.primaries in (0, 2) and color.matrix == "bt2020")


@lru_cache(maxsize=1)
def light_table() -> NDArray[np.float32]:
    """Light in [0, 1] of sRGB codes 0..255 (IEC 61966-2-1)."""
    return srgb_light(np.arange(256) / 255).astype(np.float32)


def srgb_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Codes of sRGB in [0, 1] to light in [0, 1] (IEC 61966-2-1)."""
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def srgb_code(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in [0, 1] to sRGB codes in [0, 1] (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@lru_cache(maxsize=2)
def code_table(transfer: int) -> NDArray[np.float32]:
    """Codes in 0..255 of light (index · 2 / 4095)², where 1 is reference white."""
    light = np.linspace(0, 2, STEPS) ** 2
    if transfer == PQ:
        codes = pq(light * REFERENCE_WHITE)
    else:
        codes = hlg(light * (REFERENCE_WHITE / HLG_PEAK) ** (1 / HLG_GAMMA))
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
