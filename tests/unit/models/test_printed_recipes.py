"""What the printed sizes' recipes share: encoders that start from published weights."""

import pytest
import torch
from safetensors.torch import save_file

from livematte.encoders import DenseNet201, ResNet50
from livematte.errors import WeightsError
from livematte.models.fba.network import StandardisedConv2d, group_norm
from livematte.models.fba.recipe import fba_recipe
from livematte.models.jmnet.recipe import jmnet_recipe
from livematte.models.late_fusion.recipe import late_fusion_recipe

ENCODERS = {
    "jmnet": (jmnet_recipe, ResNet50),
    "late-fusion": (late_fusion_recipe, DenseNet201),
    "fba": (fba_recipe, lambda: ResNet50(32, 3, StandardisedConv2d, group_norm)),
}


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
    for file, says in (("some", "does not fit ResNet50: ImageNet weights lack"), ("none", "not a whole")):
        options = {"imagenet": str(tmp_path / f"{file}.safetensors")}
        monkeypatch.setattr(jmnet_recipe, "options", options)
        with pytest.raises(WeightsError, match=says):
            jmnet_recipe.network()
