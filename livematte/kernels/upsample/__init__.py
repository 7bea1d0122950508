"""Alpha from the network's size to the frame's: guided by luma so that edges match the picture."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.upsample import cpu

__all__ = ["guided_coefficients", "upsample_alpha", "upsample_crop"]

guided_coefficients = dispatch(cpu.guided_coefficients)
upsample_alpha = dispatch(cpu.upsample_alpha)
upsample_crop = dispatch(cpu.upsample_crop)
