"""Frames and alphas for kernel tests, random but the same every time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame
from livematte.kernels.resize.reference import resize

COLORS = tuple(
    ColorInfo(matrix=matrix, full_range=full)
    for matrix in ("bt601", "bt709", "bt2020")
    for full in (False, True)
)
SOURCE_FORMATS = tuple(name for name, layout in PIXEL_FORMATS.items() if not layout.gray)


def random_frame(format: str, height: int, width: int, *, seed: int = 0, padding: int = 0) -> Frame:
    """A frame of smooth noise; ``padding`` samples lie between its rows."""
    rng = np.random.default_rng(seed)
    layout = PIXEL_FORMATS[format]
    dtype = np.uint8 if layout.depth == 8 else np.uint16

    def plane(h: int, w: int) -> Array:
        coarse = rng.uniform(0, layout.maximum, (h // 5 + 2, w // 5 + 2))
        fine = resize(coarse.astype(np.float32), h, w) + rng.normal(0, layout.maximum / 60, (h, w))
        memory = np.full((h, w + padding), layout.maximum, dtype)
        memory[:, :w] = np.clip(np.rint(fine), 0, layout.maximum)
        return memory[:, :w]

    chroma = layout.chroma_size(height, width)
    planes = [plane(height, width), plane(*chroma), plane(*chroma)]
    if layout.interleaved:
        planes = [planes[0], np.stack(planes[1:], -1)]
    if layout.alpha:
        planes.append(plane(height, width))
    color = ColorInfo(matrix="rgb", full_range=True) if layout.rgb else ColorInfo()
    return Frame(tuple(planes), format, 3, Fraction(1, 30), color=color)


def disc(height: int, width: int, *, softness: float = 0.15, radius: float = 0.3) -> Array:
    """(height, width) float32 alpha: 1 inside a disc, 0 outside, a soft ring between."""
    y = (np.arange(height) + 0.5) / height - 0.5
    x = (np.arange(width) + 0.5) / width - 0.5
    distance = np.hypot(y[:, None], x[None, :])
    return np.clip((radius - distance) / softness + 0.5, 0, 1).astype(np.float32)
