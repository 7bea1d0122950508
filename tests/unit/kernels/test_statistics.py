"""The range of a matte's values is found wherever the odd one is."""

from __future__ import annotations

import numpy as np
import pytest

from livematte.kernels.statistics import clip_with_limits
from tests.unit.kernels.backends import BACKENDS, Backend, down, running


@BACKENDS
@pytest.mark.parametrize("odd", [None, np.nan, np.inf, -3.0, 1.5])
@pytest.mark.parametrize("shape", [(3, 5), (70, 41), (40, 30, 3)])
def test_limits_are_seen_wherever_they_are(
    backend: Backend, odd: float | None, shape: tuple[int, ...]
) -> None:
    values = np.random.default_rng(0).uniform(0.2, 0.7, shape).astype(np.float32)
    for place in (0, values.size // 2, values.size - 1):
        given = values.copy()
        if odd is not None:
            given.reshape(-1)[place] = odd
        with running(backend):
            made, limits = (down(x) for x in clip_with_limits(backend.up(given)))
        np.testing.assert_array_equal(limits, [given.min(), given.max()])
        known = ~np.isnan(given)
        np.testing.assert_array_equal(made[known], given[known].clip(0, 1))
