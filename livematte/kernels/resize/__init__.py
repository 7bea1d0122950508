"""One plane at another size, whole or a box of it."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.resize import cpu

__all__ = ["area_crop", "block_mean", "enlarge_crop", "linear_crop", "resize"]

resize = dispatch(cpu.resize)
block_mean = dispatch(cpu.block_mean)
area_crop = dispatch(cpu.area_crop)
linear_crop = dispatch(cpu.linear_crop)
enlarge_crop = dispatch(cpu.enlarge_crop)
