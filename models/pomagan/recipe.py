"""The whole training story of POMAGAN (sec. 3.3), run by ``livematte train pomagan-live``.

The segmentation network first, then, with it frozen, the alpha network; each against discriminators of its
own. What differs from the paper, and what the paper does not say, is in the README.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from livematte.encoders import EfficientNetLite0
from livematte.models.pomagan import losses
from livematte.models.pomagan.network import pomagan, pomagan_live
from livematte.models.pomagan.training import MultiScaleDiscriminator, TrainedPOMAGAN, VGG19Features
from livematte.training.data import PeopleStore
from livematte.training.recipe import (
    FINE,
    LARGE,
    LIVE,
    SMALL,
    Batch,
    Option,
    Plan,
    Recipe,
    Step,
    freeze,
    imagenet_file,
    start_from_imagenet,
)
from livematte.weights import read_tensors

PRINTED = ((768, 1280),)
"""Height and width of the pictures (sec. 3.3)."""

PICTURES = 56_400
"""Training pictures (sec. 4): an epoch of the printed size."""

OPTIONS: Mapping[str, Option] = {
    "segmentation_perceptual": 10.0,  # lambda, beta and gamma of eq. 7
    "segmentation_pixels": 10.0,
    "segmentation_border": 10.0,
    "alpha_perceptual": 10.0,  # and of eq. 11
    "alpha_pixels": 100.0,
    "alpha_border": 100.0,
    "adversarial": 1.0,
    "border_share": 0.02,  # how far the border map reaches, in shorter sides of the picture
    "perceptual_scale": 1.0,  # what part of its sides a picture keeps for the perceptual loss
    "discriminator_rate": 0.1,  # of the generator's (sec. 3.3)
    "vgg19": "",  # a safetensors file with ImageNet weights; EfficientNet-Lite0 is used without
}
"""The printed coefficients, and what the paper leaves open."""


class POMAGANRecipe(Recipe):
    """Both sizes: ``pomagan`` as printed, ``pomagan-live``.

    ``options`` are those of the plan that runs; until they are set, the plan's own.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        scale = {"perceptual_scale": 0.5} if name == "pomagan-live" else {}
        self._defaults: Mapping[str, Option] = {**OPTIONS, **scale}
        self.options = self._defaults

    def plan(self, scale: float, seed: int) -> Plan:
        """Segmentation, then alpha. ``scale`` = 1 is ten epochs each for the printed size, two hours on
        2 cores for the live one.
        """

        def n(iterations: int) -> int:
            return max(1, int(iterations * scale))

        if self.name == "pomagan":  # 1e-4 for the generator, Adam, batches of two and of one
            steps: tuple[Step, ...] = (
                Step("segmentation", n(10 * PICTURES // 2), PRINTED, 2, 1e-4, 1e-4),
                Step("alpha", n(10 * PICTURES), PRINTED, 1, 1e-4, 1e-4),
            )
            return Plan(self.name, seed, 1.0, 0.999, steps, dict(self._defaults))
        steps = (
            Step("segmentation-small", n(1200), SMALL, 16, 3e-4, 2e-3),
            Step("segmentation", n(1600), LARGE, 12, 2e-6, 1.5e-3),
            Step("segmentation-fine", n(1200), FINE, 12, 2e-6, 1e-3),
            Step("alpha", n(1600), LIVE, 12, 2e-6, 2e-3),
            Step("alpha-fine", n(1200), FINE, 12, 2e-6, 1.2e-3),
        )
        return Plan(self.name, seed, 0.3, 0.998, steps, dict(self._defaults))

    def network(self) -> TrainedPOMAGAN:
        """Both generators, their discriminators and the perceptual features.

        Raises:
            WeightsError: the option ``vgg19`` names a file that is not there or not VGG-19's.
        """
        file = str(self.options["vgg19"])
        features: VGG19Features | EfficientNetLite0
        if file:
            features = VGG19Features(read_tensors(Path(file)))
        else:
            features = EfficientNetLite0()
            start_from_imagenet(features)
            if imagenet_file() is None:
                warnings.warn(
                    "the perceptual loss compares random features: install livematte[train] for ImageNet's",
                    stacklevel=2,
                )
        if self.name == "pomagan":
            return TrainedPOMAGAN(pomagan(), (64, 128, 256, 512), features)
        network = TrainedPOMAGAN(pomagan_live(), (16, 32, 64), features)
        assert isinstance(network.deployable.segmentation.encoder, EfficientNetLite0)
        start_from_imagenet(network.deployable.segmentation.encoder)
        return network

    def enter(self, step: Step, network: nn.Module) -> None:
        """Only the generator of this step and its discriminators learn (sec. 3.3: trained separately)."""
        assert isinstance(network, TrainedPOMAGAN)
        freeze(network)
        network.made = None
        generator = _generator(step, network)
        generator.requires_grad_(True)
        generator.train()
        _discriminator(step, network).requires_grad_(True).train()
        encoder = network.deployable.segmentation.encoder
        if isinstance(encoder, EfficientNetLite0):
            freeze(*encoder.early_layers())
        network.alpha_begun.fill_(step.name.startswith("alpha"))

    def players(self, step: Step) -> tuple[str, ...]:
        """They take turns on each batch."""
        return ("generator", "discriminator")

    def parameters(self, step: Step, network: nn.Module, player: str) -> list[nn.Parameter]:
        """The generator's or the discriminators' of this step."""
        assert isinstance(network, TrainedPOMAGAN)
        own = _discriminator(step, network) if player == "discriminator" else _generator(step, network)
        return [p for p in own.parameters() if p.requires_grad]

    def optimizer(self, step: Step, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Adam for the printed size (sec. 3.3)."""
        if self.name == "pomagan":
            return torch.optim.Adam(groups, lr=step.base_rate)
        return super().optimizer(step, groups)

    def rate_factor(self, step: Step, player: str) -> float:
        """What the step's rate is multiplied with: "ten times smaller" for the discriminator (sec. 3.3)."""
        return self._number("discriminator_rate") if player == "discriminator" else 1.0

    def picture(
        self, rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
    ) -> dict[str, NDArray[Any]]:
        """For the alpha network also ``background``: a room to combine the person with (eq. 8)."""
        example = super().picture(rng, people, step, height, width)
        if step.name.startswith("alpha"):
            room = people.room(int(rng.integers(len(people.rooms))))
            example["background"] = np.asarray(cv2.resize(room, (width, height)), np.uint8)
        return example

    def losses(self, step: Step, network: nn.Module, batch: Batch, player: str) -> dict[str, Tensor]:
        """Eq. 7 for the segmentation network, eq. 11 for the alpha network, by terms."""
        assert isinstance(network, TrainedPOMAGAN)
        if player == "discriminator":
            return self._discriminator_losses(step, network, batch)
        if step.name.startswith("alpha"):
            return self._alpha_losses(step, network, batch)
        return self._segmentation_losses(step, network, batch)

    def _segmentation_losses(self, step: Step, network: TrainedPOMAGAN, batch: Batch) -> dict[str, Tensor]:
        rgb, truth = batch["rgb"], losses.binary(batch["alpha"])
        s = network.deployable.segmentation(rgb)
        network.made = batch, s.detach()
        where = losses.border(truth, self._number("border_share"))
        likeness = self._likeness(network, (s, rgb * s), (truth, rgb * truth))
        return {
            "adversarial": self._fooling(step, network, _shown(step, batch, s)),
            "perceptual": self._number("segmentation_perceptual") * likeness,
            "pixels": self._number("segmentation_pixels") * losses.segmentation(rgb, s, truth),
            "border": self._number("segmentation_border") * losses.segmentation_border(rgb, s, truth, where),
        }

    def _alpha_losses(self, step: Step, network: TrainedPOMAGAN, batch: Batch) -> dict[str, Tensor]:
        rgb, truth, room = batch["rgb"], batch["alpha"], batch["background"]
        alpha = _made(step, network, batch)
        network.made = batch, alpha.detach()
        where = losses.border(losses.binary(truth), self._number("border_share"))
        likeness = self._likeness(
            network,
            (alpha, rgb * alpha, losses.combined(rgb, alpha, room)),
            (truth, rgb * truth, losses.combined(rgb, truth, room)),
        )
        return {
            "adversarial": self._fooling(step, network, _shown(step, batch, alpha)),
            "perceptual": self._number("alpha_perceptual") * likeness,
            "pixels": self._number("alpha_pixels") * losses.alpha(rgb, alpha, truth, room),
            "border": self._number("alpha_border") * losses.alpha_border(rgb, alpha, truth, room, where),
        }

    def _likeness(
        self, network: TrainedPOMAGAN, predicted: Sequence[Tensor], truth: Sequence[Tensor]
    ) -> Tensor:
        vgg = isinstance(network.features, VGG19Features)
        weights = losses.VGG19_WEIGHTS if vgg else losses.EFFICIENTNET_WEIGHTS
        scale = self._number("perceptual_scale")
        return losses.perceptual(network.features, weights, predicted, truth, scale)

    def _fooling(self, step: Step, network: TrainedPOMAGAN, shown: Tensor) -> Tensor:
        discriminator = _discriminator(step, network).requires_grad_(False)  # only the way through it
        return self._number("adversarial") * losses.fooling(discriminator(shown))

    def _discriminator_losses(self, step: Step, network: TrainedPOMAGAN, batch: Batch) -> dict[str, Tensor]:
        """On what the generator made in its turn, or on what it makes now where it had none."""
        if network.made is None or network.made[0] is not batch:
            with torch.no_grad():
                network.made = batch, _made(step, network, batch)
        fake = network.made[1]
        network.made = None
        truth = batch["alpha"] if step.name.startswith("alpha") else losses.binary(batch["alpha"])
        discriminator = _discriminator(step, network).requires_grad_(True)
        real, made = discriminator(_shown(step, batch, truth)), discriminator(_shown(step, batch, fake))
        return {"adversarial": losses.telling_apart(real, made)}

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Alpha end to end; the segmentation while the alpha network is untrained."""
        assert isinstance(network, TrainedPOMAGAN)
        if not network.alpha_begun:
            s: Tensor = network.deployable.segmentation(batch["rgb"])
            return s
        alpha: Tensor = network.deployable(batch["rgb"]).alpha
        return alpha

    def _number(self, option: str) -> float:
        return float(self.options[option])


def _generator(step: Step, network: TrainedPOMAGAN) -> nn.Module:
    both = network.deployable
    return both.alpha if step.name.startswith("alpha") else both.segmentation


def _discriminator(step: Step, network: TrainedPOMAGAN) -> MultiScaleDiscriminator:
    if step.name.startswith("alpha"):
        return network.alpha_discriminator
    return network.segmentation_discriminator


def _made(step: Step, network: TrainedPOMAGAN, batch: Batch) -> Tensor:
    """What this step's generator makes of a batch."""
    both, rgb = network.deployable, batch["rgb"]
    if not step.name.startswith("alpha"):
        made: Tensor = both.segmentation(rgb)
        return made
    with torch.no_grad():
        s = both.segmentation(rgb)
    alpha: Tensor = both.alpha(rgb, s)
    return alpha


def _shown(step: Step, batch: Batch, map_: Tensor) -> Tensor:
    """What a discriminator sees: the picture as condition, the map, and of alpha also F and I (table 3)."""
    rgb = batch["rgb"]
    if not step.name.startswith("alpha"):
        return torch.cat((rgb, map_), 1)
    return torch.cat((rgb, map_, rgb * map_, losses.combined(rgb, map_, batch["background"])), 1)


pomagan_recipe = POMAGANRecipe("pomagan")
pomagan_live_recipe = POMAGANRecipe("pomagan-live")
