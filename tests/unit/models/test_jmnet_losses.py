"""Equations 3 to 6 of the paper, worked out by hand on small maps."""

import math

import pytest
import torch

from livematte.models.jmnet import losses
from livematte.models.jmnet.network import JMNetOutput


def test_equation_3_is_the_squared_norm_of_a_picture():
    heatmaps, truth = torch.zeros(2, 25, 2, 3), torch.zeros(2, 25, 2, 3)
    truth[0, 4, 1, 2], truth[1, 7, 0, 0] = 1.0, 3.0
    assert losses.pose(heatmaps, truth, torch.ones(2, 1, 1, 1)).item() == pytest.approx((1 + 9) / 2)


def test_people_without_pose_do_not_count():
    heatmaps, truth = torch.zeros(2, 25, 2, 3, requires_grad=True), torch.ones(2, 25, 2, 3)
    loss = losses.pose(heatmaps, truth, torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1))
    assert loss.item() == pytest.approx(150)
    loss.backward()
    assert heatmaps.grad[0].any() and not heatmaps.grad[1].any()
    assert losses.pose(heatmaps, truth, torch.zeros(2, 1, 1, 1)).item() == 0


def test_equation_4_is_the_binary_cross_entropy_of_each_class():
    t = torch.tensor([0.2, 0.3, 0.5])
    truth = torch.tensor([0.0, 1.0, 0.0])
    expected = -(math.log(0.8) + math.log(0.3) + math.log(0.5)) / 3
    given = losses.trimap(t.log().reshape(1, 3, 1, 1), truth.reshape(1, 3, 1, 1))
    assert given.item() == pytest.approx(expected, rel=1e-5)


def test_equation_4_stays_finite_where_the_network_is_sure():
    logits = torch.tensor([90.0, -90.0, 0.0]).reshape(1, 3, 1, 1).requires_grad_()
    loss = losses.trimap(logits, torch.tensor([0.0, 1.0, 0.0]).reshape(1, 3, 1, 1))
    loss.backward()
    assert loss.isfinite() and loss > 50 and logits.grad.isfinite().all()


def test_composition_weighs_an_alpha_error_by_the_contrast_of_the_layers():
    alpha, truth = torch.full((1, 1, 2, 2), 0.75), torch.full((1, 1, 2, 2), 0.5)
    foreground, background = torch.full((1, 3, 2, 2), 0.9), torch.full((1, 3, 2, 2), 0.5)
    one = torch.ones(1, 1, 1, 1)
    assert losses.composition(alpha, truth, foreground, background, one).item() == pytest.approx(0.25 * 0.4)
    assert losses.composition(alpha, truth, foreground, foreground, one).item() == 0
    assert losses.composition(alpha, truth, foreground, background, 0 * one).item() == 0


def test_gradient_compares_differences_and_not_levels():
    truth = torch.zeros(1, 1, 4, 4)
    truth[..., 2:] = 1
    assert losses.gradient(0.3 + truth, truth).item() == pytest.approx(0, abs=1e-7)
    # the step of 1 from column 1 to 2 is missed in one of three differences of each row
    assert losses.gradient(torch.zeros_like(truth), truth).item() == pytest.approx(1 / 3)


def test_weights_are_those_printed_below_equations_5_and_6():
    assert losses.WEIGHTS == {
        "pose": 0.001,
        "trimap": 0.01,
        "alpha": 0.4,
        "composition": 0.3,
        "gradient": 0.3,
    }


def batch(shape=(2, 1, 16, 24)):
    torch.manual_seed(0)
    n, _, h, w = shape
    return {
        "alpha": torch.rand(shape),
        "foreground": torch.rand(n, 3, h, w),
        "background": torch.rand(n, 3, h, w),
        "layered": torch.ones(n, 1, 1, 1),
        "heatmaps": torch.rand(n, 25, h // 8, w // 8),
        "posed": torch.ones(n, 1, 1, 1),
        "trimap": torch.nn.functional.one_hot(torch.randint(3, (n, h, w)), 3).permute(0, 3, 1, 2).float(),
    }


def test_equation_6_is_the_sum_of_the_weighted_terms():
    b = batch()
    output = JMNetOutput(
        1 - b["alpha"], b["alpha"], torch.randn(2, 3, 16, 24), torch.zeros_like(b["heatmaps"])
    )
    layers = b["foreground"], b["background"], b["layered"]
    matting = (
        0.4 * losses.alpha(output.alpha, b["alpha"])
        + 0.3 * losses.composition(output.alpha, b["alpha"], *layers)
        + 0.3 * losses.gradient(output.alpha, b["alpha"])
    )
    pose = losses.pose(output.heatmaps, b["heatmaps"], b["posed"])
    expected = 0.001 * pose + 0.01 * losses.trimap(output.trimap, b["trimap"]) + matting
    torch.testing.assert_close(sum(losses.total(output, b).values()), expected)


def test_a_perfect_output_costs_nothing():
    b = batch()
    output = JMNetOutput(b["alpha"], b["alpha"], 60 * b["trimap"], b["heatmaps"])
    assert all(value.item() == pytest.approx(0, abs=1e-6) for value in losses.total(output, b).values())
