"""Validation of a network during training: metrics, and sample pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from livematte.training.augment import validation_picture
from livematte.training.data import PeopleStore, Picture
from livematte.training.recipe import Batch, Recipe
from livematte.training.report import sample_sheet


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Copy a batch to ``device``, in channels-last memory format."""
    to = {"device": device, "memory_format": torch.channels_last}
    return {k: v.to(**to) for k, v in batch.items()}  # type: ignore[call-overload]


@torch.no_grad()
def validate(
    recipe: Recipe,
    network: nn.Module,
    device: torch.device,
    people: PeopleStore,
    count: int,
    side: int = 320,
) -> dict[str, float]:
    """Return ``mad`` and ``mse`` (x 1e3) on people composited on validation backgrounds.

    Args:
        network: in eval mode.
        count: number of people, evenly spaced in ``people``.
        side: longer side of the network's input, in pixels.
    """
    mad = mse = 0.0
    everyone = len(people.people)
    numbers = np.linspace(0, everyone - 1, min(count, everyone)).astype(int)
    for number in numbers:
        picture, alpha, _ = validation_picture(people, int(number))
        rows, columns = alpha.shape
        scale = side / max(rows, columns)
        size = (max(32, round(columns * scale / 32) * 32), max(32, round(rows * scale / 32) * 32))
        out = _predicted(recipe, network, device, (picture, alpha), size, int(number))
        error = cv2.resize(out, (columns, rows)) - alpha.astype(np.float32) / 255
        mad += float(np.abs(error).mean())
        mse += float(np.square(error).mean())
    return {"mad": 1e3 * mad / len(numbers), "mse": 1e3 * mse / len(numbers)}


@torch.no_grad()
def draw_samples(
    recipe: Recipe, network: nn.Module, device: torch.device, people: PeopleStore, file: Path, count: int = 12
) -> None:
    """Write validation pictures with true and predicted alpha to ``file``, one column per picture."""
    columns = []
    last = len(people.people) - 1
    for number in np.linspace(min(3, last), last, min(count, last + 1)).astype(int):
        picture, alpha, _ = validation_picture(people, int(number))
        out = _predicted(recipe, network, device, (picture, alpha), (160, 224), int(number)) * 255
        picture, alpha = (np.asarray(cv2.resize(p, (160, 224)), np.uint8) for p in (picture, alpha))
        columns.append((picture, alpha, out.astype(np.uint8)))
    sample_sheet(columns, file)


def _predicted(
    recipe: Recipe,
    network: nn.Module,
    device: torch.device,
    pair: tuple[Picture, Picture],
    size: tuple[int, int],
    number: int,
) -> Any:
    """Return the predicted alpha (h, w) float32 of a validation picture.

    Args:
        pair: picture (H, W, 3) and alpha (H, W), uint8.
        size: (width, height) to which both are resized first.
    """
    small, small_alpha = (
        np.asarray(cv2.resize(a, size, interpolation=cv2.INTER_AREA), np.uint8) for a in pair
    )
    batch = to_device(recipe.held_out(small, small_alpha, number), device)
    return recipe.predict(network, batch)[0, 0].float().cpu().numpy()
