"""What the printed sizes share: published weights to start from, the papers' own crops and optimisers."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from livematte.errors import UsageError, WeightsError
from livematte.inference.encoders import DenseNet201, ResNet50
from livematte.models.adamatting.recipe import adamatting_live_recipe, adamatting_recipe
from livematte.models.fba.network import StandardisedConv2d, group_norm
from livematte.models.fba.recipe import fba_live_recipe, fba_recipe
from livematte.models.jmnet.network import SMALL
from livematte.models.jmnet.recipe import jmnet_live_recipe, jmnet_recipe
from livematte.models.late_fusion.recipe import late_fusion_live_recipe, late_fusion_recipe
from livematte.models.pomagan.recipe import pomagan_live_recipe, pomagan_recipe
from livematte.training.data import PeopleStore
from livematte.training.packing import pack
from livematte.training.paper_augmentation import PaperAugmentation, paper_portrait
from tests.people import noise_rooms, write_people

ENCODERS = {
    "jmnet": (jmnet_recipe, ResNet50),
    "late-fusion": (late_fusion_recipe, DenseNet201),
    "fba": (fba_recipe, lambda: ResNet50(32, 3, StandardisedConv2d, group_norm)),
}

SQUARES = (jmnet_recipe, late_fusion_recipe, fba_recipe, adamatting_recipe)

MIDDLE = (130.0, 150.0)
"""x and y of joint 0, the middle of the person; joint 2, the right shoulder, is at its left rim."""


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A soft disk for a person, brighter towards the bottom, whose joints are known; rooms."""
    data = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :280].astype(np.float32)
    alpha = np.clip((60 - np.hypot(y - MIDDLE[1], x - MIDDLE[0])) / 8, 0, 1)
    picture = rng.integers(0, 60, (300, 280, 3)) + (100 + 0.3 * y[..., None]) * alpha[..., None]
    joints = [[0.0, 0.0, 0.0] for _ in range(25)]
    joints[0], joints[2] = [*MIDDLE, 1.0], [MIDDLE[0] - 60, MIDDLE[1], 1.0]
    write_people(data, {"disk": (picture, alpha * 255)}, noise_rooms(rng, 90), {"disk": joints})
    return PeopleStore(pack(data, tmp_path_factory.mktemp("packed")))


def pictures(recipe, people, count=8, side=64):
    step = recipe.plan(1, 1).steps[0]
    return [recipe.picture(np.random.default_rng(n), people, step, side, side) for n in range(count)]


@pytest.mark.parametrize("name", ENCODERS)
def test_printed_encoders_start_from_the_weights_that_the_option_names(name, tmp_path, monkeypatch):
    recipe, build = ENCODERS[name]
    torch.manual_seed(1)
    tensors = {k: v.contiguous() for k, v in build().state_dict().items()}
    save_file(tensors, tmp_path / "published.safetensors")
    plan = recipe.plan(1, 1).changed({"options": {"imagenet": str(tmp_path / "published.safetensors")}})
    monkeypatch.setattr(recipe, "options", plan.options)
    own = recipe.network().encoder.state_dict()
    for key, tensor in tensors.items():
        taken = own[key][:, : tensor.shape[1]] if key == "conv1.weight" else own[key]  # 9 channels: RGB first
        torch.testing.assert_close(taken, tensor, rtol=0, atol=0, msg=key)


def test_a_file_that_is_not_the_encoders_is_refused(tmp_path, monkeypatch):
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "some.safetensors")
    for file, says in (("some", "does not fit ResNet50: ImageNet weights lack"), ("none", "not a complete")):
        options = {"imagenet": str(tmp_path / f"{file}.safetensors")}
        monkeypatch.setattr(jmnet_recipe, "options", options)
        with pytest.raises(WeightsError, match=says):
            jmnet_recipe.network()


@pytest.mark.parametrize("recipe", SQUARES, ids=lambda r: r.name)
def test_printed_crops_show_soft_edges_and_are_functions_of_their_seed(recipe, people):
    first, again = (pictures(recipe, people) for _ in range(2))
    for one, two in zip(first, again, strict=True):
        assert all(np.array_equal(one[k], two[k]) for k in one)
        assert one["rgb"].shape == (64, 64, 3) and one["alpha"].shape == (64, 64)
    assert np.mean([((p["alpha"] > 5) & (p["alpha"] < 250)).any() for p in first]) == 1
    with pytest.raises(UsageError, match="crops of 64x96 are invalid"):
        recipe.picture(np.random.default_rng(0), people, recipe.plan(1, 1).steps[0], 64, 96)


