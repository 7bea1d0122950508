"""The Laplacian pyramid loss against OpenCV's pyramid."""

import cv2
import numpy as np
import pytest
import torch

from livematte.training.losses import laplacian


def by_opencv(difference, levels, weight=None):
    total, pixels = 0.0, difference.size
    for level in range(levels):
        smaller = cv2.pyrDown(difference, borderType=cv2.BORDER_REPLICATE)
        rows, columns = difference.shape
        detail = np.abs(difference - cv2.resize(smaller, (columns, rows), interpolation=cv2.INTER_LINEAR))
        if weight is not None:
            detail *= cv2.resize(weight, (columns, rows), interpolation=cv2.INTER_AREA)
        total += 2**level * detail.sum() / pixels
        difference = smaller
    return total


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_the_weighted_sum_of_opencvs_levels(weighted):
    rng = np.random.default_rng(0)
    a, b, w = (rng.random((64, 96), np.float32) for _ in range(3))
    ours = laplacian(
        *(torch.from_numpy(x)[None, None] for x in (a, b)),
        4,
        torch.from_numpy(w)[None, None] if weighted else None,
    )
    assert float(ours) == pytest.approx(by_opencv(a - b, 4, w if weighted else None), rel=1e-4)


def test_an_even_shift_costs_nothing_and_a_lost_edge_does():
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., 16:] = 0.5
    assert float(laplacian(alpha + 0.25, alpha)) == pytest.approx(0, abs=1e-6)
    assert float(laplacian(torch.zeros_like(alpha), alpha)) > 0.01


def test_small_maps_stop_the_pyramid():
    assert float(laplacian(torch.rand(1, 2, 3, 3), torch.rand(1, 2, 3, 3))) == 0
