"""The compiled loop of :mod:`livematte.kernels.fusion`."""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.kernels._shared.compiled import compiled


@compiled
def fuse(C: Any, F: Any, B: Any, alpha: Any, ratios: Any, iterations: int, out: Any, out_alpha: Any) -> None:
    """``C`` (n, 3) uint8, ``F``, ``B`` (n, 3) and ``alpha`` (n,) float32, ``ratios`` (3,) float32 of F, B and
    alpha; fills ``out`` (2, n, 3) with F and B, and ``out_alpha`` (n,).
    """
    zero, one, scale = np.float32(0), np.float32(1), np.float32(1 / 255)
    r_f, r_b, r_a = ratios[0], ratios[1], ratios[2]
    fs, bs = out[0], out[1]
    for i in range(alpha.size):
        a = alpha[i]
        c0, c1, c2 = scale * C[i, 0], scale * C[i, 1], scale * C[i, 2]
        f0, f1, f2 = F[i, 0], F[i, 1], F[i, 2]
        b0, b1, b2 = B[i, 0], B[i, 1], B[i, 2]
        for _ in range(iterations):
            rest = one - a
            e0 = c0 - a * f0 - rest * b0
            e1 = c1 - a * f1 - rest * b1
            e2 = c2 - a * f2 - rest * b2
            k_f, k_b = r_f * a, r_b * rest
            f0 = min(max(F[i, 0] + k_f * e0, zero), one)
            f1 = min(max(F[i, 1] + k_f * e1, zero), one)
            f2 = min(max(F[i, 2] + k_f * e2, zero), one)
            b0 = min(max(B[i, 0] + k_b * e0, zero), one)
            b1 = min(max(B[i, 1] + k_b * e1, zero), one)
            b2 = min(max(B[i, 2] + k_b * e2, zero), one)
            d0, d1, d2 = f0 - b0, f1 - b1, f2 - b2
            along = (c0 - b0) * d0 + (c1 - b1) * d1 + (c2 - b2) * d2
            length = d0 * d0 + d1 * d1 + d2 * d2
            a = min(max((a + r_a * along) / (one + r_a * length), zero), one)
        fs[i, 0], fs[i, 1], fs[i, 2] = f0, f1, f2
        bs[i, 0], bs[i, 1], bs[i, 2] = b0, b1, b2
        out_alpha[i] = a
