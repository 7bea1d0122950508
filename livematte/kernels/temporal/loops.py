"""The compiled loop of :mod:`livematte.kernels.temporal`."""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels._shared.compiled import compiled


@compiled
def blend_refined(
    raw: Any,
    share: Any,
    moves: Any,
    holds: Any,
    still: Any,
    alpha: Any,
    raw_before: Any,
    counts: Any,
    new: Any,
) -> None:
    """Fill ``counts`` and ``new`` and update ``alpha`` and ``raw_before``; (h, w) float32 all."""
    zero, one, small = np.float32(0), np.float32(1), np.float32(1e-6)
    for y in range(raw.shape[0]):
        values, weights, motion, held = raw[y], share[y], moves[y], holds[y]
        shown, last, total, taken = alpha[y], raw_before[y], counts[y], new[y]
        for x in range(values.size):
            change = values[x] - shown[x]
            part = one
            if still < one:
                jump = abs(change)
                insists = (jump - np.float32(2) * abs(values[x] - last[x])) * np.float32(4) - np.float32(0.4)
                trusted = still * (one - np.float32(0.8) * min(jump * np.float32(2), one))
                certain = max(motion[x], min(max(insists, zero), one))
                part = one - held[x] * (one - trusted - (one - trusted) * certain)
            kept = (one - weights[x]) * held[x]
            total[x] = weights[x] + kept
            calm = weights[x] * (shown[x] + part * change) + kept * shown[x]
            shown[x] = calm / max(total[x], small)
            last[x] += weights[x] * (values[x] - last[x])
            taken[x] = weights[x] * part
