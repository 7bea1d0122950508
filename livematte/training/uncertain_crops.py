"""Crops and trimaps as a render meets them: around what the default model leaves in doubt of a picture.

A trimap drawn from the truth has an even band along every outline. The one that a refiner is given in a
render follows the first network's alpha: wide where clothes look like the room, narrow elsewhere, wrong here
and there.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch

from livematte import registry
from livematte.matting.trimap import NARROW, UNKNOWN, WIDE, make_trimap
from livematte.options import DEFAULT_MODEL
from livematte.protocols import Model
from livematte.training.augment import Rng, _composite
from livematte.training.data import PeopleStore, Picture
from livematte.training.trimaps import edge_crop, photographed, random_trimap

FOUND = 0.6
"""Share of such crops in a refiner's training; the rest keeps it good with trimaps that somebody drew."""
LONG_SIDES = 360, 760
"""Of the whole picture; the photographs have no more detail than that."""
ASPECTS = 16 / 9, 1.0, 3 / 4
"""Width by height; few, since runtimes compile the model anew for every shape it is given."""


def refiner_example(
    rng: Rng, people: PeopleStore, height: int, width: int, found: float, coarse: float
) -> tuple[Picture, Picture, Picture, Picture, Picture]:
    """A crop around an outline with its trimap, as :func:`found_crop` returns them.

    Args:
        found: share of crops whose trimap is made from the default model's alpha; the others have one drawn
            from the truth.
        coarse: as for :func:`livematte.training.trimaps.random_trimap`, of those others.
    """
    if found and rng.random() < found:
        crop = found_crop(rng, people, height, width)
        if crop is not None:
            return crop
    rgb, alpha, foreground, background = edge_crop(rng, people, height, width)
    return rgb, alpha, foreground, background, random_trimap(rng, alpha, coarse)


def found_crop(
    rng: Rng, people: PeopleStore, height: int, width: int
) -> tuple[Picture, Picture, Picture, Picture, Picture] | None:
    """A crop of people on a room, and its trimap; None where the model has no doubt of the picture.

    Returns:
        rgb (H, W, 3), alpha (H, W), straight foreground (H, W, 3), background (H, W, 3) and trimap (H, W: 0,
        128, 255), all uint8. But for the camera's blur, noise and compression,
        rgb = alpha * foreground + (1 - alpha) * background.
    """
    long_side = float(np.exp(rng.uniform(*np.log(LONG_SIDES))))
    aspect = ASPECTS[int(rng.integers(len(ASPECTS)))]
    rows = max(height, round(long_side * min(1.0, 1 / aspect)))
    columns = max(width, round(long_side * min(1.0, aspect)))
    example = _composite(rng, people, rows, columns)
    assert example.background is not None
    layers = example.foreground(), example.alpha, example.background
    picture, foreground, background = photographed(rng, *layers)
    trimap = found_trimap(picture, float(np.exp(rng.normal(0, 0.25))))
    ys, xs = np.nonzero(trimap == UNKNOWN)
    if not len(ys):
        return None
    chosen = int(rng.integers(len(ys)))
    top, left = (
        int(np.clip(at - rng.uniform(0.2, 0.8) * side, 0, whole - side))
        for at, side, whole in ((ys[chosen], height, rows), (xs[chosen], width, columns))
    )
    window = np.s_[top : top + height, left : left + width]
    whole_ones = picture, example.alpha, foreground, background, trimap
    rgb, alpha, front, back, doubt = (np.ascontiguousarray(layer[window]) for layer in whole_ones)
    return rgb, alpha, front, back, doubt


def found_trimap(picture: Picture, width: float = 1.0) -> Picture:
    """The trimap that a render would make of ``picture`` (H, W, 3), its band ``width`` times as wide."""
    model = _default_model()
    height, columns = model.input_size(picture.shape[0], picture.shape[1])
    small = np.asarray(cv2.resize(picture, (columns, height), interpolation=cv2.INTER_AREA), np.uint8)
    alpha = model(small, None)[0].alpha
    size = picture.shape[0], picture.shape[1]
    return np.asarray(make_trimap(alpha, size, narrow=width * NARROW, wide=width * WIDE), np.uint8)


@lru_cache(maxsize=1)
def _default_model() -> Model:
    model: Model = registry.load("models", DEFAULT_MODEL)(device="cpu", threads=torch.get_num_threads())
    return model
