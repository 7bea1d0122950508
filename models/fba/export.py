"""From a trained checkpoint to the files that are shipped: fp16 safetensors and the card.

python -m livematte.models.fba.export runs/fba-live/average.safetensors
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from livematte.frame import Array
from livematte.metrics import foreground_mse, mad, mse
from livematte.models.fba.model import LIVE
from livematte.models.fba.model import fba_live as refiner
from livematte.models.fba.network import FBA, fba, fba_live
from livematte.training.augment import validation_picture
from livematte.training.data import PeopleStore
from livematte.training.shipping import install, install_arguments
from livematte.training.trimaps import coarse_trimap
from livematte.weights import load_into

_BUILD = {"fba-live": fba_live, "fba": fba}


class Deployed(nn.Module):
    """The network as runtimes run it, channels last; every map is in [0, 1]."""

    def __init__(self, network: FBA) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, rgb: Tensor, encoding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(1, H, W, 3) uint8 RGB and (1, H, W, 6) float32, to alpha (1, H, W), straight foreground
        (1, H, W, 3) and background (1, 3, H, W).
        """
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255), encoding.permute(0, 3, 1, 2))
        return out.alpha.squeeze(1), out.foreground.permute(0, 2, 3, 1), out.background


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

    ``color_mse`` is of the foreground where alpha is above 0. ``given_*`` is what the trimap alone says, its
    unknown pixels taken for 0.5, and the picture's own colour.
    """
    model = refiner(device="cpu", weights=weights)
    rows, alphas = [], []
    for number in np.linspace(0, len(store.people) - 1, count).astype(int):
        picture, alpha8, foreground8 = validation_picture(store, int(number))
        trimap = coarse_trimap(np.random.default_rng(int(number)), alpha8)
        matte = model.refine(picture, trimap)
        truth, given = (np.asarray(x / 255, np.float32) for x in (alpha8, trimap))
        colors, own = (np.asarray(x / 255, np.float32) for x in (foreground8, picture))
        assert matte.foreground is not None
        rows.append(
            (
                mad(matte.alpha, truth),
                mse(matte.alpha, truth),
                foreground_mse(matte.foreground, colors, truth),
                mad(given, truth),
                mse(given, truth),
                foreground_mse(own, colors, truth),
            )
        )
        alphas.append(matte.alpha)
    mean = 1e3 * np.mean(rows, 0)
    names = ("mad", "mse", "color_mse", "given_mad", "given_mse", "given_color_mse")
    return {name: float(value) for name, value in zip(names, mean, strict=True)}, alphas


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    install(LIVE, judge=judge, **install_arguments(__doc__))
