"""Equations 4 to 10 against numbers worked by hand."""

import math

import pytest
import torch

from livematte.models.late_fusion import losses
from livematte.models.late_fusion.network import LateFusionOutput


def row(*values):
    return torch.tensor(values).reshape(1, 1, 1, -1)


def logit(p):
    return math.log(p / (1 - p))


def test_difference_is_l1_in_the_transition_and_l2_elsewhere():  # eq. 4
    out = losses.difference(row(0.3, 0.3, 0.3), row(0.0, 0.5, 1.0))
    torch.testing.assert_close(out, row(0.09, 0.2, 0.49))


def test_gradient_is_l1_of_differences_of_the_error():  # eq. 5
    probability = torch.tensor([[0.0, 0.5], [0.5, 1.0]]).reshape(1, 1, 2, 2)
    truth = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).reshape(1, 1, 2, 2)
    # error [[0, -0.5], [0.5, 0]]: dx is -0.5 in both rows, dy is 0.5 in both columns
    assert losses.gradient(probability, truth).item() == pytest.approx(0.5 + 0.5)


def test_cross_entropy_counts_the_transition_as_foreground_at_half_weight():  # eq. 6
    out = losses.cross_entropy(row(logit(0.8), logit(0.8), logit(0.8)), row(0.0, 0.5, 1.0))
    torch.testing.assert_close(out, row(-math.log(0.2), -0.5 * math.log(0.8), -math.log(0.8)))


def test_branch_is_the_sum_of_the_three():  # eq. 7
    # one transition pixel: CE = -0.5 ln 0.8, L_d = |0.8 - 0.5|, no neighbours and so no gradient
    probability, alpha = torch.full((1, 1, 2, 2), logit(0.8)), torch.full((1, 1, 2, 2), 0.5)
    assert losses.branch(probability, alpha).item() == pytest.approx(-0.5 * math.log(0.8) + 0.3)


def test_fusion_weighs_solid_pixels_a_tenth():  # eq. 8
    output = LateFusionOutput(row(0.2, 0.2, 0.2), *[row(0.0)] * 3, [], [])
    # |0.2 - 0| * 0.1, |0.2 - 0.5| * 1, |0.2 - 1| * 0.1
    assert losses.fusion(output, row(0.0, 0.5, 1.0)).item() == pytest.approx((0.02 + 0.3 + 0.08) / 3)


def test_softness_is_least_where_alpha_is_solid():  # eq. 10
    assert losses.softness(row(0.5)).item() == pytest.approx(2 * 0.5**0.9)
    assert losses.softness(row(0.0)).item() == pytest.approx(1.0, abs=1e-3)


def test_softness_has_a_finite_slope_at_0_and_1():
    alpha = row(0.0, 1.0).requires_grad_()
    losses.softness(alpha).backward()
    assert torch.isfinite(alpha.grad).all()


def sides(p):
    return [torch.full((1, 1, n, n), logit(p)) for n in (2, 4)]


def test_segmentation_adds_both_branches_on_every_block_with_alpha_shrunk_to_it():  # L_F + L_B, side loss
    alpha = torch.full((1, 1, 4, 4), 0.5)
    output = LateFusionOutput(alpha, alpha, alpha, alpha, sides(0.8), sides(0.6))
    one_f = -0.5 * math.log(0.8) + 0.3
    one_b = -0.5 * math.log(0.6) + 0.1
    assert losses.segmentation(output, alpha).item() == pytest.approx(2 * (one_f + one_b))


def test_joint_weighs_the_terms_as_printed():  # eq. 9: w1 = 0.5, w2 = 0.01, gamma = 0.9
    alpha = torch.full((1, 1, 4, 4), 0.5)
    output = LateFusionOutput(alpha + 0.1, alpha, alpha, alpha, sides(0.8), sides(0.6))
    expected = (
        losses.fusion(output, alpha)
        + 0.5 * losses.segmentation(output, alpha)
        + 0.01 * losses.softness(output.alpha, 0.9)
    )
    torch.testing.assert_close(losses.joint(output, alpha), expected)
    assert losses.fusion(output, alpha).item() == pytest.approx(0.1)


def test_a_perfect_foreground_branch_is_drawn_above_alpha_in_the_transition():
    """Sec. 3.2: cross-entropy drags the probability towards 1, so F-bar becomes an upper bound."""
    probability = torch.tensor([logit(0.5)]).reshape(1, 1, 1, 1).requires_grad_()
    losses.cross_entropy(probability, torch.full((1, 1, 1, 1), 0.5)).sum().backward()
    assert probability.grad.item() < 0  # descending raises it
