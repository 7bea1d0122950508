"""Small connected components are removed: CPU and GPU agree to the last pixel, and with the definition."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from livematte.frame import Array
from livematte.kernels import components
from livematte.matting.components import remove_small_components
from tests.cuda_shim import fakecupy
from tests.unit.kernels.backends import ON_GPU, Backend, definition, down, running

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
        made = remove_small_components(there)
        assert fakecupy.moved == {"to": 0, "from": 0}
        np.testing.assert_array_equal(down(made), remove_small_components(alpha))


@pytest.mark.parametrize("number", range(len(pictures())))
def test_the_definition_says_the_same(number: int) -> None:
    alpha = pictures()[number]
    given = (alpha, 0.15, 0.5, 20, 200, 3)
    expected = definition(components.remove_small_components)(*given)
    np.testing.assert_array_equal(components.remove_small_components(*given), expected)
