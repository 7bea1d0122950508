""":mod:`livematte.kernels.temporal` on NVIDIA GPUs, and what the temporal filter needs besides.

The CPU version is :class:`livematte.matting.temporal.TemporalFilter`. Here the decision whether another shot
begins stays on the GPU: nothing waits for it.
"""

from __future__ import annotations

import numpy as np

from livematte.device.cuda import contiguous, cupy, empty
from livematte.device.launch import launch, launch_samples, plane_arguments
from livematte.frame import Array
from livematte.kernels._shared.sources import cuda_source

SOURCE = cuda_source("temporal/temporal.cu")

Before = tuple[Array, Array, Array]
"""Alpha as output and as the network gave it, (h, w), and the picture, (h / 2, w / 2, 3); all float32."""


def half_size(rgb: Array) -> Array:
    """(h, w, 3) uint8 at half the size, rounded up, float32 in 0..255."""
    h, w = rgb.shape[:2]
    out = empty((-(-h // 2), -(-w // 2), 3), np.float32)
    launch_samples(SOURCE, "half_size", out.shape[:2], contiguous(rgb, np.uint8), h, w, out)
    return out


def motion(before: Array, now: Array) -> Array:
    """Motion, as change beyond the noise of the picture: (h, w) float32, 0 still, 1 moving.

    Args:
        before, now: (h, w, 3) float32 RGB of one size, 0..255.
    """
    return _motion_and_cut(contiguous(before, np.float32), contiguous(now, np.float32))[0]


def is_cut(before: Array, now: Array) -> Array:
    """1 if another shot begins, else 0: (1,) int32 on the GPU. Arguments as for :func:`motion`."""
    return _statistics(contiguous(before, np.float32), contiguous(now, np.float32))[2]


def _motion_and_cut(before: Array, now: Array) -> tuple[Array, Array]:
    """:func:`motion` and :func:`is_cut`."""
    largest, noise, cut = _statistics(before, now)
    moves = empty(largest.shape, np.float32)
    launch_samples(SOURCE, "motion", moves.shape, largest, noise, moves)
    return moves, cut


def _statistics(before: Array, now: Array) -> tuple[Array, Array, Array]:
    size = now.shape[:2]
    largest, noise, cut = empty(size, np.float32), empty((1,), np.float32), empty((1,), np.int32)
    launch(SOURCE, "statistics", (1, 1), (1024, 1), (before, now, *size, largest, noise, cut))
    return largest, noise, cut


def smooth_alpha(
    raw: Array, rgb: Array, before: Before | None, still: float, cut: Array | None = None
) -> Before:
    """Smooth the alpha of one frame over time.

    Args:
        raw: (h, w) float32 in [0, 1].
        rgb: (h, w, 3) uint8, the small picture it belongs to.
        before: the result for the frame before; None starts a shot, as does another size.
        still: weight of the new alpha without motion.
        cut: (1,) int32 on the GPU, as :func:`is_cut` returns it: not 0 starts a shot. None: no shot starts.

    Returns:
        Alpha, raw and picture.
    """
    raw, picture = contiguous(raw, np.float32), half_size(rgb)
    if before is None or before[2].shape != picture.shape or before[1].shape != raw.shape:
        return raw, raw, picture
    moves, _ = _motion_and_cut(before[2], picture)
    if cut is None:
        cut = cupy().zeros((1,), np.int32)
    alpha, share = empty(raw.shape, np.float32), empty(raw.shape, np.float32)
    launch_samples(
        SOURCE, "smooth_alpha", raw.shape, raw, *before[:2], moves, *moves.shape, float(still), cut, alpha,
        share,
    )  # fmt: skip
    blended = empty(picture.shape, np.float32)
    given = (before[2], picture, share, *raw.shape, cut, blended)
    launch_samples(SOURCE, "blend_picture", picture.shape[:2], *given)
    return alpha, raw, blended


def blend_weight(raw: Array, before: Array, raw_before: Array, moves: Array, still: float) -> Array:
    """Weight of a new alpha against the one before."""
    share = empty(raw.shape, np.float32)
    given = (contiguous(x, np.float32) for x in (raw, before, raw_before, moves))
    launch_samples(SOURCE, "blend_weight", (raw.size,), *given, float(still), share)
    return share


def blend_refined(
    raw: Array, share: Array, moves: Array, holds: Array, still: float, alpha: Array, raw_before: Array
) -> tuple[Array, Array]:
    """Blend a refined alpha with the one refined before, in one pass."""
    counts, taken = empty(raw.shape, np.float32), empty(raw.shape, np.float32)
    given = (contiguous(x, np.float32) for x in (raw, share, moves, holds))
    launch_samples(
        SOURCE, "blend_refined", raw.shape, *given, float(still), *plane_arguments(alpha)[:2],
        *plane_arguments(raw_before)[:2], counts, taken,
    )  # fmt: skip
    return counts, taken
