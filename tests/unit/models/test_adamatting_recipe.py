"""The training of sec. 4.1: crops, trimaps, rates; and that it learns."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from livematte.models.adamatting.network import adamatting_live
from livematte.models.adamatting.recipe import adamatting_live_recipe, adamatting_recipe
from livematte.training.data import PeopleStore
from livematte.training.packing import pack
from livematte.training.recipe import as_tensors
from tests.people import noise_rooms, write_people

RECIPES = {"printed": adamatting_recipe, "live": adamatting_live_recipe}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A soft bright disk for a person, and two dark rooms."""
    data = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :280].astype(np.float32)
    alpha = np.clip((90 - np.hypot(y - 150, x - 140)) / 8, 0, 1)
    picture = rng.integers(0, 60, (300, 280, 3)) + 190 * alpha[..., None]
    write_people(data, {"disk": (picture, alpha * 255)}, noise_rooms(rng, 90))
    return PeopleStore(pack(data, tmp_path_factory.mktemp("packed")))


def test_printed_plan_is_120_epochs_of_16_crops_at_a_rate_that_falls_to_0():
    (step,) = adamatting_recipe.plan(1.0, 1).steps
    assert step.batch == 16 and step.iterations == 120 * 431 * 100 // 16 and step.sizes == ((320, 320),)
    assert step.rate(0) == 1e-4
    assert step.rate(step.iterations // 2) == pytest.approx(1e-4 * 0.5**0.9, rel=1e-3)
    assert step.rate(step.iterations - 1) < 1e-8
    assert replace(step, iterations=10).rate(5) == pytest.approx(1e-4 * 0.5**0.9)


@pytest.mark.parametrize("which", RECIPES)
def test_scale_shortens_every_step(which):
    whole, tenth = (RECIPES[which].plan(scale, 1) for scale in (1.0, 0.1))
    for long, short in zip(whole.steps, tenth.steps, strict=True):
        assert short.iterations == long.iterations // 10


@pytest.mark.parametrize("which", RECIPES)
def test_pictures_come_with_a_trimap_of_0_half_and_1(which, people):
    recipe = RECIPES[which]
    step = recipe.plan(1.0, 1).steps[0]
    width = 96 if which == "live" else 64
    pictures = [recipe.picture(np.random.default_rng(n), people, step, 64, width) for n in range(6)]
    batch = as_tensors(pictures)
    assert batch["rgb"].shape == (6, 3, 64, width)
    assert batch["alpha"].shape == batch["trimap"].shape == (6, 1, 64, width)
    assert {*batch["trimap"].unique().tolist()} == {0.0, 0.5, 1.0}
    assert all(t.min() >= 0 and t.max() <= 1 for t in batch.values())


def test_held_out_trimap_is_the_same_every_time():
    rng = np.random.default_rng(0)
    alpha = np.asarray(cv2.circle(np.zeros((96, 96), np.uint8), (48, 48), 30, 255, -1))
    rgb = rng.integers(0, 256, (96, 96, 3), np.uint8)
    first, again, other = (adamatting_live_recipe.held_out(rgb, alpha, n)["trimap"] for n in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert {*first.unique().tolist()} <= {0.0, 0.5, 1.0} and first.shape == (1, 1, 96, 96)


def test_network_starts_with_both_task_weights_at_4():
    sigma = adamatting_live_recipe.network().log_sigma.detach().exp()
    torch.testing.assert_close(sigma, torch.full((2,), 4.0))


@pytest.mark.parametrize("which", RECIPES)
def test_a_few_iterations_lower_the_loss(which, people):
    """The live network with either size's loss."""
    torch.manual_seed(1)
    recipe, network = RECIPES[which], adamatting_live()
    step = recipe.plan(1.0, 1).steps[0]
    recipe.enter(step, network)
    assert all(p.requires_grad for p in network.parameters()) and network.training
    rng = np.random.default_rng(0)
    batch = as_tensors([recipe.picture(rng, people, step, 64, 64) for _ in range(4)])
    weights = network.log_sigma.detach().exp()
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p is not network.log_sigma], 2e-3)
    tasks = []
    for _ in range(12):
        terms = recipe.losses(step, network, batch, "network")
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
        tasks.append((terms["trimap"] * 2 * weights[0] ** 2).item())
    assert min(tasks[-3:]) < 0.7 * tasks[0]


def test_prediction_is_the_networks_alpha(people):
    network = adamatting_live().eval()
    step = adamatting_live_recipe.plan(1.0, 1).steps[0]
    batch = as_tensors([adamatting_live_recipe.picture(np.random.default_rng(0), people, step, 64, 64)])
    with torch.inference_mode():
        expected = network(batch["rgb"], batch["trimap"]).alpha
        torch.testing.assert_close(adamatting_live_recipe.predict(network, batch), expected)
