"""The step ``every-size`` of all live recipes: whole encoders are trained, batch statistics are not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from livematte.models.jmnet.recipe import jmnet_live_recipe
from livematte.models.late_fusion.recipe import late_fusion_live_recipe
from livematte.models.pomagan.recipe import pomagan_live_recipe
from livematte.training.recipe import Recipe

RECIPES = (late_fusion_live_recipe, jmnet_live_recipe, pomagan_live_recipe)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_batches_do_not_change_the_statistics_of_the_generator(recipe: Recipe) -> None:
    """Its batches are of 3 to 16 crops of 18 sizes: statistics of such batches made moving pictures worse."""
    plan = recipe.plan(1, 1)
    recipe.options = plan.options
    network = recipe.network()
    recipe.enter(plan.steps[-1], network)
    generator = getattr(network, "deployable", network)
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)
    assert all(p.requires_grad for norm in norms for p in norm.parameters())
    before = [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]
    generator.requires_grad_(False)
    generator(torch.rand(1, 3, 64, 64))
    after = [norm.running_mean for norm in norms if norm.running_mean is not None]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
