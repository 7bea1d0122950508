"""Definition of :mod:`livematte.kernels.composite`, in NumPy."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array, Frame
from livematte.kernels._shared import grid
from livematte.kernels.composite.planewise import Colors, PlaneKernels, composite_planewise
from livematte.kernels.convert.reference import join_planes, split_planes
from livematte.kernels.resize.reference import block_mean
from livematte.kernels.upsample.reference import upsample_alpha


def mix_plane(
    plane: Array, background: Array, alpha: Array, kinds: Array, chroma: tuple[int, int], maximum: int
) -> Array:
    """αI + (1-α)·background, the compositing equation on one plane, with the picture itself as foreground.

    Args:
        plane, background: (H', W') codes; chroma is smaller than alpha as ``chroma`` says.
        alpha, kinds: as :func:`livematte.kernels.upsample.upsample_alpha` gives them.

    Returns:
        (H', W'), a new C-contiguous array, rounded half up.
    """
    a = block_mean(alpha, chroma).astype(np.float64) / maximum
    return np.floor(a * plane + (1 - a) * background + 0.5).astype(plane.dtype)


def _fused_foreground(plane: Array, a: Array, F_hat: Array, B_hat: Array, maximum: int) -> Array:
    """F = F̂ + α(I - αF̂ - (1-α)B̂), clipped to codes (Forte 2021, eq. 7); float64, planes of one size."""
    return np.clip(F_hat + a * (plane - a * F_hat - (1 - a) * B_hat), 0, maximum)


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
    """:func:`mix_plane` with the foreground freed of the old background: αF + (1-α)·background.

    Args:
        F_hat, B_hat: (h, w) float32, this plane's colours of :func:`estimate_colors`.
    """
    a = block_mean(alpha, chroma).astype(np.float64) / maximum
    F = _fused_foreground(plane, a, _enlarge(F_hat, *plane.shape), _enlarge(B_hat, *plane.shape), maximum)
    F = np.where(a == 1, plane, F)
    return np.floor(a * F + (1 - a) * background + 0.5).astype(plane.dtype)


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
    a = block_mean(alpha, chroma).astype(np.float64) / maximum
    F = _fused_foreground(plane, a, _enlarge(F_hat, *plane.shape), _enlarge(B_hat, *plane.shape), maximum)
    F = np.where(a == 1, plane, np.where(a == 0, black, F))
    return np.floor(F + 0.5).astype(plane.dtype)


def masked_plane(plane: Array, black: int, alpha: Array, kinds: Array, chroma: tuple[int, int]) -> Array:
    """The plane itself, and the code ``black`` where alpha is 0."""
    return np.where(block_mean(alpha, chroma) == 0, black, plane).astype(plane.dtype)


def _enlarge(small: Array, height: int, width: int) -> Array:
    return grid.linear_weights(small.shape[0], height) @ small @ grid.linear_weights(small.shape[1], width).T


_KERNELS = PlaneKernels(split_planes, join_planes, mix_plane, fuse_plane, straight_plane, masked_plane)


def composite(
    frame: Frame,
    background: Frame | None,
    alpha: Array,
    kinds: Array,
    colors: Colors | None,
) -> tuple[Array, ...]:
    """The compositing equation on a whole frame.

    Args:
        background: of the frame's size and format, its own alpha left out; None for the straight foreground,
            black where alpha is 0.
        alpha, kinds: as :func:`livematte.kernels.upsample.upsample_alpha` gives them.
        colors: F̂ and B̂ of :func:`livematte.kernels.foreground.estimate_colors`; None if the picture itself is
            the foreground.

    Returns:
        New planes of the frame's format, less its alpha.
    """
    return composite_planewise(_KERNELS, frame, background, alpha, kinds, colors)


def guided_composite(
    frame: Frame, background: Frame | None, slope: Array, offset: Array, colors: Colors | None
) -> tuple[Array, ...]:
    """:func:`composite` with the alpha that ``upsample_alpha`` gives for the coefficients.

    Args:
        slope, offset: of :func:`livematte.kernels.upsample.guided_coefficients`.
    """
    alpha, kinds = upsample_alpha(frame.planes[0], slope, offset, frame.pixel_format.maximum)
    return composite(frame, background, alpha, kinds, colors)
