"""Make alpha, foreground and background that were predicted apart explain the picture together.

Forte & Pitié 2020, sec. 3.4: the maximum-likelihood estimate under Gaussian errors, eq. 4 to 6. Any model
that gives alpha, F and B can use it.
"""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.fusion import cpu

__all__ = ["fuse_layers"]

fuse_layers = dispatch(cpu.fuse_layers)
