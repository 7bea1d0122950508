"""Sec. 3.4: the guides, the two stages, and that they train."""

import numpy as np
import pytest
import torch
from torch import nn

from livematte.models.jmnet import guides, losses, recipe
from livematte.models.jmnet.network import BACKGROUND, FOREGROUND, UNKNOWN, jmnet_live
from livematte.training.data import PeopleStore
from livematte.training.packing import pack
from livematte.training.recipe import as_tensors
from tests.people import noise_rooms, write_people


def test_a_joint_is_a_gaussian_of_one_heatmap_pixel():
    joints = np.zeros((25, 3), np.float32)
    joints[4] = (8 * 3 + 3.5, 8 * 2 + 3.5, 1.0)  # the middle of cell (2, 3)
    maps = guides.heatmaps([joints], 48, 64)
    assert maps.shape == (6, 8, 25) and maps.dtype == np.float32
    assert maps[2, 3, 4] == 1 and maps[..., 4].argmax() == 2 * 8 + 3
    assert maps[2, 4, 4] == pytest.approx(np.exp(-0.5)) and maps[4, 3, 4] == pytest.approx(np.exp(-2))
    assert not np.delete(maps, 4, axis=2).any()


def test_joints_unseen_or_far_outside_leave_no_trace_and_two_people_share_a_map():
    hidden, outside = np.zeros((25, 3), np.float32), np.zeros((25, 3), np.float32)
    hidden[0], outside[0] = (20, 20, 0.2), (-300, 20, 1)
    assert guides.heatmaps([hidden, outside], 32, 32).max() < 1e-6
    left, right = np.zeros((25, 3), np.float32), np.zeros((25, 3), np.float32)
    left[0], right[0] = (3.5, 3.5, 1), (51.5, 3.5, 1)
    maps = guides.heatmaps([left, right], 8, 56)[0, :, 0]
    assert maps[0] == maps[6] == 1 and maps[3] < 0.02
    assert not guides.heatmaps([], 32, 32).any()


