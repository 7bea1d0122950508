"""The training of Late Fusion (sec. 3.4), run by ``livematte train late-fusion-live``.

Three steps: the segmentation network alone, the fusion network alone, both together with batch
normalisation frozen; a cyclical rate in each. The README lists the differences from the paper.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from livematte.inference.encoders import DenseNet201, EfficientNetLite0
from livematte.models.late_fusion import losses, model
from livematte.models.late_fusion.network import LateFusion, late_fusion, late_fusion_live
from livematte.training.data import PeopleStore
from livematte.training.paper_augmentation import PaperAugmentation, paper_example, square
from livematte.training.recipe import (
    Batch,
    Plan,
    Recipe,
    fix_batch_norm,
    freeze,
    start_from_imagenet,
    start_from_published,
)
from livematte.training.steps import FINE, LARGE, LIVE, SMALL, Step, every_size

PRINTED = ((512, 512), (800, 800))
"""Crops of the printed size (sec. 4)."""

TURN = 45.0
"""Largest rotation in degrees, in both directions; the paper gives no number."""


class LateFusionRecipe(Recipe):
    """Both sizes: ``late-fusion`` as printed, ``late-fusion-live``."""

    def plan(self, scale: float, seed: int) -> Plan:
        """The paper's 15 : 4 : 7 epochs; for the live size, steps that are short enough for a CPU.

        ``scale`` = 1 is 26 epochs of 3500 iterations for the printed size, and about 3 h on 2 cores for all
        steps of the live one but the last, "every-size", which goes on for as long as there is time.
        """

        def n(iterations: int) -> int:
            return max(1, int(iterations * scale))

        if self.name == "late-fusion":  # rates between 5e-4 and 1.5e-3 (joint: 1e-3)
            epoch = 3500
            steps: tuple[Step, ...] = (
                Step("segmentation", n(15 * epoch), PRINTED, 8, 5e-4, 1.5e-3, 8),
                Step("fusion", n(4 * epoch), PRINTED, 8, 5e-4, 1.5e-3, 2),
                Step("joint", n(7 * epoch), PRINTED, 8, 5e-4, 1e-3, 4),
            )
            return Plan(self.name, seed, 1.0, 0.999, steps, {"imagenet": ""})
        steps = (
            Step("segmentation-small", n(2400), SMALL, 16, 5e-4, 2.5e-3),
            Step("segmentation", n(1125), LARGE, 12, 2e-4, 1.5e-3),
            Step("fusion", n(100), LARGE, 12, 5e-4, 1.5e-3),
            Step("joint", n(1000), LARGE, 12, 5e-6, 1e-3),
            Step("joint-again", n(1125), LARGE, 12, 5e-6, 8e-4),
            Step("crisp", n(6500), LIVE, 12, 2e-6, 1.2e-3),
            Step("crisp-fine", n(4000), FINE, 12, 2e-6, 1e-3),
            every_size(n(200_000)),
        )
        return Plan(self.name, seed, 0.3, 0.998, steps)

    def network(self) -> LateFusion:
        """The encoder starts from ImageNet weights: the live size's if they are installed, the printed size's
        from the file named by the option ``imagenet``.
        """
        if self.name == "late-fusion":
            network = late_fusion()
            assert isinstance(network.encoder, DenseNet201)
            start_from_published(network.encoder, self.options.get("imagenet", ""))
            return network
        network = late_fusion_live()
        assert isinstance(network.encoder, EfficientNetLite0)
        start_from_imagenet(network.encoder)
        return network

    def enter(self, step: Step, network: nn.Module) -> None:
        """Freeze and unfreeze; the live encoder's early layers are trained in the last step only."""
        assert isinstance(network, LateFusion)
        network.train()
        fusing = step.name == "fusion"
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.startswith("fusion.") or not fusing)
        if fusing:
            freeze(network.encoder, network.foreground, network.background)
        if step.name.startswith("joint") or step.scenes:
            fix_batch_norm(network)
        if isinstance(network.encoder, EfficientNetLite0) and not step.scenes:
            freeze(*network.encoder.early_layers())

    def picture(
        self, rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
    ) -> dict[str, NDArray[Any]]:
        """For the printed size a crop around a transition pixel, mirrored and rotated (sec. 4)."""
        if self.name != "late-fusion":
            return super().picture(rng, people, step, height, width)
        example = paper_example(rng, people, PaperAugmentation((square(height, width),), turn=TURN))
        return {"rgb": example["rgb"], "alpha": example["alpha"]}

    def losses(self, step: Step, network: nn.Module, batch: Batch, player: str) -> dict[str, Tensor]:
        """Eq. 7 for the segmentation network, eq. 8 for the fusion network, eq. 9 for both."""
        assert isinstance(network, LateFusion)
        alpha = batch["alpha"]
        if step.name.startswith("segmentation"):
            return {"segmentation": losses.segmentation(network.segment(batch["rgb"]), alpha)}
        output = network(batch["rgb"], sides=step.name != "fusion")
        own = {"fusion": losses.fusion, "crisp": losses.crisp, "crisp-fine": losses.crisp}
        own["every-size"] = losses.crisp
        return {step.name: own.get(step.name, losses.joint)(output, alpha)}

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Alpha of eq. 2."""
        alpha: Tensor = network(batch["rgb"]).alpha
        return alpha


late_fusion_recipe = LateFusionRecipe("late-fusion")
late_fusion_live_recipe = LateFusionRecipe("late-fusion-live", released=model.LIVE)
