"""Definition of :mod:`livematte.kernels.temporal`, in NumPy."""

from __future__ import annotations

import numpy as np

from livematte.frame import Array


def blend_weight(raw: Array, before: Array, raw_before: Array, moves: Array, still: float) -> Array:
    """Weight of a new alpha against the one before; (h, w) float32 all.

    Args:
        raw, raw_before: alpha as the network gave it, now and before.
        before: alpha as it was output before.
        moves: motion in [0, 1]; at 1 the weight is 1.
        still: weight of a small change without motion.
    """
    disagreement = np.abs(raw - before)
    # Seen twice, a jump is real; seen once where nothing moved, it is a spike.
    insists = np.clip((disagreement - 2 * np.abs(raw - raw_before)) * 4 - np.float32(0.4), 0, 1)
    trusted = np.float32(still) * (1 - np.float32(0.8) * np.minimum(disagreement * 2, 1))
    certain = np.maximum(moves, insists)
    return np.asarray(trusted + (1 - trusted) * certain, np.float32)


def blend_refined(
    raw: Array,
    share: Array,
    moves: Array,
    holds: Array,
    still: float,
    alpha: Array,
    raw_before: Array,
) -> tuple[Array, Array]:
    """Blend a refined alpha with the one refined before; (h, w) float32 all.

    Args:
        raw, share: refined now, and its weight.
        holds: remaining weight of ``alpha``, refined before.
        moves, still, raw_before: as for :func:`blend_weight`; ``still`` 1 takes the new one unchanged.
        alpha, raw_before: updated in place; may be views of larger maps.

    Returns:
        Weight of the updated alpha against an unrefined one, and the part of it that is new.
    """
    new: Array = np.ones_like(raw)
    if still < 1:
        new -= holds * (1 - blend_weight(raw, alpha, raw_before, moves, still))
    kept = (1 - share) * holds
    counts = share + kept
    calm = alpha + new * (raw - alpha)
    alpha[...] = (share * calm + kept * alpha) / np.maximum(counts, np.float32(1e-6))
    raw_before += share * (raw - raw_before)
    return counts, share * new