def soft_disk(side=320):
    y, x = np.mgrid[:side, :side] - side / 2
    return (np.clip((0.3 * side - np.hypot(y, x)) / 6 + 0.5, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("side", [320, 160])
def test_trimap_dilates_what_is_soft_by_5_to_20_pixels_of_320(side):
    alpha = soft_disk(side)
    soft = ((alpha > guides.LOW) & (alpha < guides.HIGH))[side // 2].sum() / 2  # on one side of the disk
    reached = set()
    for seed in range(40):
        trimap = guides.trimap(np.random.default_rng(seed), alpha)
        assert trimap.shape == (side, side, 3) and set(np.unique(trimap)) == {0, 255}
        assert (trimap.astype(int).sum(-1) == 255).all()
        assert (alpha[trimap[..., BACKGROUND] > 0] <= guides.LOW).all()
        assert (alpha[trimap[..., FOREGROUND] > 0] >= guides.HIGH).all()
        reached.add((trimap[side // 2, :, UNKNOWN] > 0).sum() / 2 - soft)
    scale = side / 320
    # a kernel of k pixels reaches (k - 1) / 2 to either side of the soft band
    assert 3 * scale <= min(reached) <= 7 * scale and 15 * scale <= max(reached) <= 20 * scale


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """One person, packed, whose joints are known, and one whose joints are not."""
    data = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    pose = {"known": [[160 + 3 * j, 120 + 4 * j, 1.0] for j in range(25)]}
    drawn = {}
    for name in ("known", "unknown"):
        alpha = soft_disk()
        image = rng.integers(0, 60, (320, 320, 3)) + 0.7 * alpha[..., None]
        drawn[name] = image, alpha
    write_people(data, drawn, noise_rooms(rng), pose)
    return PeopleStore(pack(data, tmp_path_factory.mktemp("packed")))


live = recipe.jmnet_live_recipe
STEPS = {step.name: step for step in live.plan(1, 1).steps}


def batch(people, count=12, size=(64, 64)):
    rng = np.random.default_rng(3)
    make = live.picture
    return as_tensors([make(rng, people, STEPS["own"], *size) for _ in range(count)])


def test_a_batch_has_what_the_losses_take(people):
    b = batch(people)
    assert b["heatmaps"].shape == (12, 25, 8, 8) and b["trimap"].shape == (12, 3, 64, 64)
    assert all(b[k].min() >= 0 and b[k].max() <= 1 for k in b)
    assert set(b["posed"].flatten().tolist()) == set(b["layered"].flatten().tolist()) == {0.0, 1.0}
    nobody = b["posed"].flatten() == 0
    assert b["heatmaps"][~nobody].amax() > 0.5
    photographs = b["layered"].flatten() == 0
    assert torch.equal(b["background"][photographs], b["rgb"][photographs])  # a stand-in of weight 0


def test_two_stages_first_the_true_guides_then_its_own():
    stages = ["guided", "own"]
    for one, name, more in (
        (recipe.jmnet_recipe, "jmnet", []),
        (live, "jmnet-live", ["own-fine", "every-size"]),
    ):
        plan = one.plan(1, 5)
        assert (plan.model, plan.seed) == (name, 5)
        assert [step.name for step in plan.steps] == stages + more


def test_printed_stages_are_five_epochs_of_batches_of_32_at_the_printed_rate():
    for step in recipe.jmnet_recipe.plan(1, 1).steps:
        assert step.iterations == 5 * (51_600 // 32) and step.batch == 32 and step.sizes == ((320, 320),)
        assert step.rate(0) == step.rate(step.iterations // 2) == 1e-5


def test_scale_multiplies_iterations():
    whole, half = (live.plan(scale, 1).steps for scale in (1.0, 0.5))
    assert [b.iterations for b in half] == [a.iterations // 2 for a in whole]
    assert all(s.iterations == 1 for s in live.plan(1e-6, 1).steps)


def test_the_last_step_learns_from_scenes_and_changes_the_whole_encoder(people):
    step = STEPS["every-size"]
    assert step.scenes and live.picture(np.random.default_rng(0), people, step, 64, 64)["rgb"].shape[0] == 64
    network = jmnet_live()
    live.enter(step, network)
    assert all(p.requires_grad for p in network.parameters())


def test_only_the_guided_stage_sees_the_true_guides(people):
    torch.manual_seed(0)
    network = jmnet_live().eval()
    b = batch(people, 4, (32, 32))
    other = b | {"trimap": b["trimap"].roll(1, 1)}
    with torch.no_grad():
        for name, differs in (("guided", True), ("own", False)):
            one, two = (live.losses(STEPS[name], network, x, "network") for x in (b, other))
            assert (one["alpha"] != two["alpha"]) == differs
            assert one["trimap"] != two["trimap"]  # its loss follows the truth in both


def test_gradients_reach_every_parameter_in_both_stages(people):
    b = batch(people, 4)
    for name in ("guided", "own"):
        torch.manual_seed(0)
        network = jmnet_live().train()
        sum(live.losses(STEPS[name], network, b, "network").values()).backward()
        silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert silent == []


def test_early_layers_of_the_live_encoder_stay_as_they_came():
    network = jmnet_live()
    live.enter(STEPS["own"], network)
    frozen = {n.split(".")[1] for n, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {"_conv_stem", "_bn0", "_blocks"} and not network.encoder._bn0.training
    assert network.encoder._blocks[3].training and network.trimap.training
    assert all(p.requires_grad for n, p in network.named_parameters() if not n.startswith("encoder."))


@pytest.mark.parametrize("name", ["guided", "own"])
def test_a_few_iterations_lower_every_term(people, name):
    torch.manual_seed(1)
    network = live.network()
    nn.init.normal_(network.pose.conv4.weight, std=0.1)  # else the heatmaps begin next to their best mean
    live.enter(STEPS[name], network)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=4e-3)
    b = batch(people, 4)
    history = []
    for _ in range(12):
        terms = live.losses(STEPS[name], network, b, "network")
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
        history.append({k: v.item() for k, v in terms.items()})
    assert all(history[-1][k] < 0.9 * history[0][k] for k in losses.WEIGHTS), (history[0], history[-1])


def test_prediction_is_the_networks_alpha(people):
    torch.manual_seed(0)
    network = jmnet_live().eval()
    b = live.held_out(np.full((32, 64, 3), 90, np.uint8), np.zeros((32, 64), np.uint8), 0)
    with torch.inference_mode():
        torch.testing.assert_close(live.predict(network, b), network(b["rgb"]).alpha)
