"""The compositing equation, on one plane or a whole frame, with or without estimated foreground colours."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.composite import cpu
from livematte.kernels.composite.planewise import Colors

__all__ = [
    "Colors",
    "composite",
    "fuse_plane",
    "guided_composite",
    "masked_plane",
    "mix_plane",
    "straight_plane",
]

mix_plane = dispatch(cpu.mix_plane)
fuse_plane = dispatch(cpu.fuse_plane)
straight_plane = dispatch(cpu.straight_plane)
masked_plane = dispatch(cpu.masked_plane)
composite = dispatch(cpu.composite)
guided_composite = dispatch(cpu.guided_composite)
