"""Fast :mod:`livematte.kernels.foreground` on the CPU."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import numpy as np

from livematte.frame import Array
from livematte.kernels._shared.memory import as_float32
from livematte.kernels.kinds.cpu import soft_cells


@lru_cache(maxsize=1)
def _loops() -> ModuleType:
    from livematte.kernels.foreground import loops  # Numba takes half a second

    return loops


def estimate_colors(
    planes: Array, alpha: Array, radii: tuple[int, int], foreground: Array | None = None
) -> tuple[Array, Array]:
    """Smooth foreground and background colours by blur-fusion (Forte 2021, eq. 4-7), two passes."""
    planes, alpha = as_float32(planes), as_float32(alpha)
    loops = _loops()
    h, w = alpha.shape
    F, B = planes, planes
    for number, radius in enumerate(radii):
        first = number == 0
        products = np.empty((h, 7 * (w + 2 * radius)), np.float32)
        loops.weighted_colors(F, B, alpha, radius, products)
        F, B = planes.copy(), planes.copy()
        soft = soft_cells(alpha, 0.0, 2 + radii[1] if first else 2)
        loops.blur_fusion(products, planes, alpha, radius, soft, first, F, B)
    return (F if foreground is None else as_float32(foreground)), B


def solve_background(codes: Array, foreground: Array, alpha: Array, maximum: int) -> Array:
    """The background that makes the compositing equation true, (3, h, w) float32, clipped to codes."""
    out = np.empty(codes.shape, np.float32)
    whole, front, a = (as_float32(x) for x in (codes, foreground, alpha))
    _loops().solve_background(whole, front, a, maximum, out)
    return out
