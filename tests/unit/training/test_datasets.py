"""Each known layout is recognised, its examples are paired and split, and what is broken is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte.errors import InputError, UsageError
from livematte.evaluation.cases import find_cases
from livematte.training.datasets import LAYOUTS, Sample, find_layout, list_files, samples
from livematte.training.foregrounds import push_pull
from livematte.training.loading import load
from tests.unit.training import trees

ADOBE = "Adobe-licensed images"


def livematte(root: Path) -> None:
    trees.photographs(root, "people", "alpha", ["ann", "ben", "cleo", "draft"])
    trees.rooms(root / "backgrounds")
    (root / "split.json").write_text(json.dumps({"train": ["ann", "ben"], "val": ["cleo"]}))


def composition(root: Path) -> None:
    root = root / "Combined_Dataset"
    trees.cut_outs(root / "Training_set" / ADOBE, "fg", "alpha", ["a1", "a2"])
    trees.cut_outs(root / "Training_set" / "Other", "fg", "alpha", ["o1"])
    trees.cut_outs(root / "Test_set" / ADOBE, "fg", "alpha", ["t1", "t2"])
    for name in ("t1", "t2"):
        for n in range(2):
            trees.write(root / "Test_set" / ADOBE / "trimaps" / f"{name}_{n}.png", trees.disk())
    (root / "Test_set" / "test_fg_names.txt").write_text("t2.png\nt1.png\n")
    (root / "Test_set" / "test_bg_names.txt").write_text("b0.jpg\nb1.jpg\nb2.jpg\nb3.jpg\n")


def p3m(root: Path) -> None:
    trees.photographs(root, "train/blurred_image", "train/mask", ["p_1", "p_2", "p_3"])
    for folder, kind in (("P3M-500-P", "blurred_image"), ("P3M-500-NP", "original_image")):
        trees.photographs(root / "validation" / folder, kind, "mask", [f"v_{kind}"])
        trees.write(root / "validation" / folder / "trimap" / f"v_{kind}.png", trees.disk())
    trees.write(root / "train" / "facemask" / "p_1.png", trees.disk())


def aisegment(root: Path) -> None:
    for n in range(20):
        group = f"18031518{n % 2}"
        name = f"{group}-{n:08d}"
        trees.write(root / "clip_img" / group / "clip_00000000" / f"{name}.jpg", trees.photograph(name))
        cut = np.dstack([trees.cut_out(name), trees.disk()])
        trees.write(root / "matting" / group / "matting_00000000" / f"{name}.png", cut)
    (root / "matting" / "180315180" / "._matting_00000000").write_bytes(b"what macOS adds")


def videomatte(root: Path) -> None:
    for split, clips in (("train", ["0000", "0001"]), ("test", ["0000"])):
        for clip in clips:
            for n in range(5):
                trees.cut_outs(root / split, f"fgr/{clip}", f"pha/{clip}", [f"{n:05d}"])


def distinctions(root: Path) -> None:
    trees.cut_outs(root, "Train/FG", "Train/GT", ["dog", "girl"])
    trees.cut_outs(root, "Test/FG", "Test/GT", ["man"])


def ppm(root: Path) -> None:
    for name in ("1", "2"):
        trees.write(root / "image" / f"{name}.jpg", trees.photograph(name))
        trees.write(root / "matte" / f"{name}.jpg", trees.disk())


def human(root: Path) -> None:
    trees.cut_outs(root, "train/fg", "train/alpha", ["h1", "h2"])
    trees.cut_outs(root, "test/fg", "test/alpha", ["h3"])


def image_alpha(root: Path) -> None:
    trees.photographs(root, "Images", "Masks", [f"own_{n}" for n in range(20)])


def foreground_alpha(root: Path) -> None:
    trees.cut_outs(root, "train/foreground", "train/alpha", ["x", "y"])
    trees.cut_outs(root, "val/foreground", "val/alpha", ["z"])


Writer = Callable[[Path], None]
TREES: dict[str, tuple[str, Writer, int, int]] = {
    "livematte": ("people", livematte, 2, 1),
    "composition-1k": ("AIM", composition, 3, 4),
    "p3m-10k": ("P3M-10k", p3m, 3, 2),
    "aisegment": ("matting_human_half", aisegment, 17, 3),
    "videomatte240k": ("VideoMatte240K_JPEG_SD", videomatte, 10, 5),
    "distinctions-646": ("Distinctions-646", distinctions, 2, 1),
    "ppm-100": ("PPM-100", ppm, 0, 2),
    "human-2k": ("Human-2K", human, 2, 1),
    "image-alpha": ("mine", image_alpha, 17, 3),
    "foreground-alpha": ("mine too", foreground_alpha, 2, 1),
}
"""Folder, who writes it, how many training and validation samples there are; of 20 a hash keeps 3."""


@pytest.fixture(params=TREES)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    layout: str = request.param
    folder, writer, _, _ = TREES[layout]
    writer(tmp_path / folder)
    return layout, tmp_path / folder


def test_every_layout_has_its_miniature() -> None:
    assert set(TREES) == set(LAYOUTS)


def test_a_layout_is_recognised(tree: tuple[str, Path]) -> None:
    layout, folder = tree
    assert find_layout(folder) == layout


def test_all_samples_are_found_and_split(tree: tuple[str, Path]) -> None:
    layout, folder = tree
    found = samples(folder)
    assert [sum(s.split == split for s in found) for split in ("train", "val")] == list(TREES[layout][2:])
    assert len({s.name for s in found}) == len(found)
    assert all(s.layout == layout and s.alpha is not None for s in found)


def test_every_sample_loads_with_the_persons_own_colours_everywhere(tree: tuple[str, Path]) -> None:
    for sample in samples(tree[1]):
        person = load(sample, estimate=push_pull)
        assert person.name == sample.name
        assert person.image.shape == person.foreground.shape == (trees.HEIGHT, trees.WIDTH, 3)
        assert np.abs(person.alpha.astype(int) - trees.disk()).max() <= 6  # JPEG
        own = trees.colours(sample.picture.stem)[0].astype(int)
        apart = np.abs(person.foreground.astype(int) - own).max(2)
        assert np.percentile(apart, 95) < (25 if sample.image else 3), sample


def test_the_folder_around_an_archives_own_folder_will_do(tmp_path: Path) -> None:
    p3m(tmp_path / "downloads" / "P3M-10k")
    assert len(samples(tmp_path / "downloads")) == 5


def by_name(found: list[Sample]) -> dict[str, Sample]:
    return {s.name: s for s in found}


def test_test_foregrounds_meet_the_backgrounds_that_are_listed_for_them(tmp_path: Path) -> None:
    composition(tmp_path)
    found = {s.name.split("/")[-1]: s for s in samples(tmp_path) if s.split == "val"}
    assert {name: s.background for name, s in found.items()} == {
        "t2_0": "b0.jpg", "t2_1": "b1.jpg", "t1_0": "b2.jpg", "t1_1": "b3.jpg",
    }  # fmt: skip
    trimap = found["t1_1"].trimap
    assert trimap is not None and trimap.name == "t1_1.png"


def test_test_foregrounds_without_lists_come_once(tmp_path: Path) -> None:
    composition(tmp_path)
    (tmp_path / "Combined_Dataset" / "Test_set" / "test_bg_names.txt").unlink()
    assert [s.background for s in samples(tmp_path) if s.split == "val"] == [None, None]


def test_trimaps_come_with_their_pictures(tmp_path: Path) -> None:
    p3m(tmp_path)
    assert [s.trimap.stem if s.trimap else "" for s in samples(tmp_path)] == [
        "", "", "", "v_blurred_image", "v_original_image",
    ]  # fmt: skip


def test_a_clip_gives_frames_evenly_spread(tmp_path: Path) -> None:
    videomatte(tmp_path)
    found = samples(tmp_path, clip_frames=2)
    assert [s.name for s in found] == [
        f"{split}/fgr/{clip}/{n}"
        for split, clips in (("train", ["0000", "0001"]), ("test", ["0000"]))
        for clip in clips
        for n in ("00000", "00002")
    ]


def test_the_wanted_frame_of_a_video_is_read(tmp_path: Path) -> None:
    """Ten frames, number n being 20 n bright; B-frames and one key frame."""
    av = pytest.importorskip("av")
    for kind in ("fgr", "pha"):
        for split in ("train", "test"):
            (tmp_path / split / kind).mkdir(parents=True)
            with av.open(str(tmp_path / split / kind / "0000.mp4"), "w") as out:
                stream = out.add_stream("h264", rate=24)
                stream.width = stream.height = 64
                stream.pix_fmt = "yuv420p"
                for n in range(10):
                    grey = np.full((64, 64, 3), 20 * n + 30, np.uint8)
                    out.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
                out.mux(stream.encode())
    found = samples(tmp_path, clip_frames=5)
    assert find_layout(tmp_path) == "videomatte240k"
    assert [s.frame for s in found if s.split == "train"] == [0, 2, 4, 6, 8]
    for sample in found:
        assert sample.frame is not None
        person = load(sample)
        assert abs(int(np.median(person.foreground)) - (20 * sample.frame + 30)) <= 4
        assert abs(int(np.median(person.alpha)) - (20 * sample.frame + 30)) <= 4


def test_an_unknown_folder_says_what_is_known_and_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "work").mkdir()
    with pytest.raises(UsageError) as caught:
        find_layout(tmp_path)
    message = str(caught.value)
    assert "holiday, work" in message and "\n" not in message
    assert all(layout in message for layout in LAYOUTS)


def test_a_layout_that_does_not_fit_says_which_folders_it_wants(tmp_path: Path) -> None:
    p3m(tmp_path)
    with pytest.raises(UsageError, match="clip_img with matting.* it has train, validation"):
        samples(tmp_path, "aisegment")
    with pytest.raises(UsageError, match=r"unknown layout 'p3m': allowed are auto, .*p3m-10k"):
        samples(tmp_path, "p3m")
    with pytest.raises(UsageError, match="nowhere"):
        samples(tmp_path / "nowhere")


def test_a_named_layout_overrides_what_the_folder_looks_like(tmp_path: Path) -> None:
    ppm(tmp_path / "mine")
    assert find_layout(tmp_path / "mine") == "image-alpha"
    assert {s.split for s in samples(tmp_path / "mine", "ppm-100")} == {"val"}


def test_folders_without_pictures_are_named(tmp_path: Path) -> None:
    for folder in ("image", "alpha"):
        (tmp_path / folder).mkdir()
    with pytest.raises(InputError, match="no picture"):
        samples(tmp_path)


def test_a_picture_without_alpha_is_named_when_it_is_loaded(tmp_path: Path) -> None:
    p3m(tmp_path)
    (tmp_path / "train" / "mask" / "p_2.png").unlink()
    found = by_name(samples(tmp_path))
    assert len(found) == 5
    load(found["train/blurred_image/p_1"])
    with pytest.raises(InputError, match=r"p3m-10k train/blurred_image/p_2: .* no alpha .*p_2\.jpg"):
        load(found["train/blurred_image/p_2"])


def test_sizes_that_differ_are_named(tmp_path: Path) -> None:
    distinctions(tmp_path)
    trees.write(tmp_path / "Train" / "GT" / "dog.png", trees.disk(30, 20))
    with pytest.raises(InputError, match=r"Train/FG/dog: the picture is 16x24 but .*dog\.png is 20x30"):
        load(by_name(samples(tmp_path))["Train/FG/dog"])


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    ppm(tmp_path / "PPM")
    for content in (b"", b"not a picture"):
        (tmp_path / "PPM" / "matte" / "1.jpg").write_bytes(content)
        with pytest.raises(InputError, match=r"1\.jpg is not a picture"):
            load(samples(tmp_path / "PPM")[0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("train: [ann]", "not JSON"),
        ("null", "it holds null"),
        ("[]", "it holds a list"),
        ("3", "it holds a number"),
        ('"val"', "it holds text"),
        ("{}", "'train' is missing"),
        ('{"train": ["ann"]}', "'val' is missing"),
        ('{"train": "ann", "val": "cleo"}', "'train' is text"),
        ('{"train": ["ann"], "val": null}', "'val' is null"),
        ('{"train": ["ann"], "val": {"cleo": 1}}', "'val' is an object"),
        ('{"train": ["ann"], "val": [1]}', "'val' holds 1"),
        ('{"train": [["ann"]], "val": ["cleo"]}', "'train' holds ..ann"),
        ('{"train": ["ann", ""], "val": ["cleo"]}', "'train' holds '', which is no name"),
        ('{"train": ["ann", "ann"], "val": ["cleo"]}', "'ann' is twice in one list"),
        ('{"train": ["ann", "cleo"], "val": ["cleo"]}', "'cleo' is in train and in val"),
        ('{"train": ["ann"], "val": [], "val": ["cleo"]}', "the key 'val' is there twice"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_split_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    livematte(tmp_path)
    (tmp_path / "split.json").write_text(text)
    for read in (samples, find_cases):
        with pytest.raises(InputError, match=rf"split\.json .*{said}") as caught:
            list(read(tmp_path))
        assert "\n" not in str(caught.value)


def test_a_split_that_names_nobody_is_one_line(tmp_path: Path) -> None:
    livematte(tmp_path)
    (tmp_path / "split.json").write_text('{"train": [], "val": []}')
    for read in (samples, find_cases):
        with pytest.raises(InputError):
            read(tmp_path)


def test_sixteen_bit_alpha_keeps_its_range(tmp_path: Path) -> None:
    trees.photographs(tmp_path, "image", "alpha", ["deep"])
    cv2.imwrite(str(tmp_path / "alpha" / "deep.png"), trees.disk().astype(np.uint16) * 257)
    assert np.array_equal(load(samples(tmp_path)[0]).alpha, trees.disk())


def test_only_files_that_training_reads_are_counted(tmp_path: Path) -> None:
    p3m(tmp_path)
    (tmp_path / "read me.txt").write_text("hello")
    named = [name for name, _ in list_files(tmp_path)]
    assert "train/mask/p_1.png" in named and len(named) == 12
    assert not [name for name in named if "facemask" in name or "read me" in name]
