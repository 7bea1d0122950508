"""Classification of alpha as clear (all 0), solid (all 1) or soft: only soft parts have to be computed.

A small alpha is classified by cells, a full-size one by tiles.
"""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.kinds import cpu
from livematte.kernels.kinds.reference import CLEAR, SOFT, SOLID, TILE

__all__ = ["CLEAR", "SOFT", "SOLID", "TILE", "soft_cells", "tile_kinds"]

soft_cells = dispatch(cpu.soft_cells)
tile_kinds = dispatch(cpu.tile_kinds)
