"""A blurred background from the frame itself: Gaussian means over background pixels only."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.blur import cpu

__all__ = ["blur_background"]

blur_background = dispatch(cpu.blur_background)
