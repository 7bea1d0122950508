"""The training is the paper's: eq. 7 and 11, sec. 3.3."""

import pytest
import torch
from torch import nn

from livematte.models.pomagan import losses
from livematte.models.pomagan.recipe import OPTIONS, POMAGANRecipe
from livematte.training.steps import SMALL, Step

GENERATORS = ("segmentation", "alpha")


def step(name, rate=2e-3):
    return Step(name, 8, SMALL, 2, rate, rate)


@pytest.fixture(scope="module")
def recipe():
    return POMAGANRecipe("pomagan-live")


@pytest.fixture
def network(recipe):
    torch.manual_seed(1)
    return recipe.network()


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(2)
    alpha = torch.zeros(2, 1, 64, 64)
    alpha[..., 16:, 20:44] = 1
    alpha[..., 14:16, 20:44] = 0.4
    rgb = 0.3 * torch.rand(2, 3, 64, 64) + 0.6 * alpha
    return {"rgb": rgb, "alpha": alpha, "background": torch.rand(2, 3, 64, 64)}


def turn(recipe, which, network, batch, player, optimizer):
    terms = recipe.losses(which, network, batch, player)
    loss = torch.stack(list(terms.values())).sum()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return {name: term.item() for name, term in terms.items()}


def test_printed_plan():
    plan = POMAGANRecipe("pomagan").plan(1, 0)
    assert [(s.name, s.batch, s.sizes, s.top_rate) for s in plan.steps] == [
        ("segmentation", 2, ((768, 1280),), 1e-4),
        ("alpha", 1, ((768, 1280),), 1e-4),
    ]
    assert plan.options == OPTIONS
    eq7, eq11 = ([plan.options[f"{n}_{t}"] for t in ("perceptual", "pixels", "border")] for n in GENERATORS)
    assert eq7 == [10, 10, 10] and eq11 == [10, 100, 100]
    assert plan.options["discriminator_rate"] == 0.1


def test_a_run_with_other_options_leaves_the_next_plan_as_printed():
    recipe = POMAGANRecipe("pomagan")
    recipe.options = {**OPTIONS, "adversarial": 0.0}
    assert recipe.plan(1, 0).options == OPTIONS


def test_live_plan_trains_segmentation_before_alpha_with_the_printed_coefficients(recipe):
    plan = recipe.plan(1, 0)
    segmentation = ["segmentation-small", "segmentation", "segmentation-fine"]
    assert [s.name for s in plan.steps] == [*segmentation, "alpha", "alpha-fine", "every-size"]
    assert {k for k in OPTIONS if plan.options[k] != OPTIONS[k]} == {"perceptual_scale"}
    assert [s.iterations for s in recipe.plan(1e-9, 0).steps] == [1] * 6


@pytest.mark.parametrize("name", ["segmentation-small", "segmentation", "alpha", "alpha-fine"])
def test_only_one_generator_and_its_discriminators_learn_in_a_step(recipe, network, name):
    recipe.enter(step(name), network)
    own = name.split("-")[0]
    thawed = {".".join(n.split(".")[:2]) for n, p in network.named_parameters() if p.requires_grad}
    assert {n for n in thawed if n.startswith("deployable")} == {f"deployable.{own}"}
    assert {n.split(".")[0] for n in thawed if not n.startswith("deployable")} == {f"{own}_discriminator"}
    players = [{id(p) for p in recipe.parameters(step(name), network, q)} for q in recipe.players(step(name))]
    assert not players[0] & players[1]
    learning = {id(p) for p in network.parameters() if p.requires_grad}
    assert players[0] | players[1] == learning
    other = network.deployable.alpha if own == "segmentation" else network.deployable.segmentation
    frozen = [*other.modules(), *network.features.modules()]
    assert not any(m.training for m in frozen if isinstance(m, nn.BatchNorm2d))
    assert getattr(network.deployable, own).decoder.training


