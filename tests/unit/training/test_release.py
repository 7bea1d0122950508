"""Release of trained weights: every live recipe names its model; files and card are written together."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from livematte import registry
from livematte.inference.weights import load_into, read_card, sha256
from livematte.models.adamatting import model as adamatting
from livematte.models.adamatting.network import adamatting_live
from livematte.training.checkpoints import save_checkpoint
from livematte.training.packing import pack
from livematte.training.release import install, main
from tests.people import draw_people


@pytest.mark.parametrize("name", registry.names("recipes"))
def test_a_recipe_releases_the_model_of_its_name_exactly_if_weights_are_shipped(name):
    recipe = registry.load("recipes", name)
    assert recipe.name == name
    if not name.endswith("-live"):
        assert recipe.released is None
        return
    assert recipe.released.name == name == read_card(recipe.released.card).name
    assert (recipe.released.int8 is not None) == (read_card(recipe.released.card).file("int8") is not None)


def test_a_model_without_shipped_weights_cannot_be_released(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["late-fusion", "average.safetensors"])
    assert ended.value.code == 2 and "late-fusion has no shipped weights" in capsys.readouterr().err


def test_a_release_writes_the_weights_and_a_card_with_their_hash_and_metrics(tmp_path):
    cache = pack(draw_people(tmp_path / "data", side=128), tmp_path / "packed")
    torch.manual_seed(0)
    network = adamatting_live()
    save_checkpoint(tmp_path / "average.safetensors", network.state_dict(), {"iteration": 3})
    card = tmp_path / "model" / "card-live.toml"
    card.parent.mkdir()
    card.write_text(Path(adamatting.LIVE.card).read_text("utf-8"), "utf-8")
    with torch.no_grad():
        install(replace(adamatting.LIVE, card=card), tmp_path / "average.safetensors", cache, count=2)
    written = read_card(card)
    (file,) = written.files
    assert file.precision == "fp16" and file.sha256 == sha256(file.path)
    load_into(adamatting_live(), file.path)
    assert written.facts["checkpoint"]["iteration"] == 3 and written.facts["metrics"]["pictures"] == 2
    assert set(written.facts["metrics"]["fp16"]) >= {"mad", "mse", "given_mad", "given_mse", "off_mean"}
    assert written.facts["limits"] == read_card(adamatting.LIVE.card).facts["limits"]
