"""The training of JMNet (sec. 3.4), run by ``livematte train jmnet-live``.

Two stages: "guided", in which the inputs of the trimap and matting networks are the true heatmaps and
trimaps, and "own", in which they are the outputs of the earlier subnetworks. The README lists the differences
from the paper.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from livematte.inference.encoders import EfficientNetLite0, ResNet50
from livematte.models.jmnet import guides, losses, model
from livematte.models.jmnet.network import Guides, JMNet, jmnet, jmnet_live
from livematte.training.data import PeopleStore
from livematte.training.paper_augmentation import PaperAugmentation, paper_portrait, square
from livematte.training.recipe import (
    Batch,
    Plan,
    Recipe,
    fix_batch_norm,
    freeze,
    start_from_imagenet,
    start_from_published,
    step_example,
)
from livematte.training.steps import FINE, LIVE, SMALL, Step, every_size

PRINTED = ((320, 320),)
SIDES = (320, 480, 640)
"""Crops of the printed size: these sides, all resized to the same (sec. 3.4)."""

EPOCH = 51_600 // 32
"""Iterations of the paper's epoch (sec. 3.4 and 4.1)."""


class JMNetRecipe(Recipe):
    """Both sizes: ``jmnet`` as printed, ``jmnet-live``."""

    def plan(self, scale: float, seed: int) -> Plan:
        """The two stages; of five epochs each for the printed size, shorter and unequal for the live one.

        ``scale`` = 1 of the live size is about two hours on 2 cores for all steps but the last, "every-size",
        which runs as long as there is time, if the encoder starts from one that was trained for matting
        (``--start-from``).
        """

        def n(iterations: int) -> int:
            return max(1, int(iterations * scale))

        if self.name == "jmnet":
            steps: tuple[Step, ...] = (
                Step("guided", n(5 * EPOCH), PRINTED, 32, 1e-5, 1e-5),
                Step("own", n(5 * EPOCH), PRINTED, 32, 1e-5, 1e-5),
            )
            return Plan(self.name, seed, 1.0, 0.999, steps, {**losses.WEIGHTS, "imagenet": ""})
        steps = (
            Step("guided", n(600), SMALL, 16, 3e-4, 2.5e-3),
            Step("own", n(1600), LIVE, 12, 2e-6, 2e-3),
            Step("own-fine", n(2400), FINE, 12, 2e-6, 1.2e-3),
            every_size(n(200_000)),
        )
        return Plan(self.name, seed, 0.3, 0.998, steps, dict(losses.WEIGHTS))

    def network(self) -> JMNet:
        """The encoder starts from ImageNet weights: the live size's if they are installed, the printed size's
        from the file named by the option ``imagenet``.
        """
        if self.name == "jmnet":
            network = jmnet()
            assert isinstance(network.encoder, ResNet50)
            start_from_published(network.encoder, self.options.get("imagenet", ""))
            return network
        network = jmnet_live()
        assert isinstance(network.encoder, EfficientNetLite0)
        start_from_imagenet(network.encoder)
        return network

    def optimizer(self, step: Step, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Adam for the printed size (sec. 3.4)."""
        if self.name == "jmnet":
            return torch.optim.Adam(groups, lr=step.base_rate)
        return super().optimizer(step, groups)

    def enter(self, step: Step, network: nn.Module) -> None:
        """All parameters are trained, except the live encoder's early layers before the last step."""
        assert isinstance(network, JMNet)
        network.train()
        network.requires_grad_(True)
        if isinstance(network.encoder, EfficientNetLite0) and not step.scenes:
            freeze(*network.encoder.early_layers())
        if step.scenes:
            fix_batch_norm(network)

    def picture(
        self, rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
    ) -> dict[str, NDArray[Any]]:
        """Picture, alpha, foreground and background, and the true heatmaps and trimap.

        ``posed`` is 0 if the joints of a person are unknown, ``layered`` is 0 if the background is unknown.
        """
        if self.name == "jmnet":
            example = paper_portrait(rng, people, PaperAugmentation(SIDES, square(height, width)))
        else:
            example = step_example(rng, people, step, height, width)
        joints = [person.keypoints for person in example.people]
        layered = example.background is not None
        return {
            "rgb": example.rgb,
            "alpha": example.alpha,
            "foreground": example.foreground(),
            "background": example.background if example.background is not None else example.rgb,
            "layered": np.full((1, 1, 1), layered, np.float32),
            "heatmaps": guides.heatmaps((j for j in joints if j is not None), height, width),
            "posed": np.full((1, 1, 1), all(j is not None for j in joints), np.float32),
            "trimap": guides.trimap(rng, example.alpha),
        }

    def losses(self, step: Step, network: nn.Module, batch: Batch, player: str) -> dict[str, Tensor]:
        """The terms of eq. 6."""
        given = None
        if step.name == "guided":
            given = Guides(batch["heatmaps"], batch["posed"], batch["trimap"])
        weights = {name: float(self.options.get(name, weight)) for name, weight in losses.WEIGHTS.items()}
        return losses.total(network(batch["rgb"], given), batch, weights)

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Alpha of eq. 2."""
        alpha: Tensor = network(batch["rgb"]).alpha
        return alpha


jmnet_recipe = JMNetRecipe("jmnet")
jmnet_live_recipe = JMNetRecipe("jmnet-live", released=model.LIVE)
