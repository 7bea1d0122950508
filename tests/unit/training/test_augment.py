"""What a training example says of its picture: joints move along, and its layers compose to it."""

import cv2
import numpy as np
import pytest

from livematte.training import augment
from livematte.training.data import PeopleStore
from livematte.training.packing import pack
from tests.people import noise_rooms, write_people

NOSE, RIGHT, LEFT = 0, 2, 5
JOINTS = {NOSE: ((140, 90), (0, 200, 0)), RIGHT: ((95, 160), (0, 0, 220)), LEFT: ((185, 160), (220, 0, 0))}
"""Where this person facing the camera has nose and shoulders, and the BGR disk drawn there."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One person, a grey disk with coloured shoulders and nose, once with and once without keypoints."""
    data = tmp_path_factory.mktemp("data")
    y, x = np.mgrid[:300, :280].astype(np.float32)
    alpha = np.clip((115 - np.hypot(y - 150, x - 140)) / 4, 0, 1)
    image = np.full((300, 280, 3), 110, np.uint8)
    pose = np.zeros((25, 3))
    for joint, (point, color) in JOINTS.items():
        cv2.circle(image, point, 22, color, -1)
        pose[joint] = (*point, 1)
    drawn = dict.fromkeys(("marked", "unmarked"), (image, alpha * 255))
    rooms = noise_rooms(np.random.default_rng(0))
    return write_people(data, drawn, rooms, {"marked": pose.tolist()}, quality=98)


@pytest.fixture(scope="module")
def people(data, tmp_path_factory):
    return PeopleStore(pack(data, tmp_path_factory.mktemp("packed")))


def color_at(picture, point):
    """``"nose"`` for green, ``"shoulder"`` for red or blue, None where the point is not in the picture."""
    x, y = (round(float(v)) for v in point)
    if not (0 <= y < picture.shape[0] and 0 <= x < picture.shape[1]):
        return None
    red, green, blue = (int(v) for v in picture[y, x])
    return "nose" if green > red + 60 and green > blue + 60 else "shoulder" if abs(red - blue) > 60 else "?"


def placed(*args):
    return augment._place(*args)


def photographed(*args):
    return augment._photograph(*args).people[0]


@pytest.mark.parametrize("make", [placed, photographed])
def test_joints_move_along_with_the_person(people, make):
    seen, mirrored = 0, set()
    for seed in range(60):
        person = make(np.random.default_rng(seed), people, 120, 160)
        if person.keypoints is None:
            continue
        colors = {j: color_at(person.foreground, person.keypoints[j, :2]) for j in JOINTS}
        assert colors[NOSE] in ("nose", None)
        assert colors[RIGHT] in ("shoulder", None) and colors[LEFT] in ("shoulder", None)
        assert person.keypoints[RIGHT, 0] < person.keypoints[LEFT, 0]  # also in a mirror
        seen += sum(c is not None for c in colors.values())
        if colors[RIGHT]:
            x, y = person.keypoints[RIGHT, :2].round().astype(int)
            mirrored.add(bool(person.foreground[y, x, 2] > person.foreground[y, x, 0]))
    assert seen > 30 and mirrored == {True, False}  # the drawn colours do change places


def test_mirroring_joints_twice_changes_nothing():
    order = np.array(augment.MIRRORED)
    np.testing.assert_array_equal(order[order], np.arange(25))


def test_people_without_keypoints_say_so(people):
    names = [p["name"] for p in people.people]
    assert people.keypoints(names.index("unmarked")) is None
    assert people.keypoints(names.index("marked")).shape == (25, 3)


def test_layers_of_a_composite_compose_to_it(people):
    counts = set()
    for seed in range(60):
        example = augment._composite(np.random.default_rng(seed), people, 64, 80)
        counts.add(len(example.people))
        a = example.alpha[..., None] / 255
        composed = a * example.foreground() + (1 - a) * example.background
        assert np.abs(composed - example.rgb).max() < 2.5
    assert counts == {0, 1, 2}


def test_a_training_picture_is_its_example(people):
    for seed in range(6):
        example = augment.training_example(np.random.default_rng(seed), people, 48, 64)
        rgb, alpha = augment.training_picture(np.random.default_rng(seed), people, 48, 64)
        np.testing.assert_array_equal(rgb, example.rgb)
        np.testing.assert_array_equal(alpha, example.alpha)
        assert rgb.shape == (48, 64, 3) and alpha.shape == (48, 64)


@pytest.mark.parametrize("composited", [0.0, 1.0])
def test_only_photographs_have_no_background(people, composited):
    for seed in range(8):
        example = augment.training_example(np.random.default_rng(seed), people, 32, 32, composited)
        assert (example.background is None) == (composited == 0)


def flat_person(alpha, color=110, keypoints=None):
    foreground = np.full((*alpha.shape, 3), color, np.uint8)
    return augment.PlacedPerson(foreground, (alpha * 255).astype(np.uint8), keypoints)


def test_patterns_are_on_the_clothes_and_not_on_the_face():
    neck = np.zeros((25, 3), np.float32)
    neck[1] = (30, 44, 1)
    marked = augment._add_pattern(np.random.default_rng(1), flat_person(np.ones((90, 60)), keypoints=neck))
    assert (marked.foreground[:44] == 110).all() and marked.foreground[44:].std() > 5
    unmarked = augment._add_pattern(np.random.default_rng(1), flat_person(np.ones((90, 60))))
    assert (unmarked.foreground[:30] == 110).all() and unmarked.foreground[30:].std() > 5


@pytest.mark.parametrize(
    "change", [augment._add_pattern, lambda *a: augment._camouflage(a[0], a[1].foreground, a[1])]
)
def test_where_nobody_is_nothing_changes(change):
    empty = flat_person(np.zeros((40, 30)))
    out = change(np.random.default_rng(0), empty)
    np.testing.assert_array_equal(getattr(out, "foreground", out), empty.foreground)


def test_camouflage_brings_the_room_near_the_colours_of_the_clothes():
    room = np.random.default_rng(4).integers(120, 256, (60, 80, 3)).astype(np.uint8)
    alpha = np.zeros((60, 80))
    alpha[5:, 20:50] = 1
    dark = flat_person(alpha, 30)
    for seed in range(5):
        hidden = augment._camouflage(np.random.default_rng(seed), room, dark)
        assert abs(hidden.mean() - 30) <= 0.55 * (room.mean() - 30)
        assert hidden.std() < room.std()


def test_a_person_is_sometimes_cut_below_the_head_also_close_up():
    for box in ((10, 20, 100, 110), (10, 20, 60, 180)):
        boxes = [augment.person_box(np.random.default_rng(s), box, (200, 200)) for s in range(200)]
        headless = [b for b in boxes if b[1] > 20]
        assert 10 < len(headless) < 60
        assert all(y + h <= box[1] + box[3] for _, y, _, h in boxes)
