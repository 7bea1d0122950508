""":mod:`livematte.kernels.kinds` on NVIDIA GPUs."""

from __future__ import annotations

import numpy as np

from livematte.device.cuda import contiguous, empty
from livematte.device.launch import launch_patches, launch_samples, plane_arguments
from livematte.frame import Array
from livematte.kernels._shared.sources import cuda_source
from livematte.kernels.kinds.reference import TILE

SOURCE = cuda_source("kinds/block.cu", "kinds/kinds.cu")


def soft_cells(alpha: Array, snap: float, radius: int) -> Array:
    """CLEAR, SOLID or SOFT for each cell and those within ``radius`` of it."""
    kinds = empty(alpha.shape, np.uint8)
    launch_samples(
        SOURCE, "soft_cells", alpha.shape, contiguous(alpha, np.float32), float(snap), radius, kinds
    )
    return kinds


def empty_tile_kinds(height: int, width: int) -> Array:
    """Room for the kinds of all tiles of a (height, width) alpha."""
    return empty((-(-height // TILE), -(-width // TILE)), np.uint8)


def tile_kinds(alpha: Array, maximum: int) -> Array:
    """CLEAR, SOLID or SOFT for every tile of a full-size alpha."""
    kinds = empty_tile_kinds(*alpha.shape)
    given = (*plane_arguments(alpha), maximum, kinds)
    launch_patches(SOURCE, "tile_kinds", alpha.shape, *given, sample=alpha.dtype.name)
    return kinds
