"""Equations 2 to 4 against numbers worked by hand."""

import math

import pytest
import torch

from livematte.models.adamatting import losses
from livematte.models.adamatting.network import AdaMattingOutput


def row(*values):
    return torch.tensor(values).reshape(1, 1, 1, -1)


def certain(*classes):
    """Logits (1, 3, 1, N) of a trimap that is sure of itself."""
    return 50 * torch.nn.functional.one_hot(torch.tensor(classes), 3).float().T.reshape(1, 3, 1, -1)


def test_optimal_trimap_is_unknown_where_alpha_is_neither_0_nor_1():  # eq. 2
    classes = losses.optimal_trimap(row(0.0, 0.01, 0.5, 0.97, 0.99, 1.0))
    assert classes.tolist() == [[[0, 0, 1, 1, 2, 2]]]


def test_adaptation_is_the_cross_entropy_of_three_classes():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2]])  # background and unknown are right
    logits = p.log().T.reshape(1, 3, 1, 2)
    expected = -(math.log(0.7) + math.log(0.5)) / 2
    assert losses.adaptation(logits, row(0.0, 0.5)).item() == pytest.approx(expected)


def test_estimation_counts_unknown_pixels_of_the_adapted_trimap_only():  # eq. 4
    region = losses.unknown(certain(0, 1, 1, 2))
    assert region.tolist() == [[[[False, True, True, False]]]]
    out = losses.estimation(row(0.9, 0.6, 0.5, 0.0), row(0.0, 0.5, 0.8, 1.0), region)
    assert out.item() == pytest.approx((0.1 + 0.3) / 2)


def test_estimation_is_0_where_nothing_is_unknown():
    estimate = row(0.9, 0.4).requires_grad_()
    out = losses.estimation(estimate, row(0.0, 1.0), losses.unknown(certain(0, 2)))
    out.backward()
    assert out.item() == 0 and torch.isfinite(estimate.grad).all()


def test_half_of_the_estimation_loss_is_the_last_steps():
    alphas = [row(0.0), row(0.2), row(0.4), row(0.1)]
    output = AdaMattingOutput(certain(1), alphas)
    out = losses.estimations(output, row(0.0), losses.unknown(output.trimap))
    assert out.item() == pytest.approx(0.5 * 0.1 + 0.5 * (0.0 + 0.2 + 0.4) / 3)


def test_weights_are_those_of_equation_3():
    s1, s2 = 4.0, 0.5
    terms = losses.weighted(torch.tensor(0.8), torch.tensor(0.3), torch.tensor([s1, s2]).log())
    assert terms["trimap"].item() == pytest.approx(0.8 / (2 * s1**2))
    assert terms["alpha"].item() == pytest.approx(0.3 / s2)
    assert terms["sigma"].item() == pytest.approx(math.log(2 * s1 * s2))


def test_task_weights_settle_where_equation_3_is_least():
    """d/ds1: s1^2 = L_T; d/ds2: s2 = L_alpha."""
    log_sigma = torch.tensor([4.0, 4.0]).log().requires_grad_()
    optimizer = torch.optim.Adam([log_sigma], 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        sum(losses.weighted(torch.tensor(0.09), torch.tensor(0.02), log_sigma).values()).backward()
        optimizer.step()
    torch.testing.assert_close(log_sigma.detach().exp(), torch.tensor([0.3, 0.02]), atol=2e-3, rtol=0.05)


def test_printed_loss_is_equation_3_of_both_tasks():
    alphas = [row(0.5, 0.5, 0.5)] * 3 + [row(0.9, 0.4, 0.1)]
    output = AdaMattingOutput(certain(0, 1, 2), alphas)
    terms = losses.multitask(output, row(0.0, 0.5, 1.0), torch.tensor([1.0, 2.0]).log())
    assert terms["trimap"].item() == pytest.approx(0, abs=1e-6)
    assert terms["alpha"].item() == pytest.approx(0.5 * 0.1 / 2)  # only the middle pixel, only the last step
    assert terms["sigma"].item() == pytest.approx(math.log(4))


def test_live_loss_teaches_alpha_also_where_the_adapted_trimap_is_wrong():
    alphas = [torch.full((1, 1, 8, 8), 0.3, requires_grad=True)] * 4
    wrong = certain(*[0] * 64).reshape(1, 3, 8, 8)
    alpha = torch.full((1, 1, 8, 8), 0.5)
    printed, live = (
        sum(f(AdaMattingOutput(wrong, alphas), alpha, torch.zeros(2)).values())
        for f in (losses.multitask, losses.multitask_live)
    )
    assert torch.autograd.grad(printed, alphas[0])[0].abs().max() == 0
    assert torch.autograd.grad(live, alphas[0])[0].abs().min() > 0


def test_live_loss_is_least_for_the_truth():
    alpha = torch.full((1, 1, 8, 8), 0.5)
    right = AdaMattingOutput(certain(*[1] * 64).reshape(1, 3, 8, 8), [alpha] * 4)
    off = right._replace(alphas=[alpha + 0.1] * 4)
    best, worse = (sum(losses.multitask_live(o, alpha, torch.zeros(2)).values()) for o in (right, off))
    assert best.item() == pytest.approx(math.log(2), abs=1e-5)
    assert worse.item() > best.item() + 0.2
