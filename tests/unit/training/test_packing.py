"""Foreign data sets become a cache that training reads like any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from livematte.errors import InputError, OutputError, UsageError
from livematte.training.augment import training_example, training_picture, validation_picture
from livematte.training.data import PeopleStore
from livematte.training.datasets import samples
from livematte.training.loading import load
from livematte.training.packing import data_hash, pack, pack_folders
from tests.people import draw_people
from tests.unit.training import trees

ADOBE = "Adobe-licensed images"


@pytest.fixture
def portraits(tmp_path: Path) -> Path:
    """Photographs with alpha, two for training and one for validation."""
    trees.photographs(tmp_path / "P3M", "train/blurred_image", "train/mask", ["p_1", "p_2"])
    trees.photographs(tmp_path / "P3M/validation/P3M-500-NP", "original_image", "mask", ["v_1"])
    return tmp_path / "P3M"


@pytest.fixture
def cut_outs(tmp_path: Path) -> Path:
    """Two foregrounds for training and two for validation, these with lists of two backgrounds each."""
    root = tmp_path / "AIM"
    trees.cut_outs(root / "Training_set" / ADOBE, "fg", "alpha", ["a1", "a2"])
    trees.cut_outs(root / "Test_set" / ADOBE, "fg", "alpha", ["t1", "t2"])
    (root / "Test_set" / "test_fg_names.txt").write_text("t1.png\nt2.png\n")
    (root / "Test_set" / "test_bg_names.txt").write_text("".join(f"room_{n}.png\n" for n in (3, 0, 5, 9)))
    return root


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    return trees.rooms(tmp_path / "rooms")


def people_of(cache: Path) -> dict[str, tuple[PeopleStore, int]]:
    return {
        entry["name"]: (store, number)
        for store in (PeopleStore(cache), PeopleStore(cache, validation=True))
        for number, entry in enumerate(store.people)
    }


def test_packed_people_are_what_was_loaded(portraits: Path, rooms: Path, tmp_path: Path) -> None:
    people = people_of(pack_folders([portraits], tmp_path / "cache", rooms))
    assert len(people) == 3
    for sample in samples(portraits):
        store, number = people[sample.name]
        packed, loaded = store.person(number), load(sample)
        for name in ("image", "foreground", "alpha"):
            assert np.array_equal(getattr(packed, name), getattr(loaded, name))


def test_training_and_validation_pictures_come_from_a_foreign_cache(
    portraits: Path, cut_outs: Path, rooms: Path, tmp_path: Path
) -> None:
    cache = pack_folders([portraits, cut_outs], tmp_path / "cache", rooms)
    people, held_out = PeopleStore(cache), PeopleStore(cache, validation=True)
    assert (len(people.people), len(held_out.people)) == (4, 5)
    assert len(people.rooms) + len(held_out.rooms) == 12 and held_out.rooms
    picture, alpha = training_picture(np.random.default_rng(1), people, 32, 48)
    assert picture.shape == (32, 48, 3) and alpha.shape == (32, 48)
    picture, alpha, _ = validation_picture(held_out, 2)
    assert picture.shape == (trees.HEIGHT, trees.WIDTH, 3) and alpha.max() == 255


def test_foregrounds_are_put_on_the_background_listed_for_them(
    cut_outs: Path, rooms: Path, tmp_path: Path
) -> None:
    people = people_of(pack_folders([cut_outs], tmp_path / "cache", rooms))
    blues = {}
    for name, (store, number) in people.items():
        person = store.person(number)
        assert person.image[0, 0, :2].tolist() == [0, 0], "a blue room, not the file's green"
        blues[name.split("/")[-1]] = int(person.image[0, 0, 2])
    assert {n: blues[n] for n in ("t1_0", "t1_1", "t2_0", "t2_1")} == {
        "t1_0": 130, "t1_1": 100, "t2_0": 150, "t2_1": 190,
    }  # fmt: skip


def test_a_test_foreground_whose_backgrounds_are_elsewhere_comes_once(
    cut_outs: Path, rooms: Path, tmp_path: Path
) -> None:
    (cut_outs / "Test_set" / "test_bg_names.txt").write_text("".join(f"voc_{n}.jpg\n" for n in range(4)))
    cache = pack_folders([cut_outs], tmp_path / "cache", rooms)
    assert len(PeopleStore(cache, validation=True).people) == 2


def test_backgrounds_are_enlarged_to_cover_and_kept_from_their_corner(cut_outs: Path) -> None:
    sample = next(s for s in samples(cut_outs) if s.split == "train")
    background = np.zeros((12, 16, 3), np.uint8)
    background[:, 8:] = (0, 0, 200)
    image = load(sample, background=background).image
    assert image[0, :14].max() < 10, "twice as large, its left half covers the picture's width"
    person = load(sample)
    assert (person.image[person.alpha == 0] == 128).all(), "grey where there is no background"


def test_pictures_are_bounded_and_keep_their_shape(portraits: Path, rooms: Path, tmp_path: Path) -> None:
    cache = pack_folders([portraits], tmp_path / "cache", rooms, long_side=12)
    store = PeopleStore(cache)
    assert [p["shape"] for p in store.people] == [[12, 8]] * 2
    assert store.room(0).shape == (8, 12, 3)
    assert (cache / "people.bin").stat().st_size == 3 * 12 * 8 * 7


def test_shrinking_a_cut_out_brings_no_colours_from_outside(cut_outs: Path) -> None:
    for sample in samples(cut_outs):
        small = load(sample, long_side=9)
        own = trees.colours(sample.picture.stem)[0].astype(int)
        assert np.abs(small.foreground.astype(int) - own).max() <= 1


def test_broken_samples_are_left_out_by_name(portraits: Path, rooms: Path, tmp_path: Path) -> None:
    trees.photographs(portraits, "train/blurred_image", "train/mask", ["lost", "small", "empty"])
    (portraits / "train" / "mask" / "lost.png").unlink()
    trees.write(portraits / "train" / "mask" / "small.png", trees.disk(9, 9))
    trees.write(portraits / "train" / "mask" / "empty.png", np.zeros((24, 16), np.uint8))
    said: list[str] = []
    cache = pack_folders([portraits], tmp_path / "cache", rooms, say=said.append)
    assert len(PeopleStore(cache).people) == 2
    assert len(said) == 4 and said[-1] == "3 of 6 samples skipped"
    assert "empty" in said[0] and "lost" in said[1] and "9x9" in said[2]


def test_a_list_of_names_picks_the_people(portraits: Path, rooms: Path, tmp_path: Path) -> None:
    only = tmp_path / "people.txt"
    only.write_text("p_2.jpg\nv_1\n")
    cache = pack_folders([portraits], tmp_path / "cache", rooms, only=only)
    assert [p["name"] for p in PeopleStore(cache).people] == ["train/blurred_image/p_2"]
    only.write_text("nobody\n")
    with pytest.raises(UsageError, match=r"people\.txt lists no picture"):
        pack_folders([portraits], tmp_path / "other", rooms, only=only)


def test_a_benchmark_alone_is_not_enough(rooms: Path, tmp_path: Path) -> None:
    for name in "12":
        trees.write(tmp_path / "PPM-100" / "image" / f"{name}.jpg", trees.photograph(name))
        trees.write(tmp_path / "PPM-100" / "matte" / f"{name}.jpg", trees.disk())
    with pytest.raises(InputError, match="none of 2 samples is for training"):
        pack_folders([tmp_path / "PPM-100"], tmp_path / "cache", rooms)
    assert not (tmp_path / "cache" / "index.json").exists()


def test_backgrounds_are_asked_for(portraits: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no backgrounds"):
        pack_folders([portraits], tmp_path / "cache")
    trees.rooms(portraits / "backgrounds", 2)
    cache = pack_folders([portraits], tmp_path / "cache")
    assert [len(PeopleStore(cache, validation).rooms) for validation in (False, True)] == [1, 1]


def test_a_full_cache_is_never_written_again(portraits: Path, rooms: Path, tmp_path: Path) -> None:
    cache = pack_folders([portraits], tmp_path / "cache", rooms)
    before = {f.name: (f.stat().st_mtime_ns, f.read_bytes()) for f in cache.iterdir()}
    pack_folders([tmp_path / "gone"], cache)
    assert {f.name: (f.stat().st_mtime_ns, f.read_bytes()) for f in cache.iterdir()} == before


def test_a_cache_that_was_broken_off_is_made_anew(portraits: Path, rooms: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "people.bin").write_bytes(b"half of somebody")
    pack_folders([portraits], cache, rooms)
    assert len(json.loads((cache / "index.json").read_text())["people"]) == 3


def test_a_cache_of_another_format_is_refused_and_packed_anew(
    portraits: Path, rooms: Path, tmp_path: Path
) -> None:
    cache = pack_folders([portraits], tmp_path / "cache", rooms)
    fresh = {f.name: f.read_bytes() for f in cache.iterdir()}
    index = json.loads((cache / "index.json").read_text())
    del index["format"]  # as the first version had it
    index["people"] = index["people"][:1]
    (cache / "index.json").write_text(json.dumps(index))
    (cache / "pose.json").write_text("{}")
    with pytest.raises(UsageError, match="packed by another version"):
        PeopleStore(cache)
    pack_folders([portraits], cache, rooms)
    assert {f.name: f.read_bytes() for f in cache.iterdir()} == fresh


def test_an_index_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(InputError, match=r"index\.json cannot be read"):
        PeopleStore(tmp_path)


def test_own_people_are_packed_alone_as_among_others(portraits: Path, tmp_path: Path) -> None:
    drawn = draw_people(tmp_path / "drawn", people=4)
    alone = people_of(pack(drawn, tmp_path / "alone"))
    among = people_of(pack_folders([drawn, portraits], tmp_path / "among"))
    assert len(alone) == 4 and len(among) == 7
    for name, (store, number) in alone.items():
        one, other = store.person(number), among[name][0].person(among[name][1])
        for plane in ("image", "foreground", "alpha"):
            assert np.array_equal(getattr(one, plane), getattr(other, plane))


def test_a_cache_that_cannot_be_written_is_named(portraits: Path, rooms: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        pack_folders([portraits], tmp_path / "file" / "cache", rooms)


def test_training_takes_a_foreign_data_set_where_it_takes_its_own(portraits: Path, tmp_path: Path) -> None:
    trees.rooms(portraits / "backgrounds")
    assert len(PeopleStore(pack(portraits, tmp_path / "cache")).people) == 2
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError, match="known layout"):
        pack(tmp_path / "nothing", tmp_path / "other")


def test_layouts_are_one_for_all_folders_or_one_for_each(rooms: Path, tmp_path: Path) -> None:
    """Two folders of photographs whose names two layouts would fit."""
    for name in ("one", "two"):
        trees.cut_outs(tmp_path / name / "train", "fg", "alpha", [f"{name}_t"])
        trees.cut_outs(tmp_path / name / "test", "fg", "alpha", [f"{name}_v"])
    folders = [tmp_path / "one", tmp_path / "two"]
    for layouts in (["human-2k"], ["human-2k", "foreground-alpha"]):
        cache = pack_folders(folders, tmp_path / f"cache{len(layouts)}", rooms, layouts=layouts)
        assert len(PeopleStore(cache).people) == len(PeopleStore(cache, validation=True).people) == 2
    with pytest.raises(UsageError, match="3 layouts for 2 folders"):
        pack_folders(folders, tmp_path / "other", rooms, layouts=["auto"] * 3)
    with pytest.raises(UsageError, match="does not have the layout p3m-10k"):
        pack_folders(folders, tmp_path / "other", rooms, layouts=["auto", "p3m-10k"])
    with pytest.raises(UsageError, match="unknown layout 'adobe'"):
        pack_folders(folders, tmp_path / "other", rooms, layouts=["adobe"])


def test_keypoints_come_along_and_shrink_with_the_picture(portraits: Path, tmp_path: Path) -> None:
    drawn = draw_people(tmp_path / "drawn", people=4)
    pose = {"drawn_000": [[48.0, 24.0, 1.0]] * 25}
    (drawn / "pose.json").write_text(json.dumps(pose), encoding="utf-8")
    cache = pack_folders([portraits, drawn], tmp_path / "cache", long_side=48)
    people = people_of(cache)
    store, number = people["drawn_000"]
    joints = store.keypoints(number)
    assert joints is not None and joints[7].tolist() == [24.0, 12.0, 1.0]
    store, number = people["train/blurred_image/p_1"]
    assert store.keypoints(number) is None
    assert len(store.rooms) == 14, "the second folder has the rooms"


def test_keypoints_that_are_none_are_one_line(portraits: Path, rooms: Path, tmp_path: Path) -> None:
    (portraits / "pose.json").write_text("here: there", encoding="utf-8")
    with pytest.raises(InputError, match="pose.json does not contain keypoints"):
        pack_folders([portraits], tmp_path / "cache", rooms)


def test_the_hash_of_several_folders_follows_each(portraits: Path, cut_outs: Path, rooms: Path) -> None:
    both = data_hash(portraits, cut_outs)
    with_rooms = data_hash(portraits, cut_outs, backgrounds=rooms)
    assert len({data_hash(portraits), data_hash(cut_outs), both, with_rooms}) == 4
    trees.rooms(rooms / "more", 1)
    assert data_hash(portraits, cut_outs, backgrounds=rooms) != with_rooms


def test_the_hash_of_data_follows_names_and_sizes_only(portraits: Path) -> None:
    first = data_hash(portraits)
    (portraits / "notes.txt").write_text("not read by training")
    assert data_hash(portraits) == first
    mask = portraits / "train" / "mask" / "p_1.png"
    mask.write_bytes(mask.read_bytes() + b"\0")
    second = data_hash(portraits)
    mask.rename(mask.with_name("p_9.png"))
    assert len({first, second, data_hash(portraits)}) == 3


@pytest.fixture
def with_true_alpha(tmp_path: Path) -> Path:
    """Four photographs, three cut-outs and two clips; a fourth of them and a clip held out."""
    drawn = draw_people(tmp_path / "drawn", people=4, held_out=1)
    return trees.true_alpha(drawn, {"train": ["a_1", "a_2"], "val": ["b_1"]}, ["brad", "wix"])


def test_cutouts_and_clips_are_packed_as_what_they_are(with_true_alpha: Path, tmp_path: Path) -> None:
    cache = pack_folders([with_true_alpha], tmp_path / "cache", clip_frames=3)
    found = {
        validation: [
            (p["name"].split("/")[0][:8], p["kind"], p["teacher"])
            for p in PeopleStore(cache, validation).people
        ]
        for validation in (False, True)
    }
    still, clip = ("cutouts", "cutout", False), ("cutclips", "clip", False)
    assert found[False] == [("drawn_00", "photograph", True)] * 3 + [still] * 2 + [clip] * 3
    assert found[True] == [("drawn_00", "photograph", True), still, *[clip] * 3]


def test_a_clips_colours_go_on_beyond_its_alpha_and_its_alpha_is_its_luma(
    with_true_alpha: Path, tmp_path: Path
) -> None:
    people = people_of(pack_folders([with_true_alpha], tmp_path / "cache", clip_frames=2))
    store, number = people["cutclips/brad/00004"]
    person = store.person(number)
    assert np.array_equal(person.alpha, trees.clip_alpha(4))
    assert np.abs(person.foreground.astype(int) - trees.colours("brad")[0]).max() <= 4


def test_kinds_are_drawn_by_their_shares(with_true_alpha: Path, tmp_path: Path) -> None:
    store = PeopleStore(pack(with_true_alpha, tmp_path / "cache"))
    rng = np.random.default_rng(0)
    drawn = [store.people[store.draw(rng)]["kind"] for _ in range(2000)]
    assert abs(drawn.count("photograph") / 2000 - 0.45) < 0.05
    assert abs(drawn.count("clip") / 2000 - 0.10) < 0.03
    assert {store.people[store.draw(rng, whole=True)]["kind"] for _ in range(50)} == {"photograph"}
    stills = store.only("cutout")
    assert [p["name"] for p in stills.people] == ["cutouts/a_1", "cutouts/a_2"]
    assert sorted({stills.draw(rng, whole=True) for _ in range(50)}) == [0, 1]
    store.shares = {"clip": 1.0}
    assert {store.people[store.draw(rng)]["kind"] for _ in range(50)} == {"clip"}


def test_a_cut_out_is_never_shown_with_the_background_it_was_packed_on(
    with_true_alpha: Path, tmp_path: Path
) -> None:
    """Photographs alone are shown whole: of them there are none here."""
    store = PeopleStore(pack(with_true_alpha, tmp_path / "cache")).only("cutout")
    for seed in range(20):
        example = training_example(np.random.default_rng(seed), store, 32, 32, composited=0.0)
        assert example.background is not None


def test_the_hash_of_data_follows_true_alphas(with_true_alpha: Path) -> None:
    before = data_hash(with_true_alpha)
    (with_true_alpha / "cutclips" / "brad_alpha.mp4").unlink()
    assert data_hash(with_true_alpha) != before
