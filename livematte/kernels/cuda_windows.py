"""The twins of :mod:`livematte.kernels.windows`, of :mod:`~livematte.kernels.fusion` and of what works among
HDR, for NVIDIA GPUs.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from livematte.frame import Array, ColorInfo, Frame
from livematte.kernels import transfer
from livematte.kernels.copies import to_gpu
from livematte.kernels.cuda import split_planes, upsample_part
from livematte.kernels.cuda_launch import as_plane, cupy, empty, over_samples, whole
from livematte.kernels.fusion import ALPHA_RATIO, COLOR_RATIO
from livematte.kernels.windows import Box, covered


def window_planes(frame: Frame, size: tuple[int, int], box: Box) -> Array:
    """``small_planes(frame, *size)[:, top:bottom, left:right]``.

    Returns:
        (3, bottom - top, right - left) float32 codes, not rounded.
    """
    out = empty((3, box[1] - box[0], box[3] - box[2]), np.float32)
    for plane, part in zip(split_planes(frame)[:3], out, strict=True):
        shrinks = size[0] <= plane.shape[0] and size[1] <= plane.shape[1]
        (_area if shrinks else _linear)(plane, size, box, part)
    return out


def area_window(plane: Array, size: tuple[int, int], box: Box) -> Array:
    """A box of ``plane`` shrunk by area means: (bottom - top, right - left) float32."""
    return _area(plane, size, box, empty((box[1] - box[0], box[3] - box[2]), np.float32))


def linear_window(plane: Array, size: tuple[int, int], box: Box) -> Array:
    """A box of ``plane`` (h, w) interpolated linearly to ``size``: (bottom - top, right - left) float32."""
    return _linear(plane, size, box, empty((box[1] - box[0], box[3] - box[2]), np.float32))


def _area(plane: Array, size: tuple[int, int], box: Box, out: Array) -> Array:
    given = (*as_plane(plane), *plane.shape, *size, box[0], box[2], out)
    over_samples("resample", "area_window", out.shape, *given, sample=plane.dtype.name)
    return out


def _linear(plane: Array, size: tuple[int, int], box: Box, out: Array) -> Array:
    return _interpolated(plane, (0, 0), plane.shape, size, box, out)


def _interpolated(
    piece: Array, origin: tuple[int, int], of: tuple[int, int], to: tuple[int, int], box: Box, out: Array
) -> Array:
    given = (*as_plane(piece), *piece.shape, *origin, *of, *to, box[0], box[2], out)
    over_samples("resample", "linear_window", out.shape, *given, sample=piece.dtype.name)
    return out


def enlarged(piece: Array, box: Box, size: tuple[int, int], to: tuple[int, int]) -> Array:
    """A piece of a map, interpolated linearly to where it lies in a picture of another size; see
    :func:`livematte.kernels.windows.enlarged`.
    """
    target = covered(box, size, to)
    out = empty((target[1] - target[0], target[3] - target[2]), np.float32)
    return _interpolated(piece.astype(np.float32, copy=False), (box[0], box[2]), size, to, target, out)


def upsample_window(
    luma: Array, slope: Array, offset: Array, maximum: int, box: Box, size: tuple[int, int]
) -> tuple[Array, Array]:
    """What :func:`livematte.kernels.cuda.upsample_alpha` makes of the part that ``box`` covers; see
    :func:`livematte.kernels.windows.upsample_window`.
    """
    top, bottom, left, right = covered(box, size, luma.shape)
    part, corner = luma[top:bottom, left:right], (top, left)
    return upsample_part(part, slope, offset, maximum, luma.shape, corner, size, (box[0], box[2]))


def add_weighted(weight: Array, given: Array, sums: Array, weights: Array) -> None:
    """In place: ``sums += weight · given``, (c, h, w) float32, and ``weights += weight``, (h, w)."""
    values, size = whole(given, np.float32), sums.itemsize
    strides = sums.strides[0] // size, sums.strides[1] // size
    over_samples(
        "colors", "add_weighted", weight.shape, *as_plane(weight), values, sums, *strides, weights,
        weights.strides[0] // size, values.shape[0],
    )  # fmt: skip


def explaining_background(codes: Array, foreground: Array, alpha: Array, maximum: int) -> Array:
    """The background that makes the compositing equation true, (3, h, w) float32, clipped to codes; see
    :func:`livematte.kernels.windows.explaining_background`.
    """
    out = empty(codes.shape, np.float32)
    given = (whole(x, np.float32) for x in (codes, foreground, alpha))
    over_samples("colors", "explaining_background", (alpha.size,), *given, maximum, out)
    return out


def refined_over_time(
    raw: Array, share: Array, moves: Array, holds: Array, still: float, alpha: Array, raw_before: Array
) -> tuple[Array, Array]:
    """See :func:`livematte.kernels.reference.refined_over_time`; ``alpha`` and ``raw_before`` may be windows
    of larger maps.
    """
    counts, taken = empty(raw.shape, np.float32), empty(raw.shape, np.float32)
    given = (whole(x, np.float32) for x in (raw, share, moves, holds))
    over_samples(
        "temporal", "refined_over_time", raw.shape, *given, float(still), *as_plane(alpha)[:2],
        *as_plane(raw_before)[:2], counts, taken,
    )  # fmt: skip
    return counts, taken


def fuse_layers(
    rgb: Array,
    foreground: Array,
    background: Array,
    alpha: Array,
    iterations: int = 1,
    foreground_ratio: float = COLOR_RATIO,
    background_ratio: float = COLOR_RATIO,
    alpha_ratio: float = ALPHA_RATIO,
) -> tuple[Array, Array, Array]:
    """What :func:`livematte.kernels.fusion.fuse_layers_reference` says, in one pass over the pixels."""
    colors = [empty(rgb.shape, np.float32) for _ in range(2)]
    fused = empty(alpha.shape, np.float32)
    given = (whole(rgb, np.uint8), *(whole(x, np.float32) for x in (foreground, background, alpha)))
    ratios = (float(foreground_ratio), float(background_ratio), float(alpha_ratio))
    over_samples("colors", "fuse_layers", (alpha.size,), *given, *ratios, iterations, *colors, fused)
    return colors[0], colors[1], fused


@lru_cache(maxsize=8)
def _tables(device: int, code: int) -> tuple[Array, Array]:
    """Uploaded once for each device and kind of HDR."""
    return to_gpu(transfer._linear()), to_gpu(transfer._codes(code))


def among_hdr(rgb: Array, color: ColorInfo) -> Array:
    """An ordinary picture as codes of PQ or HLG; see :func:`livematte.kernels.transfer.among_hdr`."""
    light, codes = _tables(cupy().cuda.runtime.getDevice(), color.transfer)
    out = empty(rgb.shape, np.float32)
    wide = color.primaries == 9 or (color.primaries in (0, 2) and color.matrix == "bt2020")
    matrix = [float(x) for row in transfer._FROM_709 for x in (*row, 0.0)]
    over_samples(
        "hdr", "among_hdr", (rgb.size // 3,), whole(rgb, np.uint8), light, codes, codes.size, wide,
        color.transfer == transfer.HLG, *matrix, out,
    )  # fmt: skip
    return out
