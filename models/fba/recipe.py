"""The training of F, B, Alpha Matting (sec. 3.5, 3.6), run by ``livematte train fba-live``.

All losses of eq. 2 at once, on crops around soft outlines, with trimaps drawn at random. The README lists the
differences from the paper.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from livematte.inference.encoders import ResNet50
from livematte.kernels.fusion import fuse_layers
from livematte.models.fba import losses, model
from livematte.models.fba.encoding import encode_trimap
from livematte.models.fba.network import FBA, LiveEncoder, fba, fba_live
from livematte.training.data import PeopleStore
from livematte.training.foregrounds import extend_colors
from livematte.training.paper_augmentation import PaperAugmentation, paper_example, square
from livematte.training.recipe import (
    Batch,
    Plan,
    Recipe,
    as_tensors,
    start_from_imagenet,
    start_from_published,
)
from livematte.training.steps import Step
from livematte.training.trimaps import random_trimap
from livematte.training.uncertain_crops import MODEL_TRIMAP_SHARE, refiner_example

PRINTED = ((640, 640), (480, 480), (320, 320))
LIVE = ((192, 192), (160, 160), (128, 128))
"""Sizes of the crops."""

EPOCH = 43_100
"""Pictures an epoch: 431 foregrounds, 100 backgrounds each (Xu et al. 2017, the data set of sec. 3.5)."""

TONE = 0.2
"""Deviation of the logarithms of gamma and brightness, printed size; the paper gives no number."""

COARSE = 0.5
"""Share of the live size's drawn trimaps that come from a degraded small alpha."""

SEEN = 32
"""A packed foreground's colour is used where alpha (0 to 255) is at least this: below it, packs made by older
versions contain the photograph's colour."""


class FBARecipe(Recipe):
    """Both sizes: ``fba`` as printed, ``fba-live``."""

    def plan(self, scale: float, seed: int) -> Plan:
        """40 epochs at 1e-5 and 5 at 1e-6, one picture at a time; the live size in one falling cycle.

        ``scale`` = 1 of the live size is about 25 minutes on two cores.
        """

        def n(iterations: int) -> int:
            return max(1, int(iterations * scale))

        if self.name == "fba":
            steps = (
                Step("main", n(40 * EPOCH), PRINTED, 1, 1e-5, 1e-5),
                Step("fine", n(5 * EPOCH), PRINTED, 1, 1e-6, 1e-6),
            )
            return Plan(self.name, seed, 1.0, 0.999, steps, {"imagenet": ""})
        main = Step("main", n(2500), LIVE, 8, 1e-5, 2e-3)
        return Plan(self.name, seed, 0.3, 0.998, (main,), {"found": MODEL_TRIMAP_SHARE})

    def network(self) -> FBA:
        """The encoder starts from ImageNet weights: the live size's if they are installed, the printed size's
        (group normalisation, standardised weights) from the file named by the option ``imagenet``.
        """
        if self.name == "fba":
            network = fba()
            assert isinstance(network.encoder, ResNet50)
            start_from_published(network.encoder, self.options.get("imagenet", ""))
            return network
        network = fba_live()
        assert isinstance(network.encoder, LiveEncoder)
        start_from_imagenet(network.encoder)
        return network

    def optimizer(self, step: Step, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """RAdam for the printed size, with a weight decay of 0.005 for convolutions and 1e-5 for norms and
        biases (sec. 3.6). The decay is decoupled, as in the cited paper's code.
        """
        if self.name != "fba":
            return super().optimizer(step, groups)
        split = []
        for group in groups:
            filters = [p for p in group["params"] if p.dim() > 1]
            rest = [p for p in group["params"] if p.dim() <= 1]
            split += [
                {**group, "params": params, "weight_decay": decay}
                for params, decay in ((filters, 0.005), (rest, 1e-5))
                if params
            ]
        return torch.optim.RAdam(split, lr=step.base_rate, decoupled_weight_decay=True)

    def enter(self, step: Step, network: nn.Module) -> None:
        """All parameters are trained; the encoder's batch normalisation keeps its statistics."""
        assert isinstance(network, FBA)
        network.train().requires_grad_(True)
        for module in network.encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def picture(
        self, rng: np.random.Generator, people: PeopleStore, step: Step, height: int, width: int
    ) -> dict[str, NDArray[Any]]:
        """A crop with both layers' colours everywhere (sec. 3.5), its trimap and the trimap's encoding."""
        if self.name == "fba":
            augmentation = PaperAugmentation(
                (square(height, width),), radii=(3, 25), flip=True, tone=TONE, second=0.5
            )
            example = paper_example(rng, people, augmentation)
            rgb, alpha, trimap = example["rgb"], example["alpha"], example["trimap"]
            foreground, background = example["foreground"], example["background"]
        else:
            model_trimaps = float(self.options.get("found", 0.0))
            layers = refiner_example(rng, people, height, width, model_trimaps, COARSE)
            rgb, alpha, foreground, background, trimap = layers
        return {
            "rgb": rgb,
            "alpha": alpha,
            "trimap": trimap,
            "foreground": extend_colors(foreground, alpha, SEEN),
            "background": background,
            "encoding": encode_trimap(trimap),
        }

    def losses(self, step: Step, network: nn.Module, batch: Batch, player: str) -> dict[str, Tensor]:
        """The terms of eq. 2."""
        return losses.terms(network(batch["rgb"], batch["encoding"]), batch)

    def held_out(self, picture: NDArray[np.uint8], alpha: NDArray[np.uint8], number: int) -> Batch:
        """With a trimap that is always the same for this ``number``."""
        trimap = random_trimap(np.random.default_rng(number), alpha)
        encoding = encode_trimap(trimap)
        return as_tensors([{"rgb": picture, "alpha": alpha, "trimap": trimap, "encoding": encoding}])

    def predict(self, network: nn.Module, batch: Batch) -> Tensor:
        """Alpha after the fusion of sec. 3.4; known pixels have the trimap's alpha."""
        alpha, *colors = network(batch["rgb"], batch["encoding"])
        trimap = batch["trimap"]
        alpha = torch.where((trimap > 0) & (trimap < 1), alpha, trimap)
        layers = [x.float().permute(0, 2, 3, 1).cpu().numpy() for x in (*colors, alpha)]
        rgb = (batch["rgb"] * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        fused = [fuse_layers(C, F, B, a[..., 0])[2] for C, F, B, a in zip(rgb, *layers, strict=True)]
        return torch.from_numpy(np.stack(fused)[:, None]).to(alpha.device)


fba_recipe = FBARecipe("fba")
fba_live_recipe = FBARecipe("fba-live", released=model.LIVE)
