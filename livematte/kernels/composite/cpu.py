"""Fast :mod:`livematte.kernels.composite` on the CPU."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import cv2
import numpy as np

from livematte.frame import Array, Frame
from livematte.kernels._shared import grid
from livematte.kernels._shared.memory import flatten_plane
from livematte.kernels.composite.planewise import Colors, PlaneKernels, composite_planewise
from livematte.kernels.convert.cpu import join_planes, split_planes
from livematte.kernels.resize.cpu import block_mean
from livematte.kernels.upsample.cpu import upsample_alpha


@lru_cache(maxsize=1)
def _loops() -> ModuleType:
    from livematte.kernels.composite import loops  # Numba takes half a second

    return loops


def mix_plane(
    plane: Array, background: Array, alpha: Array, kinds: Array, chroma: tuple[int, int], maximum: int
) -> Array:
    """αI + (1-α)·background on one plane: the picture itself is the foreground."""
    out = np.empty(plane.shape, plane.dtype)
    flat, stride = flatten_plane(plane)
    behind, behind_stride = flatten_plane(background)
    _loops().mix_plane(
        flat, stride, behind, behind_stride, alpha.reshape(-1), alpha.shape, kinds, chroma, maximum,
        out.reshape(-1), out.shape,
    )  # fmt: skip
    return out


def fuse_plane(
    plane: Array,
    background: Array,
    alpha: Array,
    kinds: Array,
    F_hat: Array,
    B_hat: Array,
    chroma: tuple[int, int],
    maximum: int,
) -> Array:
    """:func:`mix_plane` with the foreground freed of the old background: αF + (1-α)·background."""
    behind, stride = flatten_plane(background)
    return _fused(plane, behind, stride, alpha, kinds, F_hat, B_hat, chroma, maximum, straight=False)


def straight_plane(
    plane: Array,
    black: int,
    alpha: Array,
    kinds: Array,
    F_hat: Array,
    B_hat: Array,
    chroma: tuple[int, int],
    maximum: int,
) -> Array:
    """The straight foreground F of :func:`fuse_plane`, and the code ``black`` where alpha is 0."""
    row = np.full(plane.shape[1], black, plane.dtype)  # stride 0: every row behind is this one
    return _fused(plane, row, 0, alpha, kinds, F_hat, B_hat, chroma, maximum, straight=True)


def _fused(
    plane: Array,
    behind: Array,
    behind_stride: int,
    alpha: Array,
    kinds: Array,
    F_hat: Array,
    B_hat: Array,
    chroma: tuple[int, int],
    maximum: int,
    *,
    straight: bool,
) -> Array:
    height, width = plane.shape
    h, w = F_hat.shape
    out = np.empty((height, width), plane.dtype)
    flat, stride = flatten_plane(plane)
    _loops().fuse_plane(
        flat, stride, behind, behind_stride, alpha.reshape(-1), alpha.shape, kinds,
        np.ascontiguousarray(F_hat), np.ascontiguousarray(B_hat),
        grid.linear_table(h, height), grid.linear_table(w, width), chroma, maximum, straight,
        out.reshape(-1), out.shape,
    )  # fmt: skip
    return out


def masked_plane(plane: Array, black: int, alpha: Array, kinds: Array, chroma: tuple[int, int]) -> Array:
    """The plane itself, and the code ``black`` where alpha is 0."""
    out = np.full(plane.shape, black, plane.dtype)
    covered = alpha.astype(np.float32) if chroma == (0, 0) else block_mean(alpha, chroma)
    return np.asarray(cv2.copyTo(plane, (covered > 0).view(np.uint8), out))


_KERNELS = PlaneKernels(split_planes, join_planes, mix_plane, fuse_plane, straight_plane, masked_plane)


def composite(
    frame: Frame,
    background: Frame | None,
    alpha: Array,
    kinds: Array,
    colors: Colors | None,
) -> tuple[Array, ...]:
    """The compositing equation on a whole frame, plane by plane."""
    return composite_planewise(_KERNELS, frame, background, alpha, kinds, colors)


def guided_composite(
    frame: Frame, background: Frame | None, slope: Array, offset: Array, colors: Colors | None
) -> tuple[Array, ...]:
    """:func:`composite` with the alpha that ``upsample_alpha`` gives for the coefficients."""
    alpha, kinds = upsample_alpha(frame.planes[0], slope, offset, frame.pixel_format.maximum)
    return composite(frame, background, alpha, kinds, colors)
