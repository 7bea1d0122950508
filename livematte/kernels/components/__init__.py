"""Removal of small connected components of a matte, which are no people."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.components import cpu

__all__ = ["remove_small_components"]

remove_small_components = dispatch(cpu.remove_small_components)
