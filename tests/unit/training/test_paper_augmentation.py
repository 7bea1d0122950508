"""Augmentation as printed: its parts do what they say, and examples fulfil the compositing equation."""

from __future__ import annotations

import numpy as np
import pytest

from livematte.training.data import PeopleStore
from livematte.training.packing import pack_folders
from livematte.training.paper_augmentation import (
    PaperAugmentation,
    crop_matrix,
    kept_inside,
    merged,
    paper_example,
    pixel_trimap,
    room_crop,
    soft_pixel,
    toned,
    warped,
)
from tests.unit.training import trees

PLAIN = PaperAugmentation(mirror=False)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> PeopleStore:
    root = tmp_path_factory.mktemp("data")
    trees.cut_outs(root, "train/fg", "train/alpha", ["a", "b", "c"])
    trees.cut_outs(root, "val/fg", "val/alpha", ["d"])
    trees.rooms(root / "backgrounds")
    return PeopleStore(pack_folders([root], root / "packed"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    "how",
    [
        PaperAugmentation(sides=(12, 16, 20), radii=(1, 2), flip=True, tone=0.2, second=0.5),
        PaperAugmentation(sides=(12, 16, 20), size=14, radii=(1, 2), turn=45, scale=(0.75, 1.5)),
        PaperAugmentation(sides=(16, 24), size=8, radii=(1, 3)),
    ],
)
def test_examples_are_composites_of_their_layers(people: PeopleStore, how: PaperAugmentation) -> None:
    sides = set()
    for seed in range(20):
        example = paper_example(rng(seed), people, how)
        side = example["alpha"].shape[0]
        sides.add(side)
        assert all(v.dtype == np.uint8 and v.shape[:2] == (side, side) for v in example.values())
        a = example["alpha"][..., None] / 255
        composite = a * example["foreground"] + (1 - a) * example["background"]
        assert np.abs(composite - example["rgb"]).max() <= 0.51
        soft = (example["alpha"] > 0) & (example["alpha"] < 255)
        assert (example["trimap"][soft] == 128).all()
    assert sides == ({how.size} if how.size else set(how.sides))


def test_an_example_is_a_function_of_its_seed(people: PeopleStore) -> None:
    how = PaperAugmentation(sides=(16, 24), radii=(1, 2), turn=30, tone=0.2, second=0.5)
    first, again = (paper_example(rng(3), people, how) for _ in range(2))
    assert all(np.array_equal(first[k], again[k]) for k in first)
    other = paper_example(rng(4), people, how)
    assert first["rgb"].shape != other["rgb"].shape or not np.array_equal(first["rgb"], other["rgb"])


def test_crops_are_centred_on_a_soft_pixel() -> None:
    alpha = trees.disk(60, 40)
    for seed in range(20):
        y, x = soft_pixel(rng(seed), alpha)
        assert 5 < alpha[int(y), int(x)] < 250
        crop = warped(alpha, crop_matrix(rng(seed), (y, x), 9, 9, PLAIN), 9)
        assert crop[4, 4] == alpha[int(y), int(x)]


def test_a_matte_without_soft_pixels_gives_a_crop_too() -> None:
    y, x = soft_pixel(rng(), np.full((5, 7), 255, np.uint8))
    assert 0 <= y < 5 and 0 <= x < 7


def test_a_crop_at_its_own_size_is_a_plain_cut() -> None:
    picture = rng().integers(0, 256, (30, 40, 3)).astype(np.uint8)
    matrix = crop_matrix(rng(), (12.0, 20.0), 9, 9, PLAIN)
    assert np.array_equal(warped(picture, matrix, 9), picture[8:17, 16:25])


@pytest.mark.parametrize(
    ("middle", "expected"),
    [((50, 50), (50, 50)), ((0, 99), (9.5, 89.5)), ((99, 0), (89.5, 9.5))],
)
def test_crops_stay_in_the_photograph(middle: tuple[float, float], expected: tuple[float, float]) -> None:
    assert kept_inside(middle, 20, (100, 100)) == expected


def test_mirroring_flips_about_the_middle() -> None:
    picture = rng().integers(0, 256, (30, 40)).astype(np.uint8)
    cut = picture[8:17, 16:25]
    seen = {
        tuple(
            np.array_equal(
                warped(
                    picture,
                    crop_matrix(rng(seed), (12.0, 20.0), 9, 9, PaperAugmentation(flip=True)),
                    9,
                ),
                cut[:: 1 - 2 * v, :: 1 - 2 * h],
            )
            for v in (0, 1)
            for h in (0, 1)
        )
        for seed in range(30)
    }
    assert seen == {tuple(i == j for j in range(4)) for i in range(4)}


def test_a_larger_side_shows_more_of_the_photograph_without_shifting_it() -> None:
    """Shrunk fourfold, a smooth ramp keeps its values at the same places."""
    ramp = np.tile(np.arange(0, 200, dtype=np.uint8), (200, 1))
    out = warped(ramp, crop_matrix(rng(), (100.0, 100.0), 160, 40, PLAIN), 40)
    expected = 100 + 4 * (np.arange(40) - 19.5)
    assert np.abs(out[20] - expected).max() <= 1


def test_what_shrinks_is_averaged() -> None:
    checks = (np.indices((200, 200)).sum(0) % 2 * 255).astype(np.uint8)
    out = warped(checks, crop_matrix(rng(), (100.0, 100.0), 160, 40, PLAIN), 40)
    assert np.abs(out.astype(int) - 127).max() < 40


def test_turns_stay_within_their_bounds() -> None:
    how = PaperAugmentation(turn=45, scale=(0.75, 1.5), mirror=False)
    linear = [crop_matrix(rng(s), (5.0, 5.0), 10, 10, how)[:, :2] for s in range(200)]
    angles = [np.degrees(np.arctan2(m[1, 0], m[0, 0])) for m in linear]
    scales = [np.sqrt(np.linalg.det(m)) for m in linear]
    assert -45 <= min(angles) < -35 and 35 < max(angles) <= 45
    assert 0.75 <= min(scales) < 0.8 and 1.4 < max(scales) <= 1.5


def test_two_objects_in_one_look_as_one_laid_over_the_other() -> None:
    r = rng()
    f1, f2, room = (r.integers(0, 256, (20, 30, 3)).astype(np.uint8) for _ in range(3))
    a1, a2 = (r.choice([0, 40, 128, 255], (20, 30)).astype(np.uint8) for _ in range(2))
    foreground, alpha = merged(f1, a1, f2, a2)

    def over(f: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(b + a[..., None] / 255 * (f.astype(float) - b))

    assert np.abs(over(foreground, alpha, room) - over(f1, a1, over(f2, a2, room))).max() < 2
    assert np.array_equal(foreground[(a1 == 0) & (a2 == 0)], f1[(a1 == 0) & (a2 == 0)])


def test_an_unknown_band_is_as_wide_as_drawn() -> None:
    alpha = np.zeros((80, 120), np.uint8)
    alpha[:, 60:] = 255
    widths = set()
    for seed in range(60):
        row = pixel_trimap(rng(seed), alpha, (3, 6))[40]
        assert (row == 0).sum() + (row == 128).sum() + (row == 255).sum() == 120
        assert (row[:60] != 255).all() and (row[60:] != 0).all()
        widths |= {int((row[:60] == 128).sum()), int((row[60:] == 128).sum())}
    assert widths == {3, 4, 5, 6}


def test_tone_keeps_black_black_and_order() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (2, 1, 3))
    out = toned(rng(), ramp, 0.3)
    assert (out[:, 0] == 0).all() and (np.diff(out[0, :, 0].astype(int)) >= 0).all()
    assert not np.array_equal(out, ramp)


def test_small_backgrounds_are_enlarged_and_large_ones_cut() -> None:
    room = rng().integers(0, 256, (20, 30, 3)).astype(np.uint8)
    assert room_crop(rng(), room, 50).shape == (50, 50, 3)
    cut = room_crop(rng(), room, 6)
    windows = [room[y : y + 6, x : x + 6] for y in range(15) for x in range(25)]
    assert any(np.array_equal(cut, w) or np.array_equal(cut, w[:, ::-1]) for w in windows)
