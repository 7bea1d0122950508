"""Colours of the person and of the old background, behind soft edges."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.foreground import cpu

__all__ = ["estimate_colors", "solve_background"]

estimate_colors = dispatch(cpu.estimate_colors)
solve_background = dispatch(cpu.solve_background)
