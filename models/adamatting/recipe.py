"""The training of AdaMatting (sec. 4.1), run by ``livematte train adamatting-live``.

One step with the multi-task loss; the live size has two, with small and with large crops. The README lists
the differences from the paper.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from livematte.inference.encoders import EfficientNetLite0
from livematte.models.adamatting import losses, model
from livematte.models.adamatting.network import AdaMatting, adamatting, adamatting_live
from livematte.training.data import PeopleStore
from livematte.training.paper_augmentation import PaperAugmentation, paper_example, square
from livematte.training.recipe import Batch, Plan, Recipe, as_tensors, start_from_imagenet
from livematte.training.steps import Step
from livematte.training.trimaps import coarse_trimap, eroded_trimap
from livematte.training.uncertain_crops import MODEL_TRIMAP_SHARE, refiner_example

PRINTED = ((320, 320),)
SIDES = tuple(range(320, 801, 80))
"""Crops of the printed size: these sides around soft pixels, all resized to the same (sec. 4.1)."""

SMALL, LARGE = ((96, 96),), ((160, 160), (128, 192), (192, 128))
"""Crops of the live size."""

COARSE = 0.6
"""Share of the live size's drawn trimaps that come from a degraded small alpha."""


class PolyStep(Step):
    """A step whose rate falls from ``top_rate`` as (1 - iteration / iterations)^0.9 (sec. 4.1)."""

    def rate(self, iteration: int) -> float:
        """The "poly" policy."""
        return self.top_rate * float((1 - iteration / self.iterations) ** 0.9)


class AdaMattingRecipe(Recipe):
    """Both sizes: ``adamatting`` as printed, ``adamatting-live``."""

    def plan(self, scale: float, seed: int) -> Plan:
        """The paper's 120 epochs of 16 crops from 43,100 composites; fewer iterations for the live size.

        ``scale`` = 1 is 323,250 iterations for the printed size, and about 25 minutes of one core for the
        live one.
        """

        def n(iterations: int) -> int:
            return max(1, int(iterations * scale))

        if self.name == "adamatting":
            steps: tuple[Step, ...] = (PolyStep("multitask", n(323_250), PRINTED, 16, 0.0, 1e-4),)
            return Plan(self.name, seed, 1.0, 0.999, steps)
        steps = (
            Step("small", n(700), SMALL, 16, 2e-4, 2e-3),
            Step("large", n(900), LARGE, 12, 5e-6, 1.5e-3),
        )
        return Plan(self.name, seed, 0.3, 0.995, steps, {"found": MODEL_TRIMAP_SHARE})

    def network(self) -> AdaMatting:
        """The live encoder starts from ImageNet weights if they are installed; the printed one does not."""
        if self.name == "adamatting":
            return adamatting()
        network = adamatting_live()
        assert isinstance(network.encoder, EfficientNetLite0)
        start_from_imagenet(network.encoder)
        return network

    def optimizer(self, step: Step, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Adam with a weight decay of 1e-4 for the printed size (sec. 4.1)."""
        if self.name == "adamatting":
            return torch.optim.Adam(groups, lr=step.top_rate, weight_decay=1e-4)
        return super().optimizer(step, groups)

    def enter(self, step: Step, network: nn.Module) -> None:
        """All parameters are trained."""
        network.train().requires_grad_(True)

    def picture(
        self, rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
    ) -> dict[str, NDArray[Any]]:
        """A crop around a soft outline, and a trimap of it (H, W): 0, 0.5 or 1."""
        if self.name == "adamatting":
            augmentation = PaperAugmentation(SIDES, square(height, width), turn=45, scale=(0.75, 1.5))
            example = paper_example(rng, people, augmentation)
            rgb, alpha = example["rgb"], example["alpha"]
            trimap = eroded_trimap(rng, alpha)
        else:
            model_trimaps = float(self.options.get("found", 0.0))
            rgb, alpha, _, _, trimap = refiner_example(rng, people, height, width, model_trimaps, COARSE)
        return {"rgb": rgb, "alpha": alpha, "trimap": _halves(trimap)}

    def losses(self, step: Step, network: nn.Module, batch: Batch, player: str) -> dict[str, Tensor]:
        """Eq. 3."""
        assert isinstance(network, AdaMatting)
        output = network(batch["rgb"], batch["trimap"])
        chosen = losses.multitask if self.name == "adamatting" else losses.multitask_live
        return chosen(output, batch["alpha"], network.log_sigma)

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Alpha constrained by the adapted trimap."""
        alpha: Tensor = network(batch["rgb"], batch["trimap"]).alpha
        return alpha

    def held_out(self, picture: NDArray[np.uint8], alpha: NDArray[np.uint8], number: int) -> Batch:
        """With a trimap like those made from the alpha of a network without trimap."""
        trimap = _halves(coarse_trimap(np.random.default_rng(number), alpha))
        return as_tensors([{"rgb": picture, "alpha": alpha, "trimap": trimap}])


def _halves(trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
    """0, 128, 255 as exactly 0, 0.5, 1."""
    return np.asarray(0.5 * (trimap > 63) + 0.5 * (trimap > 191), np.float32)


adamatting_recipe = AdaMattingRecipe("adamatting")
adamatting_live_recipe = AdaMattingRecipe("adamatting-live", released=model.LIVE)
