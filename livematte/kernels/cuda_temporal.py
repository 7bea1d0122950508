"""Alpha over time on NVIDIA GPUs: what :class:`livematte.temporal.TemporalFilter` does to one frame, without
waiting for the GPU to say whether another shot begins.
"""

from __future__ import annotations

import numpy as np

from livematte.frame import Array
from livematte.kernels.cuda_launch import empty, launch, over_samples, whole

Before = tuple[Array, Array, Array]
"""Alpha as it was given out and as it came, (h, w) float32, and the picture, (h / 2, w / 2, 3) float32."""


def half_size(rgb: Array) -> Array:
    """(h, w, 3) uint8 at half the size, rounded up, float32 in 0..255."""
    h, w = rgb.shape[:2]
    out = empty((-(-h // 2), -(-w // 2), 3), np.float32)
    over_samples("temporal", "half_size", out.shape[:2], whole(rgb, np.uint8), h, w, out)
    return out


def motion(before: Array, now: Array) -> Array:
    """Where the picture changed by more than its noise: (h, w) float32, 0 still, 1 moving.

    Args:
        before, now: (h, w, 3) float32 RGB of one size, 0..255.
    """
    return _seen(whole(before, np.float32), whole(now, np.float32))[0]


def is_cut(before: Array, now: Array) -> Array:
    """Whether another shot begins: (1,) int32 that only the GPU has seen. Arguments as for :func:`motion`."""
    return _statistics(whole(before, np.float32), whole(now, np.float32))[2]


def _seen(before: Array, now: Array) -> tuple[Array, Array]:
    """:func:`motion`, and whether another shot begins: (1,) int32 that only the GPU has seen."""
    largest, noise, cut = _statistics(before, now)
    moves = empty(largest.shape, np.float32)
    over_samples("temporal", "motion", moves.shape, largest, noise, moves)
    return moves, cut


def _statistics(before: Array, now: Array) -> tuple[Array, Array, Array]:
    size = now.shape[:2]
    largest, noise, cut = empty(size, np.float32), empty((1,), np.float32), empty((1,), np.int32)
    launch("temporal", "statistics", (1, 1), (1024, 1), (before, now, *size, largest, noise, cut))
    return largest, noise, cut


def calmed(raw: Array, rgb: Array, before: Before | None, still: float) -> Before:
    """Calm one alpha.

    Args:
        raw: (h, w) float32 in [0, 1].
        rgb: (h, w, 3) uint8, the small picture it belongs to.
        before: what this gave for the frame before; None starts a shot, as do a cut and another size.
        still: share of the new alpha where nothing moves.

    Returns:
        Alpha, raw and picture.
    """
    raw, picture = whole(raw, np.float32), half_size(rgb)
    if before is None or before[2].shape != picture.shape or before[1].shape != raw.shape:
        return raw, raw, picture
    moves, cut = _seen(before[2], picture)
    alpha, share = empty(raw.shape, np.float32), empty(raw.shape, np.float32)
    over_samples(
        "temporal", "calmed", raw.shape, raw, *before[:2], moves, *moves.shape, float(still), cut, alpha,
        share,
    )  # fmt: skip
    blended = empty(picture.shape, np.float32)
    given = (before[2], picture, share, *raw.shape, cut, blended)
    over_samples("temporal", "remembered", picture.shape[:2], *given)
    return alpha, raw, blended


def share_of_new(raw: Array, before: Array, raw_before: Array, moves: Array, still: float) -> Array:
    """See :func:`livematte.kernels.reference.share_of_new`."""
    share = empty(raw.shape, np.float32)
    given = (whole(x, np.float32) for x in (raw, before, raw_before, moves))
    over_samples("temporal", "share_of_new", (raw.size,), *given, float(still), share)
    return share
