"""What of a matte is taken: the GPU says what the CPU says, to the last pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from livematte.frame import Array
from livematte.kernels import cuda_regions
from livematte.regions import drop_islands
from tests.cuda_shim import fakecupy
from tests.unit.kernels.backends import ON_GPU, Backend, down, running

SIZES = [(1, 1), (1, 40), (37, 1), (24, 33), (70, 130)]


def spiral(height: int, width: int) -> Array:
    """One thin region that winds inwards, 8-connected at its corners, and its negative."""
    alpha = np.zeros((height, width), np.float32)
    for ring in range(0, min(height, width) // 2, 4):
        alpha[ring : height - ring, ring : width - ring] = 0.9
        alpha[ring + 2 : height - ring - 2, ring + 2 : width - ring - 2] = 0
        alpha[ring + 2 : ring + 4, ring + 1 : ring + 3] = 0.2
    return alpha


def blobs(height: int, width: int, seed: int) -> Array:
    """Regions of every size and opacity."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1 + seed % 4)
    return np.clip(smooth / max(float(smooth.std()), 1e-6) * 0.4 + 0.2, 0, 1).astype(np.float32)


def pictures() -> list[Array]:
    chequered = (np.indices((40, 60)).sum(0) % 2).astype(np.float32)  # joined by corners only
    rows = np.zeros((40, 60), np.float32)
    rows[::2] = 0.8
    found = [np.zeros((9, 9), np.float32), np.ones((30, 50), np.float32), chequered, rows, spiral(61, 93)]
    return [*found, *(blobs(*size, seed) for seed, size in enumerate(SIZES * 3))]


@ON_GPU
@pytest.mark.parametrize("number", range(len(pictures())))
def test_islands_go_and_people_stay_as_on_the_cpu(backend: Backend, number: int) -> None:
    alpha = pictures()[number]
    with running(backend):
        there = backend.up(alpha)
        fakecupy.moved.update({"to": 0, "from": 0})
        made = drop_islands(there)
        assert fakecupy.moved == {"to": 0, "from": 0}
        np.testing.assert_array_equal(down(made), drop_islands(alpha))


@ON_GPU
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
            made, limits = (down(x) for x in cuda_regions.clipped(backend.up(given)))
        np.testing.assert_array_equal(limits, [given.min(), given.max()])
        np.testing.assert_array_equal(made, np.nan_to_num(given, nan=0).clip(0, 1))