def soft_pixels(alpha):
    return int(((alpha > 5) & (alpha < 250)).sum())


def test_late_fusions_crops_are_not_resized(people):
    """Sec. 4: the disk's edge stays as long and as soft as it is in the photograph."""
    made = pictures(late_fusion_recipe, people, side=200)
    whole = soft_pixels(people.person(0).alpha)
    assert 0.9 * whole < np.median([soft_pixels(p["alpha"]) for p in made]) < 1.15 * whole
    assert set(made[0]) == {"rgb", "alpha"}


def test_adamattings_trimaps_are_right_and_of_every_width(people):
    """Sec. 4.1: random erosion; none of a coarse alpha, which the live size has."""
    known = set()
    for p in pictures(adamatting_recipe, people, 12):
        assert set(np.unique(p["trimap"])) <= {0, 0.5, 1}
        assert (p["alpha"][p["trimap"] == 0] <= 5).all() and (p["alpha"][p["trimap"] == 1] >= 250).all()
        known.add(round(float((p["trimap"] != 0.5).mean()), 1))
    assert len(known) > 2


def test_fbas_examples_fulfil_the_compositing_equation_and_have_two_objects_at_times(people):
    """Sec. 3.5 and 3.6. The packed disk has no hole: two of them have more than one where they lie apart."""
    covered = []
    for p in pictures(fba_recipe, people, 24):
        a = p["alpha"][..., None] / 255
        seen = p["alpha"] >= 32  # below, colours are carried on
        composite = a * p["foreground"] + (1 - a) * p["background"]
        assert np.abs(composite - p["rgb"])[seen].max() <= 0.51
        soft = (p["alpha"] > 0) & (p["alpha"] < 255)
        assert (p["trimap"][soft] == 128).all() and p["encoding"].shape == (64, 64, 6)
        covered.append(p["alpha"].mean())
    assert np.ptp(covered) > 40


def test_jmnets_joints_go_where_the_crop_takes_the_person(people):
    mirrored = set()
    for seed in range(12):
        example = paper_portrait(np.random.default_rng(seed), people, PaperAugmentation((320, 480), 160))
        (person,) = example.people
        y, x = np.mgrid[:160, :160]
        weight = person.alpha / person.alpha.sum(dtype=float)
        joints = person.keypoints
        assert np.abs(joints[0, :2] - ((x * weight).sum(), (y * weight).sum())).max() < 0.7
        right, left = joints[2], joints[5]
        side = right if right[2] else left  # in a mirror the right shoulder is the left one
        assert (right[2] > 0) != (left[2] > 0)
        assert (side[0] < joints[0, 0]) == (right[2] > 0)
        mirrored.add(bool(left[2]))
    assert mirrored == {True, False}
    for p in pictures(jmnet_recipe, people):
        assert p["posed"] == 1 and p["layered"] == 1 and p["heatmaps"].shape == (64 // SMALL, 64 // SMALL, 25)
        a = p["alpha"][..., None] / 255
        assert np.abs(a * p["foreground"] + (1 - a) * p["background"] - p["rgb"]).max() <= 0.51


def made(recipe):
    """The optimiser of a small network with a norm."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(1, 4))
    step = recipe.plan(1, 1).steps[0]
    groups = [{"params": list(network.parameters()), "factor": 0.5}]
    return recipe.optimizer(step, groups), network


def test_printed_optimisers_are_the_papers():
    for recipe, decay in ((jmnet_recipe, 0), (pomagan_recipe, 0), (adamatting_recipe, 1e-4)):
        optimizer, _ = made(recipe)
        assert type(optimizer) is torch.optim.Adam
        assert [(g["weight_decay"], g["factor"]) for g in optimizer.param_groups] == [(decay, 0.5)]
    optimizer, network = made(fba_recipe)
    assert type(optimizer) is torch.optim.RAdam
    assert [(g["weight_decay"], g["factor"], len(g["params"])) for g in optimizer.param_groups] == [
        (0.005, 0.5, 1),
        (1e-5, 0.5, 3),
    ]
    assert optimizer.param_groups[0]["params"][0] is network[0].weight


def test_live_sizes_are_trained_with_adamw():
    for recipe in (
        jmnet_live_recipe,
        pomagan_live_recipe,
        adamatting_live_recipe,
        fba_live_recipe,
        late_fusion_live_recipe,
    ):
        assert type(made(recipe)[0]) is torch.optim.AdamW
