"""Trimaps and crops for training: what is promised of their labels, sizes and colours."""

import cv2
import numpy as np
import pytest

from livematte.training import trimaps
from livematte.training.data import PeopleStore
from livematte.training.packing import pack
from tests.people import draw_people, noise_rooms, write_people


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two people (a soft disk, and one with hard edges) and two rooms, packed as training data is."""
    data = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :280].astype(np.float32)
    disk = 90 - np.hypot(y - 150, x - 140)
    drawn = {}
    for name, alpha in {"soft": np.clip(disk / 8, 0, 1), "hard": (disk > 0).astype(np.float32)}.items():
        picture = rng.integers(0, 120, (300, 280, 3)) + 100 * alpha[..., None]
        drawn[name] = picture, alpha * 255
    write_people(data, drawn, noise_rooms(rng))
    store = PeopleStore(pack(data, tmp_path_factory.mktemp("packed")))
    assert len(store.people) == 2 and store.rooms
    return store


def disk_alpha(size=96, radius=30.0, soft=6.0):
    y, x = np.mgrid[:size, :size].astype(np.float32) - size / 2
    return (np.clip((radius - np.hypot(y, x)) / soft + 0.5, 0, 1) * 255 + 0.5).astype(np.uint8)


def test_exact_trimap_is_unknown_just_where_alpha_is_soft():
    alpha = np.array([[0, 5, 6, 128, 249, 250, 255]], np.uint8)
    np.testing.assert_array_equal(trimaps.exact_trimap(alpha), [[0, 0, 128, 128, 128, 255, 255]])


@pytest.mark.parametrize("seed", range(20))
def test_trimaps_have_three_labels_and_alphas_size(seed):
    alpha = disk_alpha()[:70]
    trimap = trimaps.random_trimap(np.random.default_rng(seed), alpha)
    assert trimap.shape == alpha.shape and trimap.dtype == np.uint8
    assert set(np.unique(trimap)) <= {0, 128, 255}


@pytest.mark.parametrize("seed", range(20))
def test_an_eroded_trimap_knows_nothing_wrong(seed):
    alpha = disk_alpha()
    trimap = trimaps.eroded_trimap(np.random.default_rng(seed), alpha)
    assert (alpha[trimap == 0] <= trimaps.LOW).all() and (alpha[trimap == 255] >= trimaps.HIGH).all()


def test_a_coarse_trimap_is_mostly_right_and_sometimes_wrong():
    alpha, wrong, known = disk_alpha(), [], []
    exact = trimaps.exact_trimap(alpha)
    for seed in range(60):
        trimap = trimaps.coarse_trimap(np.random.default_rng(seed), alpha)
        certain = trimap != 128
        known.append(certain.mean())
        wrong.append((certain & (trimap != exact)).mean())
    assert np.mean(known) > 0.5
    assert np.median(wrong) < 0.02 < max(wrong)


def test_the_share_of_coarse_trimaps_is_as_asked():
    alpha = disk_alpha()
    solid = np.where(alpha <= trimaps.LOW, 0, np.where(alpha >= trimaps.HIGH, 255, 128))
    never = [trimaps.random_trimap(np.random.default_rng(s), alpha, coarse=0) for s in range(40)]
    always = [trimaps.random_trimap(np.random.default_rng(s), alpha, coarse=1) for s in range(40)]
    assert all(((t == 128) | (t == solid)).all() for t in never)
    assert not all(((t == 128) | (t == solid)).all() for t in always)


def test_the_same_seed_gives_the_same_example(people):
    first, second = (trimaps.edge_crop(np.random.default_rng(4), people, 64, 96) for _ in range(2))
    other = trimaps.edge_crop(np.random.default_rng(5), people, 64, 96)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize("seed", range(12))
def test_a_crop_is_its_foreground_over_its_background_but_for_the_camera(people, seed):
    rgb, alpha, foreground, background = trimaps.edge_crop(np.random.default_rng(seed), people, 64, 96)
    assert alpha.shape == (64, 96) and alpha.dtype == np.uint8
    assert all(p.shape == (64, 96, 3) and p.dtype == np.uint8 for p in (rgb, foreground, background))
    a = alpha[..., None] / 255.0
    composite = a * foreground + (1 - a) * background
    means = [cv2.blur(p.astype(np.float32), (9, 9)) for p in (rgb, composite.astype(np.float32))]
    assert np.abs(means[0] - means[1]).mean() < 4


def test_crops_show_the_outline(people):
    shown = []
    for seed in range(30):
        alpha = trimaps.edge_crop(np.random.default_rng(seed), people, 64, 96)[1]
        shown.append((alpha > 127).any() and (alpha < 128).any())
    assert np.mean(shown) > 0.8


def test_small_photographs_are_taken_where_there_are_no_others(tmp_path):
    people = PeopleStore(pack(draw_people(tmp_path / "drawn", side=96), tmp_path / "packed"))
    alpha = trimaps.edge_crop(np.random.default_rng(0), people, 64, 96)[1]
    assert alpha.shape == (64, 96) and alpha.any()


@pytest.mark.parametrize("seed", range(8))
def test_strands_only_add_to_alpha_and_leave_solid_colours_alone(seed):
    alpha = disk_alpha()
    foreground = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
    drawn, grown = trimaps.add_strands(np.random.default_rng(seed), foreground, alpha)
    assert grown.dtype == np.uint8 and (grown >= alpha).all() and (grown > alpha).any()
    np.testing.assert_array_equal(drawn[alpha > 127], foreground[alpha > 127])
    thin = (grown > alpha) & (alpha == 0)
    assert thin.mean() < 0.2 and cv2.erode(thin.astype(np.uint8), np.ones((9, 9))).sum() == 0


def test_strands_need_an_outline():
    alpha, foreground = np.zeros((32, 32), np.uint8), np.zeros((32, 32, 3), np.uint8)
    drawn, grown = trimaps.add_strands(np.random.default_rng(0), foreground, alpha)
    assert not grown.any() and not drawn.any()
