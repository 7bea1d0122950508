"""Equations 4 to 6 of Forte & Pitié 2020 against numbers worked by hand, and the fast version too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livematte.kernels.fusion import fuse_layers
from livematte.kernels.fusion.reference import fuse_layers as fuse_layers_reference

BOTH = pytest.mark.parametrize("fuse", [fuse_layers_reference, fuse_layers])


def pixel(rgb, foreground, background, alpha):
    return (
        np.array(rgb, np.uint8).reshape(1, 1, 3),
        np.array(foreground, np.float32).reshape(1, 1, 3),
        np.array(background, np.float32).reshape(1, 1, 3),
        np.full((1, 1), alpha, np.float32),
    )


@BOTH
def test_one_update_by_hand(fuse):
    # C = (0.6, 0.2, 0), F = (0.8, 0, 0), B = (0.2, 0.2, 0), alpha = 0.5:
    # C - aF - (1-a)B = (0.6 - 0.5, 0.2 - 0.1, 0) = (0.1, 0.1, 0)
    # eq. 4: F = F + 0.5 (0.1, 0.1, 0) = (0.85, 0.05, 0); eq. 5: B = B + 0.5 (0.1, 0.1, 0) = (0.25, 0.25, 0)
    # eq. 6: F - B = (0.6, -0.2, 0), C - B = (0.35, -0.05, 0):
    #        alpha = (0.5 + 10 (0.21 + 0.01)) / (1 + 10 (0.36 + 0.04)) = 2.7 / 5
    F, B, alpha = fuse(*pixel([153, 51, 0], [0.8, 0, 0], [0.2, 0.2, 0], 0.5))
    np.testing.assert_allclose(F[0, 0], [0.85, 0.05, 0], atol=1e-6)
    np.testing.assert_allclose(B[0, 0], [0.25, 0.25, 0], atol=1e-6)
    assert alpha[0, 0] == pytest.approx(0.54, abs=1e-6)


@BOTH
def test_a_second_update_starts_from_the_predicted_colours_and_the_last_alpha(fuse):
    # As above; then a = 0.54, F = (0.85, 0.05, 0), B = (0.25, 0.25, 0):
    # C - aF - (1-a)B = (0.6 - 0.459 - 0.115, 0.2 - 0.027 - 0.115, 0) = (0.026, 0.058, 0)
    # F = (0.8, 0, 0) + 0.54 (0.026, 0.058, 0); B = (0.2, 0.2, 0) + 0.46 (0.026, 0.058, 0)
    F, B, _ = fuse(*pixel([153, 51, 0], [0.8, 0, 0], [0.2, 0.2, 0], 0.5), iterations=2)
    np.testing.assert_allclose(F[0, 0], [0.81404, 0.03132, 0], atol=1e-6)
    np.testing.assert_allclose(B[0, 0], [0.21196, 0.22668, 0], atol=1e-6)


@BOTH
def test_the_ratios_scale_their_own_update(fuse):
    # C = 0.4 grey, F = 0.8, B = 0, alpha 0.25: error 0.2; F += 2 · 0.25 · 0.2, B += 0.5 · 0.75 · 0.2
    F, B, alpha = fuse(
        *pixel([102] * 3, [0.8] * 3, [0.0] * 3, 0.25),
        foreground_ratio=2.0,
        background_ratio=0.5,
        alpha_ratio=4.0,
    )
    np.testing.assert_allclose(F[0, 0], 0.9, atol=1e-6)
    np.testing.assert_allclose(B[0, 0], 0.075, atol=1e-6)
    # eq. 6: (0.25 + 4 · 3 · 0.325 · 0.825) / (1 + 4 · 3 · 0.825²)
    assert alpha[0, 0] == pytest.approx((0.25 + 12 * 0.325 * 0.825) / (1 + 12 * 0.825**2), abs=1e-6)


@BOTH
def test_where_alpha_is_solid_the_picture_itself_is_the_colour(fuse):
    F, _, alpha = fuse(*pixel([30, 60, 90], [0.5] * 3, [0.9] * 3, 1.0))
    np.testing.assert_allclose(F[0, 0] * 255, [30, 60, 90], atol=1e-4)
    assert alpha[0, 0] == pytest.approx(1)
    _, B, alpha = fuse(*pixel([30, 60, 90], [0.9] * 3, [0.5] * 3, 0.0))
    np.testing.assert_allclose(B[0, 0] * 255, [30, 60, 90], atol=1e-4)
    assert alpha[0, 0] == pytest.approx(0, abs=1e-6)


@BOTH
def test_predictions_that_explain_the_picture_stay(fuse):
    before = pixel([102, 102, 102], [0.8] * 3, [0.0] * 3, 0.5)
    for old, new in zip(before[1:], fuse(*before, iterations=3), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-6)


@BOTH
def test_no_update_gives_back_what_came_in_and_nothing_is_written_to(fuse):
    before = pixel([1, 2, 3], [0.5] * 3, [0.9] * 3, 0.3)
    for array in before:
        array.flags.writeable = False
    for old, new in zip(before[1:], fuse(*before, iterations=0), strict=True):
        np.testing.assert_array_equal(new, old)
    fuse(*before)


def layers(height, width, seed):
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    F, B = rng.uniform(0, 1, (2, height, width, 3)).astype(np.float32)
    alpha = np.clip(rng.uniform(-0.5, 1.5, (height, width)), 0, 1).astype(np.float32)
    return rgb, F, B, alpha


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 999), st.integers(0, 4))
def test_the_fast_version_gives_the_same_in_range(height, width, seed, iterations):
    given = layers(height, width, seed)
    for fast, slow in zip(
        fuse_layers(*given, iterations), fuse_layers_reference(*given, iterations), strict=True
    ):
        assert fast.shape == slow.shape and fast.dtype == slow.dtype == np.float32
        assert fast.min() >= 0 and fast.max() <= 1
        np.testing.assert_allclose(fast, slow, atol=3e-5)


def test_slices_of_larger_arrays_are_taken_too():
    rgb, F, B, alpha = layers(20, 30, 1)
    cut = (rgb[2:9, 3:17], F[2:9, 3:17], B[2:9, 3:17], alpha[2:9, 3:17])
    for fast, slow in zip(fuse_layers(*cut), fuse_layers_reference(*cut), strict=True):
        np.testing.assert_allclose(fast, slow, atol=3e-5)


def test_fusing_brings_noisy_predictions_nearer_to_the_truth():
    """Sec. 4.3: what comes out explains the picture better, and each layer is nearer to what it was."""
    rng = np.random.default_rng(3)
    _, F, B, alpha = layers(64, 64, 2)
    mixed = alpha[..., None] * F + (1 - alpha[..., None]) * B
    rgb = np.rint(mixed * 255).astype(np.uint8)
    noisy_F, noisy_B = (np.clip(x + rng.normal(0, 0.1, x.shape), 0, 1).astype(np.float32) for x in (F, B))
    noisy_a = np.clip(alpha + rng.normal(0, 0.2, alpha.shape), 0, 1).astype(np.float32)
    fused = fuse_layers(rgb, noisy_F, noisy_B, noisy_a)
    for new, old, truth in zip(fused, (noisy_F, noisy_B, noisy_a), (F, B, alpha), strict=True):
        assert np.abs(new - truth).mean() < 0.95 * np.abs(old - truth).mean()
