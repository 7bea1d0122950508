"""NumPy arrays as compiled loops take them: float32, contiguous, and of one type whether writable or not."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array


def as_float32(x: Array) -> Array:
    """``x`` as a C-contiguous, writable float32 array; itself if it is one."""
    return np.require(x, np.float32, ["C", "W"])


class _Memory:
    """A flat view of a plane, marked as writable: for read-only arrays Numba compiles another variant."""

    def __init__(self, plane: Array, length: int) -> None:
        self._plane = plane
        self.__array_interface__ = {
            "version": 3,
            "shape": (length,),
            "typestr": plane.dtype.str,
            "data": (plane.__array_interface__["data"][0], False),
        }


def flatten_plane(plane: Array) -> tuple[Array, int]:
    """Return a plane as a 1-D contiguous array, which must not be written to, and its row stride in samples.

    The plane is copied only if the samples of a row are not contiguous, or if its row stride is negative.
    """
    height, width = plane.shape
    stride, rest = divmod(plane.strides[0], plane.itemsize)
    if plane.strides[1] != plane.itemsize or stride < width or rest:
        plane, stride = np.array(plane, order="C"), width
    return np.asarray(_Memory(plane, (height - 1) * stride + width)), stride