def test_both_generators_learn_together_in_the_last_step(recipe, network, batch):
    (last,) = recipe.plan(1, 0).only(["every-size"]).steps
    recipe.enter(last, network)
    own = recipe.parameters(last, network, "generator")
    both = network.deployable
    assert {id(p) for p in own} == {id(p) for p in both.parameters()}
    terms = recipe.losses(last, network, batch, "generator")
    assert "segmentation" in terms
    sum(terms.values()).backward()
    silent = [n for n, p in both.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
    told = recipe.losses(last, network, batch, "discriminator")
    sum(told.values()).backward()
    assert all(p.grad is not None for p in network.alpha_discriminator.parameters())
    assert all(p.grad is None for p in network.segmentation_discriminator.parameters())


def test_live_encoders_early_layers_stay_as_imagenet_left_them(recipe, network):
    recipe.enter(step("segmentation"), network)
    encoder = network.deployable.segmentation.encoder
    early = {id(p) for m in encoder.early_layers() for p in m.parameters()}
    assert {id(p) for p in encoder.parameters() if not p.requires_grad} == early


def test_discriminators_learn_ten_times_slower(recipe):
    assert recipe.rate_factor(step("alpha"), "discriminator") == 0.1
    assert recipe.rate_factor(step("alpha"), "generator") == 1


@pytest.mark.parametrize("name", GENERATORS)
def test_gradients_reach_every_parameter_that_learns(recipe, network, batch, name):
    recipe.enter(step(name), network)
    for player in recipe.players(step(name)):
        own = recipe.parameters(step(name), network, player)
        sum(recipe.losses(step(name), network, batch, player).values()).backward()
        names = {id(p): n for n, p in network.named_parameters()}
        silent = [names[id(p)] for p in own if p.grad is None or not p.grad.abs().sum() > 0]
        assert silent == []


@pytest.mark.parametrize("name", GENERATORS)
def test_the_generators_turn_leaves_the_discriminators_without_gradients_and_the_other_way_round(
    recipe, network, batch, name
):
    recipe.enter(step(name), network)
    mine, theirs = (recipe.parameters(step(name), network, p) for p in recipe.players(step(name)))
    sum(recipe.losses(step(name), network, batch, "generator").values()).backward()
    assert all(p.grad is None for p in theirs) and any(p.grad is not None for p in mine)
    for p in mine:
        p.grad = None
    sum(recipe.losses(step(name), network, batch, "discriminator").values()).backward()
    assert all(p.grad is None for p in mine) and all(p.grad is not None for p in theirs)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_few_iterations_lower_the_loss_while_both_players_step(recipe, network, batch, name):
    which = step(name)
    recipe.enter(which, network)
    optimizers = {
        p: torch.optim.AdamW(
            recipe.parameters(which, network, p), which.top_rate * recipe.rate_factor(which, p)
        )
        for p in recipe.players(which)
    }
    start = [p.detach().clone() for p in recipe.parameters(which, network, "discriminator")]
    totals, told = [], []
    for _ in range(which.iterations):
        terms = turn(recipe, which, network, batch, "generator", optimizers["generator"])
        totals.append(sum(terms.values()))
        told.append(
            sum(turn(recipe, which, network, batch, "discriminator", optimizers["discriminator"]).values())
        )
    assert set(terms) == {"adversarial", "perceptual", "pixels", "border"}
    assert min(totals[-2:]) < 0.9 * totals[0]
    assert told[-1] < told[0]
    after = recipe.parameters(which, network, "discriminator")
    assert all(not torch.equal(a, b) for a, b in zip(start, after, strict=True))


def test_terms_carry_the_coefficients_of_the_options(batch):
    plain = POMAGANRecipe("pomagan-live")
    torch.manual_seed(3)
    network = plain.network()
    plain.enter(step("alpha"), network)
    network.eval()  # the same alpha twice
    one = plain.losses(step("alpha"), network, batch, "generator")
    plain.options = {**plain.options, "alpha_pixels": 50.0, "adversarial": 0.0}
    two = plain.losses(step("alpha"), network, batch, "generator")
    assert two["pixels"].item() == pytest.approx(one["pixels"].item() / 2, rel=1e-4)
    assert two["border"].item() == pytest.approx(one["border"].item(), rel=1e-4)
    assert two["adversarial"].item() == 0
    with torch.no_grad():
        alpha = network.deployable(batch["rgb"]).alpha
        expected = 100 * losses.alpha(batch["rgb"], alpha, batch["alpha"], batch["background"])
    assert one["pixels"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_discriminator_judges_what_the_generator_made_in_its_turn(recipe, network, batch):
    recipe.enter(step("segmentation"), network)
    recipe.losses(step("segmentation"), network, batch, "generator")
    made = network.made[1]
    assert made.shape == (2, 1, 64, 64) and not made.requires_grad
    with torch.no_grad():
        d = network.segmentation_discriminator
        truth = losses.binary(batch["alpha"])
        expected = losses.telling_apart(
            d(torch.cat((batch["rgb"], truth), 1)), d(torch.cat((batch["rgb"], made), 1))
        )
    got = recipe.losses(step("segmentation"), network, batch, "discriminator")["adversarial"]
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)
    assert network.made is None
    other = dict(batch)  # a batch whose turn the generator did not have
    assert torch.isfinite(recipe.losses(step("segmentation"), network, other, "discriminator")["adversarial"])


def test_prediction_is_the_segmentation_until_alpha_is_trained(recipe, network, batch):
    with torch.inference_mode():
        recipe.enter(step("segmentation"), network)
        network.eval()
        out = network.deployable(batch["rgb"])
        torch.testing.assert_close(recipe.predict(network, batch), out.segmentation)
        recipe.enter(step("alpha"), network)
        network.eval()
        torch.testing.assert_close(recipe.predict(network, batch), out.alpha)
    fresh = recipe.network()
    fresh.load_state_dict(network.state_dict())  # as a validation does
    assert fresh.alpha_begun


def test_live_encoder_has_efficientnets_own_names_under_one_prefix(recipe, network):
    from livematte.inference.encoders import EfficientNetLite0

    prefix = "deployable.segmentation.encoder."
    names = {n[len(prefix) :] for n in network.state_dict() if n.startswith(prefix)}
    assert names == set(EfficientNetLite0().state_dict())


def test_user_supplied_vgg_that_is_not_one_is_refused(tmp_path):
    from safetensors.torch import save_file

    from livematte.errors import WeightsError

    save_file({"x": torch.zeros(1)}, tmp_path / "vgg.safetensors")
    recipe = POMAGANRecipe("pomagan-live")
    recipe.options = {**recipe.options, "vgg19": str(tmp_path / "vgg.safetensors")}
    with pytest.raises(WeightsError, match=r"no tensor features\.0\.weight"):
        recipe.network()
