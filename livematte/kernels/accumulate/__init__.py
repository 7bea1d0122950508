"""Weighted sums of overlapping crops, from which a map of the whole picture is made."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.accumulate import cpu

__all__ = ["add_weighted"]

add_weighted = dispatch(cpu.add_weighted)
