"""The whole training story of JMNet (sec. 3.4), run by ``livematte train jmnet-live``.

Two stages: "guided", in which the trimap and the matting network see the true heatmaps and trimaps, and
"own", in which each sees what the subnetworks before it give. What differs from the paper is in the README.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from livematte.encoders import EfficientNetLite0, ResNet50
from livematte.models.jmnet import guides, losses
from livematte.models.jmnet.network import Guides, JMNet, jmnet, jmnet_live
from livematte.training.augment import training_example
from livematte.training.classic import Classic, classic_portrait, square
from livematte.training.data import PeopleStore
from livematte.training.recipe import (
    FINE,
    LIVE,
    SMALL,
    Batch,
    Plan,
    Recipe,
    Step,
    freeze,
    start_from_imagenet,
    start_from_published,
)

PRINTED = ((320, 320),)
SIDES = (320, 480, 640)
"""Crops of the printed size: of these sides, resized to one (sec. 3.4)."""

EPOCH = 51_600 // 32
"""Iterations of the paper's epoch (sec. 3.4 and 4.1)."""


class JMNetRecipe(Recipe):
    """Both sizes: ``jmnet`` as printed, ``jmnet-live``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def plan(self, scale: float, seed: int) -> Plan:
        """The two stages; of five epochs each for the printed size, shorter and unequal for the live one.

        ``scale`` = 1 of the live size is about two hours on 2 cores; that wants an encoder that
        mattes already (``--start-from``).
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
        )
        return Plan(self.name, seed, 0.3, 0.998, steps, dict(losses.WEIGHTS))

    def network(self) -> JMNet:
        """The encoder starts from ImageNet: the live one where its weights are installed, the printed one's
        are in the file that the option ``imagenet`` names.
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
        """Everything learns; the live encoder's early layers stay as they came."""
        assert isinstance(network, JMNet)
        network.train()
        network.requires_grad_(True)
        if isinstance(network.encoder, EfficientNetLite0):
            freeze(*network.encoder.early_layers())

    def picture(
        self, rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
    ) -> dict[str, NDArray[Any]]:
        """Picture, alpha and its layers, and what the pose and trimap networks should give.

        ``posed`` is 0 where somebody's joints are not known, ``layered`` where the background is not.
        """
        if self.name == "jmnet":
            example = classic_portrait(rng, people, Classic(SIDES, square(height, width)))
        else:
            example = training_example(rng, people, height, width)
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
jmnet_live_recipe = JMNetRecipe("jmnet-live")
