"""Table 1 and equation 2 against numbers worked by hand."""

import pytest
import torch

from livematte.models.fba import losses
from livematte.models.fba.network import FBAOutput
from livematte.training.losses import laplacian


def plane(*rows):
    return torch.tensor(rows, dtype=torch.float32)[None, None]


def flat(value, channels=1, size=4):
    values = torch.tensor(value, dtype=torch.float32).expand(channels)
    return values[None, :, None, None].expand(1, channels, size, size)


def test_norm_adds_channels_and_means_pixels():
    x = torch.tensor([[1.0, -2.0], [3.0, 0.0]]).reshape(1, 2, 1, 2)  # pixels (1, 3) and (-2, 0)
    assert losses.norm(x).item() == pytest.approx((4 + 2) / 2)


def test_gradient_is_forward_differences_and_0_at_the_far_edge():
    out = losses.gradient(plane([1, 3], [6, 10]))
    assert out[0, 0].tolist() == [[2, 0], [4, 0]]
    assert out[0, 1].tolist() == [[5, 7], [0, 0]]


def flat_case():
    """All flat: C = 0.5, F = 0.8, B = 0.2, alpha = 0.5; predicted 0.7, 0.6, 0.3."""
    batch = {
        "rgb": flat(0.5, 3),
        "foreground": flat(0.8, 3),
        "background": flat(0.2, 3),
        "alpha": flat(0.5),
    }
    return FBAOutput(flat(0.7), flat(0.6, 3), flat(0.3, 3)), batch


def test_alpha_losses_of_a_flat_picture():
    out = losses.alpha_losses(*flat_case())
    assert out["alpha"].item() == pytest.approx(0.2)
    # C - 0.7 · 0.8 - 0.3 · 0.2 = -0.12 in three channels
    assert out["alpha_composition"].item() == pytest.approx(0.36, abs=1e-6)
    assert out["alpha_laplacian"].item() == pytest.approx(0, abs=1e-6)
    assert out["alpha_gradient"].item() == pytest.approx(0, abs=1e-6)


def test_color_losses_of_a_flat_picture():
    out = losses.color_losses(*flat_case())
    assert out["color"].item() == pytest.approx(3 * 0.2 + 3 * 0.1)
    # C - 0.5 · 0.6 - 0.5 · 0.3 = 0.05 in three channels
    assert out["color_composition"].item() == pytest.approx(0.15)
    assert out["color_laplacian"].item() == pytest.approx(0, abs=1e-5)
    assert out["color_exclusion"].item() == pytest.approx(0, abs=1e-6)


def test_alpha_gradient_is_l1_of_the_gradients_difference():
    batch = {k: torch.zeros(1, 3, 2, 2) for k in ("rgb", "foreground", "background")}
    batch["alpha"] = plane([0, 1], [0, 1])
    output = FBAOutput(plane([0, 0.5], [0.5, 1]), *[torch.zeros(1, 3, 2, 2)] * 2)
    # dx is 0.5 for 1 in both rows, dy 0.5 for 0 in both columns: 2 over four pixels
    assert losses.alpha_losses(output, batch)["alpha_gradient"].item() == pytest.approx(0.5)


def test_exclusion_is_the_product_of_both_layers_edges():
    F, B = plane([0, 1], [0, 1]), plane([0, 0.5], [0, 0])
    # |grad F|: 1, 0 / 1, 0; |grad B|: 0.5, 0.5 / 0, 0
    assert losses.exclusion(F, B).item() == pytest.approx(0.5 / 4)
    assert losses.exclusion(F, torch.full_like(B, 0.7)).item() == 0


def test_laplacian_of_colours_is_that_of_each_channel_added_up():
    torch.manual_seed(0)
    F, B, f, b = torch.rand(4, 1, 3, 32, 32)
    batch = {"rgb": F, "foreground": F, "background": B, "alpha": torch.rand(1, 1, 32, 32)}
    out = losses.color_losses(FBAOutput(batch["alpha"], f, b), batch)["color_laplacian"]
    alone = sum(laplacian(x[:, c : c + 1], y[:, c : c + 1]) for x, y in ((f, F), (b, B)) for c in range(3))
    assert out.item() == pytest.approx(alone.item(), rel=1e-5)


def test_equation_2_weighs_colours_a_quarter():
    out, batch = flat_case()
    terms = losses.terms(out, batch)
    assert len(terms) == 8
    assert sum(terms.values()).item() == pytest.approx(0.2 + 0.36 + 0.25 * (0.9 + 0.15), abs=1e-5)


def test_the_truth_costs_only_the_truths_own_exclusion():
    torch.manual_seed(0)
    F, B = torch.rand(2, 1, 3, 16, 16)
    alpha = torch.rand(1, 1, 16, 16)
    batch = {"rgb": losses.over(F, B, alpha), "foreground": F, "background": B, "alpha": alpha}
    terms = losses.terms(FBAOutput(alpha, F, B), batch)
    assert terms.pop("color_exclusion").item() == pytest.approx(0.25 * losses.exclusion(F, B).item())
    assert sum(terms.values()).item() == pytest.approx(0, abs=1e-5)
