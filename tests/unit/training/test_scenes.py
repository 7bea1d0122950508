"""Scenes hold people of every size and number, and are what their layers make."""

from __future__ import annotations

import json

import numpy as np
import pytest

from livematte.training import scenes
from livematte.training.data import PeopleStore
from livematte.training.packing import pack
from tests.people import draw_people
from tests.unit.training import trees


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> PeopleStore:
    folder = tmp_path_factory.mktemp("data")
    drawn = draw_people(folder / "drawn", people=4, rooms=8)
    trees.true_alpha(drawn, {"train": ["a_1", "a_2"], "val": ["b_1"]}, ["brad", "wix"])
    (drawn / "pose.json").write_text(json.dumps({"drawn_000": [[48.0, 30.0, 1.0]] * 25}))
    return PeopleStore(pack(drawn, folder / "packed"))


def test_a_scene_is_a_function_of_its_seed(people: PeopleStore) -> None:
    one, other = (scenes.scene_example(np.random.default_rng(5), people, 64, 96) for _ in range(2))
    assert one.rgb.shape == (64, 96, 3) and one.alpha.shape == (64, 96)
    np.testing.assert_array_equal(one.rgb, other.rgb)
    np.testing.assert_array_equal(one.alpha, other.alpha)


def test_layers_compose_to_the_scene_before_the_camera(people: PeopleStore) -> None:
    for seed in range(12):
        example = scenes.composite_scene(np.random.default_rng(seed), people, 48, 64)
        assert example.background is not None
        a = example.alpha[..., None].astype(np.float32) / 255
        made = example.background + a * (example.foreground().astype(np.float32) - example.background)
        assert np.abs(made - example.rgb).mean() < 1.5


def test_there_are_none_to_three_people(people: PeopleStore) -> None:
    counts = [
        len(scenes.composite_scene(np.random.default_rng(seed), people, 32, 48).people) for seed in range(150)
    ]
    assert set(counts) == {0, 1, 2, 3} and counts.count(1) > 100


def test_people_are_a_tenth_of_the_height_to_larger_than_the_picture(people: PeopleStore) -> None:
    """By how far the alphas reach: small ones stand at the bottom edge, large ones fill the height."""
    heights, edges = [], np.zeros(4, int)
    for seed in range(250):
        alpha = scenes.place_person(np.random.default_rng(seed), people, 64, 96).alpha > 128
        rows = np.flatnonzero(alpha.any(1))
        heights.append(rows[-1] - rows[0] + 1 if len(rows) else 0)
        edges += [alpha[0].any(), alpha[-1].any(), alpha[:, 0].any(), alpha[:, -1].any()]
    assert min(h for h in heights if h) < 0.25 * 64 and max(heights) == 64
    assert edges.min() > 5, "every edge cuts somebody"
    assert edges[1] > 100, "most stand at the bottom"


def test_a_person_is_lit_smoothly_and_from_one_side(people: PeopleStore) -> None:
    grey = np.full((40, 60, 3), 100, np.uint8)
    alpha = np.zeros((40, 60), np.uint8)
    alpha[10:30, 20:50] = 255
    changed = []
    for seed in range(20):
        out = scenes.relight(np.random.default_rng(seed), grey, alpha).astype(int)
        np.testing.assert_array_equal(out[alpha == 0], 100)
        inside = out[10:30, 20:50]
        assert np.abs(np.diff(inside, axis=1)).max() < 12
        changed.append(np.ptp(inside[..., 1]))
    assert max(changed) > 40
    np.testing.assert_array_equal(scenes.relight(np.random.default_rng(0), grey, alpha * 0), grey)


def test_furniture_is_behind_the_person_in_the_colour_of_the_clothes_or_dark(people: PeopleStore) -> None:
    """It changes the background only; on a light wall, what it draws is darker than the wall."""
    wall = np.full((64, 96, 3), 220, np.uint8)
    covered = []
    for seed in range(20):
        person = scenes.place_person(np.random.default_rng(seed), people, 64, 96)
        before = person.foreground.copy(), person.alpha.copy()
        out = scenes.add_furniture(np.random.default_rng(seed), wall, person)
        np.testing.assert_array_equal(person.foreground, before[0])
        np.testing.assert_array_equal(person.alpha, before[1])
        covered.append(float((np.abs(out.astype(int) - wall).max(2) > 30).mean()))
    assert 0.05 < np.mean(covered) < 0.6
    empty = scenes.PlacedPerson(wall, np.zeros((64, 96), np.uint8), None)
    np.testing.assert_array_equal(scenes.add_furniture(np.random.default_rng(0), wall, empty), wall)


def test_joints_move_with_the_person(people: PeopleStore) -> None:
    """The joints were put at the middle of the body, which is opaque."""
    only = people.only("photograph")
    only.people = [entry for entry in only.people if entry["name"] == "drawn_000"]
    seen = 0
    for seed in range(40):
        person = scenes.place_person(np.random.default_rng(seed), only, 64, 96)
        assert person.keypoints is not None
        x, y = person.keypoints[0, :2].round().astype(int)
        if 2 <= x < 94 and 2 <= y < 62:
            seen += person.alpha[y - 2 : y + 3, x - 2 : x + 3].max() > 100
        else:
            seen += 1
    assert seen >= 34
