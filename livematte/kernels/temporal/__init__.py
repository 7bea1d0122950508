"""Alpha blended over time."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.temporal import cpu

__all__ = ["blend_refined", "blend_weight"]

blend_weight = dispatch(cpu.blend_weight)
blend_refined = dispatch(cpu.blend_refined)
