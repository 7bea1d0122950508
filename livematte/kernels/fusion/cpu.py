"""Fast :mod:`livematte.kernels.fusion` on the CPU, in one pass over the pixels."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np

from livematte.frame import Array
from livematte.kernels.fusion.reference import ALPHA_RATIO, COLOR_RATIO


@lru_cache(maxsize=1)
def _loops() -> ModuleType:
    from livematte.kernels.fusion import loops  # Numba takes half a second

    return loops


def fuse_layers(
    rgb: Array,
    foreground: Array,
    background: Array,
    alpha: Array,
    iterations: int = 1,
    foreground_ratio: float = COLOR_RATIO,
    background_ratio: float = COLOR_RATIO,
    alpha_ratio: float = ALPHA_RATIO,
) -> tuple[Array, Array, Array]:
    """Update F, B and alpha together so that they explain the picture; new arrays."""
    C = np.ascontiguousarray(rgb, np.uint8).reshape(-1, 3)
    F, B = (np.ascontiguousarray(x, np.float32).reshape(-1, 3) for x in (foreground, background))
    a = np.ascontiguousarray(alpha, np.float32).reshape(-1)
    ratios = np.array([foreground_ratio, background_ratio, alpha_ratio], np.float32)
    colors, fused = np.empty((2, *C.shape), np.float32), np.empty(a.shape, np.float32)
    _loops().fuse(C, F, B, a, ratios, iterations, colors, fused)
    return colors[0].reshape(rgb.shape), colors[1].reshape(rgb.shape), fused.reshape(alpha.shape)
