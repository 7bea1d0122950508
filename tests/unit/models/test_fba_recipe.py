"""The recipe on drawn people: examples, what is shown while it trains, and the judge of what it made."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from livematte.models.fba.encoding import encode_trimap
from livematte.models.fba.model import LIVE
from livematte.models.fba.network import fba_live
from livematte.models.fba.recipe import fba_live_recipe
from livematte.training.data import PeopleStore
from livematte.training.packing import pack
from livematte.training.recipe import as_tensors
from livematte.training.release import validate_refiner
from tests.people import draw_people


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return pack(draw_people(folder / "data", side=256), folder / "packed")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return fba_live().eval()


def pictures(cache, count=4):
    people, step = PeopleStore(cache), fba_live_recipe.plan(1, 1).steps[0]
    return [fba_live_recipe.picture(np.random.default_rng(n), people, step, 96, 64) for n in range(count)]


def test_an_example_has_both_layers_and_its_trimap_as_the_network_takes_it(cache):
    for example in pictures(cache):
        assert {k: v.shape[:2] for k, v in example.items()} == dict.fromkeys(example, (96, 64))
        assert set(example) == {"rgb", "alpha", "trimap", "foreground", "background", "encoding"}
        assert set(np.unique(example["trimap"])) <= {0, 128, 255}
        np.testing.assert_array_equal(example["encoding"], encode_trimap(example["trimap"]))


def test_foregrounds_are_the_persons_colour_all_over(cache):  # sec. 3.5
    """Drawn bodies have one colour, before stripes: what is beyond the alpha is near it too."""
    seen = 0
    for example in pictures(cache, 8):
        solid, clear = example["alpha"] > 250, example["alpha"] == 0
        if solid.mean() > 0.05 and clear.mean() > 0.05:
            body = np.median(example["foreground"][solid], 0)
            assert np.abs(np.median(example["foreground"][clear], 0) - body).max() < 25
            seen += 1
    assert seen >= 2


def test_an_example_is_a_function_of_its_seed(cache):
    for one, two in zip(pictures(cache, 2), pictures(cache, 2), strict=True):
        for name, array in one.items():
            np.testing.assert_array_equal(array, two[name])


def test_held_out_pictures_have_always_the_same_trimap_and_what_it_knows_is_predicted(network):
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    alpha = np.zeros((64, 96), np.uint8)
    alpha[16:48, 30:70] = 255
    batch, again = (fba_live_recipe.held_out(rgb, alpha, 3) for _ in range(2))
    torch.testing.assert_close(batch, again)
    with torch.no_grad():
        out = fba_live_recipe.predict(network, batch)
    assert out.shape == (1, 1, 64, 96) and out.dtype == torch.float32
    known = (batch["trimap"] == 0) | (batch["trimap"] == 1)
    assert 0 < known.float().mean() < 1
    torch.testing.assert_close(out[known], batch["trimap"][known], atol=1e-5, rtol=0)


def test_prediction_of_a_batch_is_that_of_its_pictures(network, cache):
    examples = pictures(cache, 2)
    with torch.no_grad():
        whole = fba_live_recipe.predict(network, as_tensors(examples))
        parts = [fba_live_recipe.predict(network, as_tensors([e])) for e in examples]
    torch.testing.assert_close(whole, torch.cat(parts), atol=1e-4, rtol=0)


def test_the_judge_measures_alpha_and_colour_against_what_was_given(network, cache, tmp_path):
    save_file(network.state_dict(), tmp_path / "untrained.safetensors")
    file, held_out = tmp_path / "untrained.safetensors", PeopleStore(cache, validation=True)
    row, alphas = validate_refiner(LIVE, file, held_out, 2)
    assert len(alphas) == 2 and alphas[0].shape == (256, 256)
    assert set(row) == {"mad", "mse", "color_mse", "given_mad", "given_mse", "given_color_mse"}
    assert 0 < row["mse"] < row["mad"] < 500 and row["given_color_mse"] > 0
