"""From a trained checkpoint to the files that are shipped: fp16 safetensors, the card.

python -m livematte.models.adamatting.export runs/adamatting-live/average.safetensors
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from livematte.frame import Array
from livematte.metrics import mad, mse
from livematte.models.adamatting.model import LIVE
from livematte.models.adamatting.model import adamatting_live as refiner
from livematte.models.adamatting.network import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    AdaMatting,
    adamatting,
    adamatting_live,
)
from livematte.training.augment import validation_picture
from livematte.training.data import PeopleStore
from livematte.training.shipping import install, install_arguments
from livematte.training.trimaps import coarse_trimap
from livematte.weights import load_into

_BUILD = {"adamatting-live": adamatting_live, "adamatting": adamatting}


class Deployed(nn.Module):
    """The network as runtimes run it.

    (1, H, W, 3) uint8 RGB and (1, H, W) uint8 trimap {0, 128, 255} in; out come alpha and the adapted trimap
    (0, 0.5, 1), (1, H, W) float32 in [0, 1].
    """

    def __init__(self, network: AdaMatting) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, rgb: Tensor, trimap: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha constrained by the adapted trimap; exact where that agrees with the trimap given."""
        given = 0.5 * (trimap > 63).float() + 0.5 * (trimap > 191).float()
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255), given.unsqueeze(1))
        background, unknown, foreground = (out.trimap[:, n] for n in (BACKGROUND, UNKNOWN, FOREGROUND))
        is_background = ((background > unknown) & (background >= foreground)).float()
        is_foreground = ((foreground > unknown) & (foreground > background)).float()
        sure_0, sure_1 = is_background * (given < 0.25).float(), is_foreground * (given > 0.75).float()
        alpha = out.alpha.squeeze(1) * (1 - sure_0) * (1 - sure_1) + sure_1
        return alpha, 0.5 * (1 - is_background) + 0.5 * is_foreground


def deployed(name: str, weights: Path) -> Deployed:
    """The network called ``name`` with the tensors of a safetensors file.

    Raises:
        WeightsError: the file is not this network's.
    """
    network = _BUILD[name]()
    load_into(network, weights)
    return Deployed(network)


def judge(weights: Path, store: PeopleStore, count: int) -> tuple[dict[str, float], list[Array]]:
    """MAD and MSE (x 1e3) on people composited on unseen rooms, at full size; trimaps from coarse alphas.

    ``given_*`` is what the trimap alone says, its unknown pixels taken for 0.5.
    """
    model = refiner(device="cpu", weights=weights)
    rows, alphas = [], []
    for number in np.linspace(0, len(store.people) - 1, count).astype(int):
        picture, alpha8, _ = validation_picture(store, int(number))
        trimap = coarse_trimap(np.random.default_rng(int(number)), alpha8)
        alpha = model.refine(picture, trimap).alpha
        truth = np.asarray(alpha8 / 255, np.float32)
        given = np.asarray(trimap / 255, np.float32)
        rows.append((mad(alpha, truth), mse(alpha, truth), mad(given, truth), mse(given, truth)))
        alphas.append(alpha)
    mean = 1e3 * np.mean(rows, 0)
    names = ("mad", "mse", "given_mad", "given_mse")
    return {name: float(value) for name, value in zip(names, mean, strict=True)}, alphas


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    install(LIVE, judge=judge, **install_arguments(__doc__))
