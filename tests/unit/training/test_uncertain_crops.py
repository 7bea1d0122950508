"""Crops whose trimap comes from the default model's alpha, as a refiner meets them in a render."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from livematte.frame import Matte
from livematte.training import trimaps, uncertain_crops
from livematte.training.data import PeopleStore
from livematte.training.packing import pack
from livematte.training.trimaps import edge_crop, random_trimap
from tests.people import draw_people

SIZE = 128, 160


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> PeopleStore:
    data = draw_people(tmp_path_factory.mktemp("data"))
    return PeopleStore(pack(data, tmp_path_factory.mktemp("packed")))


@dataclass
class Says:
    """A model that sees the same alpha in every picture."""

    alpha: float

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return max(1, height // 4), max(1, width // 4)

    def __call__(self, rgb: Any, state: Any) -> tuple[Matte, None]:
        alpha = np.zeros(rgb.shape[:2], np.float32)
        alpha[rgb.shape[0] // 3 :, rgb.shape[1] // 3 : -rgb.shape[1] // 3] = self.alpha
        return Matte(alpha), None


def test_the_trimap_is_that_of_the_shipped_model(people: PeopleStore) -> None:
    kinds, found = set(), 0
    for seed in range(12):
        crop = uncertain_crops.model_trimap_crop(np.random.default_rng(seed), people, *SIZE)
        if crop is None:  # drawn people are not always doubtful
            continue
        found += 1
        rgb, alpha, foreground, background, trimap = crop
        assert rgb.shape == foreground.shape == background.shape == (*SIZE, 3)
        assert alpha.shape == trimap.shape == SIZE
        assert all(layer.dtype == np.uint8 for layer in crop)
        assert (trimap == 128).any(), "a crop is taken where something is in doubt"
        kinds |= set(np.unique(trimap).tolist())
    assert found >= 4 and kinds == {0, 128, 255}


def test_a_crop_is_a_function_of_its_seed(people: PeopleStore) -> None:
    first, second = (
        uncertain_crops.model_trimap_crop(np.random.default_rng(5), people, *SIZE) for _ in range(2)
    )
    assert first is not None and second is not None
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_the_layers_make_the_picture(people: PeopleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncertain_crops, "_default_model", lambda: Says(0.5))
    monkeypatch.setattr(trimaps, "_simulate_sensor", lambda rng, picture: picture)
    crop = uncertain_crops.model_trimap_crop(np.random.default_rng(0), people, *SIZE)
    assert crop is not None
    rgb, alpha, foreground, background, trimap = crop
    a = alpha[..., None].astype(np.float32) / 255
    assert np.abs(rgb - (a * foreground + (1 - a) * background)).max() <= 1
    assert (trimap == 128).mean() > 0.2, "all that is half there is in doubt"


def test_where_nothing_is_in_doubt_a_trimap_is_drawn(
    people: PeopleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uncertain_crops, "_default_model", lambda: Says(0.0))
    assert uncertain_crops.model_trimap_crop(np.random.default_rng(0), people, *SIZE) is None
    rgb, alpha, _, _, trimap = uncertain_crops.refiner_example(
        np.random.default_rng(0), people, *SIZE, 1.0, 0.5
    )
    assert rgb.shape == (*SIZE, 3) and alpha.shape == trimap.shape == SIZE


def test_without_a_share_nothing_is_drawn_for_it(people: PeopleStore) -> None:
    """A run that was begun before there was one goes on with the same crops."""
    made = uncertain_crops.refiner_example(np.random.default_rng(2), people, *SIZE, 0.0, 0.5)
    rng = np.random.default_rng(2)
    rgb, alpha, foreground, background = edge_crop(rng, people, *SIZE)
    expected = rgb, alpha, foreground, background, random_trimap(rng, alpha, 0.5)
    assert all(np.array_equal(one, other) for one, other in zip(made, expected, strict=True))
