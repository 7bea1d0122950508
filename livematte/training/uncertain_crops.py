"""Training crops for refiners with the same trimaps as in a render, made from the default model's alpha.

Trimaps made from the ground truth have a band of even width along each outline. In a render, the trimap is
made from the default model's alpha: its band is wide where the person has the background's colours, narrow
elsewhere, and it contains errors.
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
from livematte.training.trimaps import edge_crop, random_trimap, simulate_photograph

MODEL_TRIMAP_SHARE = 0.6
"""Default share of such crops in a refiner's training; the others train it for trimaps drawn by hand."""
LONG_SIDES = 360, 760
"""Smallest and largest long side of the picture before cropping; photographs have no more detail."""
ASPECTS = 16 / 9, 1.0, 3 / 4
"""Ratios of width to height; only a few, since runtimes compile the model for each input shape."""


def refiner_example(
    rng: Rng, people: PeopleStore, height: int, width: int, model_trimaps: float, coarse: float
) -> tuple[Picture, Picture, Picture, Picture, Picture]:
    """Return a crop around an outline with its trimap, in the order of :func:`model_trimap_crop`.

    Args:
        model_trimaps: probability of a trimap made from the default model's alpha; the others are made from
            the true alpha with :func:`livematte.training.trimaps.random_trimap`.
        coarse: argument of that function.
    """
    if model_trimaps and rng.random() < model_trimaps:
        crop = model_trimap_crop(rng, people, height, width)
        if crop is not None:
            return crop
    rgb, alpha, foreground, background = edge_crop(rng, people, height, width)
    return rgb, alpha, foreground, background, random_trimap(rng, alpha, coarse)


def model_trimap_crop(
    rng: Rng, people: PeopleStore, height: int, width: int
) -> tuple[Picture, Picture, Picture, Picture, Picture] | None:
    """Return a crop of people on a background, with a trimap made from the default model's alpha.

    Returns:
        rgb (H, W, 3), alpha (H, W), straight foreground (H, W, 3), background (H, W, 3) and trimap (H, W: 0,
        128, 255), all uint8. Except for blur, noise and compression,
        rgb = alpha * foreground + (1 - alpha) * background. None if the trimap has no unknown pixels.
    """
    long_side = float(np.exp(rng.uniform(*np.log(LONG_SIDES))))
    aspect = ASPECTS[int(rng.integers(len(ASPECTS)))]
    rows = max(height, round(long_side * min(1.0, 1 / aspect)))
    columns = max(width, round(long_side * min(1.0, aspect)))
    example = _composite(rng, people, rows, columns)
    assert example.background is not None
    layers = example.foreground(), example.alpha, example.background
    picture, foreground, background = simulate_photograph(rng, *layers)
    trimap = model_trimap(picture, float(np.exp(rng.normal(0, 0.25))))
    ys, xs = np.nonzero(trimap == UNKNOWN)
    if not len(ys):
        return None
    chosen = int(rng.integers(len(ys)))
    top, left = (
        int(np.clip(at - rng.uniform(0.2, 0.8) * side, 0, whole - side))
        for at, side, whole in ((ys[chosen], height, rows), (xs[chosen], width, columns))
    )
    window = np.s_[top : top + height, left : left + width]
    arrays = picture, example.alpha, foreground, background, trimap
    rgb, alpha, foreground, background, trimap = (np.ascontiguousarray(array[window]) for array in arrays)
    return rgb, alpha, foreground, background, trimap


def model_trimap(picture: Picture, width: float = 1.0) -> Picture:
    """Return the trimap of ``picture`` (H, W, 3) as in a render; ``width`` is a factor of the band width."""
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
