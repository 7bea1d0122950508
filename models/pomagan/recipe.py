"""The training of POMAGAN (sec. 3.3), run by ``livematte train pomagan-live``.

First the segmentation network, then, with that frozen, the alpha network; each against its own
discriminators.
The README lists the differences from the paper, and the values that the paper does not give.
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

from livematte.inference.encoders import EfficientNetLite0
from livematte.inference.model_spec import ModelSpec
from livematte.inference.weights import read_tensors
from livematte.models.pomagan import losses, model
from livematte.models.pomagan.network import pomagan, pomagan_live
from livematte.models.pomagan.training import MultiScaleDiscriminator, TrainedPOMAGAN, VGG19Features
from livematte.training.data import PeopleStore
from livematte.training.recipe import (
    Batch,
    Option,
    Plan,
    Recipe,
    fix_batch_norm,
    freeze,
    imagenet_file,
    start_from_imagenet,
)
from livematte.training.steps import FINE, LARGE, LIVE, SMALL, Step, every_size

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
    "border_share": 0.02,  # width of the border map, as a part of the picture's shorter side
    "perceptual_scale": 1.0,  # pictures are resized by this factor for the perceptual loss
    "discriminator_rate": 0.1,  # relative to the generator's (sec. 3.3)
    "vgg19": "",  # a safetensors file with ImageNet weights; EfficientNet-Lite0 is used without
}
"""The printed coefficients, and values that the paper does not give."""


class POMAGANRecipe(Recipe):
    """Both sizes: ``pomagan`` as printed, ``pomagan-live``.

    ``options`` are those of the plan that runs; until they are set, the plan's own.
    """

    def __init__(self, name: str, released: ModelSpec | None = None) -> None:
        super().__init__(name, released)
        scale = {"perceptual_scale": 0.5} if name == "pomagan-live" else {}
        self._defaults: Mapping[str, Option] = {**OPTIONS, **scale}
        self.options = self._defaults

    def plan(self, scale: float, seed: int) -> Plan:
        """Segmentation, then alpha. ``scale`` = 1 is ten epochs each for the printed size, two hours on
        2 cores for the live one; its last step, "every-size", trains both for as long as there is time.
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
            every_size(n(200_000)),
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
        """Train the generator of this step and its discriminators (sec. 3.3: trained separately); in the last
        step of the live size both generators, against the discriminators of the alpha network.
        """
        assert isinstance(network, TrainedPOMAGAN)
        freeze(network)
        network.made = None
        generator = _generator(step, network)
        generator.requires_grad_(True)
        generator.train()
        if step.scenes:
            fix_batch_norm(generator)
        _discriminator(step, network).requires_grad_(True).train()
        encoder = network.deployable.segmentation.encoder
        if isinstance(encoder, EfficientNetLite0) and not step.scenes:
            freeze(*encoder.early_layers())
        network.alpha_begun.fill_(_is_alpha(step))

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
        """Factor of the step's learning rate: "ten times smaller" for the discriminator (sec. 3.3)."""
        return self._number("discriminator_rate") if player == "discriminator" else 1.0

    def picture(
        self, rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
    ) -> dict[str, NDArray[Any]]:
        """As the base class; for the alpha network also ``background``, a room for eq. 8."""
        example = super().picture(rng, people, step, height, width)
        if _is_alpha(step):
            room = people.room(int(rng.integers(len(people.rooms))))
            example["background"] = np.asarray(cv2.resize(room, (width, height)), np.uint8)
        return example

    def losses(self, step: Step, network: nn.Module, batch: Batch, player: str) -> dict[str, Tensor]:
        """Eq. 7 for the segmentation network, eq. 11 for the alpha network, by terms."""
        assert isinstance(network, TrainedPOMAGAN)
        if player == "discriminator":
            return self._discriminator_losses(step, network, batch)
        if _is_alpha(step):
            return self._alpha_losses(step, network, batch)
        return self._segmentation_losses(step, network, batch)

    def _segmentation_losses(self, step: Step, network: TrainedPOMAGAN, batch: Batch) -> dict[str, Tensor]:
        rgb, truth = batch["rgb"], losses.binary(batch["alpha"])
        s = network.deployable.segmentation(rgb)
        network.made = batch, s.detach()
        where = losses.border(truth, self._number("border_share"))
        likeness = self._likeness(network, (s, rgb * s), (truth, rgb * truth))
        return {
            "adversarial": self._fooling(step, network, _discriminator_input(step, batch, s)),
            "perceptual": self._number("segmentation_perceptual") * likeness,
            "pixels": self._number("segmentation_pixels") * losses.segmentation(rgb, s, truth),
            "border": self._number("segmentation_border") * losses.segmentation_border(rgb, s, truth, where),
        }

    def _alpha_losses(self, step: Step, network: TrainedPOMAGAN, batch: Batch) -> dict[str, Tensor]:
        rgb, truth, room = batch["rgb"], batch["alpha"], batch["background"]
        segmentation, alpha = _run_generators(step, network, rgb)
        network.made = batch, alpha.detach()
        where = losses.border(losses.binary(truth), self._number("border_share"))
        likeness = self._likeness(
            network,
            (alpha, rgb * alpha, losses.combined(rgb, alpha, room)),
            (truth, rgb * truth, losses.combined(rgb, truth, room)),
        )
        terms = {
            "adversarial": self._fooling(step, network, _discriminator_input(step, batch, alpha)),
            "perceptual": self._number("alpha_perceptual") * likeness,
            "pixels": self._number("alpha_pixels") * losses.alpha(rgb, alpha, truth, room),
            "border": self._number("alpha_border") * losses.alpha_border(rgb, alpha, truth, room, where),
        }
        if step.scenes:
            solid = losses.binary(truth)
            terms["segmentation"] = self._number("segmentation_pixels") * losses.segmentation(
                rgb, segmentation, solid
            )
        return terms

    def _likeness(
        self, network: TrainedPOMAGAN, predicted: Sequence[Tensor], truth: Sequence[Tensor]
    ) -> Tensor:
        vgg = isinstance(network.features, VGG19Features)
        weights = losses.VGG19_WEIGHTS if vgg else losses.EFFICIENTNET_WEIGHTS
        scale = self._number("perceptual_scale")
        return losses.perceptual(network.features, weights, predicted, truth, scale)

    def _fooling(self, step: Step, network: TrainedPOMAGAN, maps: Tensor) -> Tensor:
        discriminator = _discriminator(step, network).requires_grad_(False)  # its weights get no gradient
        return self._number("adversarial") * losses.fooling(discriminator(maps))

    def _discriminator_losses(self, step: Step, network: TrainedPOMAGAN, batch: Batch) -> dict[str, Tensor]:
        """Losses on the generator's last output, which is computed now if there is none for this batch."""
        if network.made is None or network.made[0] is not batch:
            with torch.no_grad():
                network.made = batch, _generate(step, network, batch)
        fake = network.made[1]
        network.made = None
        truth = batch["alpha"] if _is_alpha(step) else losses.binary(batch["alpha"])
        discriminator = _discriminator(step, network).requires_grad_(True)
        real, made = (
            discriminator(_discriminator_input(step, batch, truth)),
            discriminator(_discriminator_input(step, batch, fake)),
        )
        return {"adversarial": losses.telling_apart(real, made)}

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Alpha of the whole network; the segmentation while the alpha network is untrained."""
        assert isinstance(network, TrainedPOMAGAN)
        if not network.alpha_begun:
            s: Tensor = network.deployable.segmentation(batch["rgb"])
            return s
        alpha: Tensor = network.deployable(batch["rgb"]).alpha
        return alpha

    def _number(self, option: str) -> float:
        return float(self.options[option])


def _is_alpha(step: Step) -> bool:
    """Return True if the step trains the alpha generator; the last step trains both generators."""
    return step.scenes or step.name.startswith("alpha")


def _generator(step: Step, network: TrainedPOMAGAN) -> nn.Module:
    both = network.deployable
    if step.scenes:
        return both
    return both.alpha if _is_alpha(step) else both.segmentation


def _discriminator(step: Step, network: TrainedPOMAGAN) -> MultiScaleDiscriminator:
    if _is_alpha(step):
        return network.alpha_discriminator
    return network.segmentation_discriminator


def _generate(step: Step, network: TrainedPOMAGAN, batch: Batch) -> Tensor:
    """Output of this step's generator for a batch, (N, 1, H, W)."""
    both, rgb = network.deployable, batch["rgb"]
    if not _is_alpha(step):
        made: Tensor = both.segmentation(rgb)
        return made
    return _run_generators(step, network, rgb)[1]


def _run_generators(step: Step, network: TrainedPOMAGAN, rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Return segmentation and alpha; the segmentation has gradients only in the last step."""
    both = network.deployable
    with torch.set_grad_enabled(step.scenes and torch.is_grad_enabled()):
        segmentation: Tensor = both.segmentation(rgb)
    alpha: Tensor = both.alpha(rgb, segmentation)
    return segmentation, alpha


def _discriminator_input(step: Step, batch: Batch, map_: Tensor) -> Tensor:
    """Input of a discriminator: the picture as condition, the map, and for alpha also F and I (table 3)."""
    rgb = batch["rgb"]
    if not _is_alpha(step):
        return torch.cat((rgb, map_), 1)
    return torch.cat((rgb, map_, rgb * map_, losses.combined(rgb, map_, batch["background"])), 1)


pomagan_recipe = POMAGANRecipe("pomagan")
pomagan_live_recipe = POMAGANRecipe("pomagan-live", released=model.LIVE)
