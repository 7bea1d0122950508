"""Folders of every layout, written by the test, against what is read from them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte.errors import InputError
from livematte.evaluation.cases import CLIP, find_cases, spread
from livematte.evaluation.truth import Truth
from livematte.frame import ColorInfo, Frame
from livematte.kernels.convert import planes_from_rgb
from livematte.protocols import SourceInfo
from livematte.training.packing import pack
from livematte.video.writer import open_sink
from tests.people import draw_people

RNG = np.random.default_rng(1)
RGB = cv2.GaussianBlur(RNG.integers(0, 256, (24, 32, 3)).astype(np.uint8), (0, 0), 2)
ALPHA8 = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (24, 1))


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if picture.ndim == 3:
        picture = picture[..., [2, 1, 0, *range(3, picture.shape[2])]]
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())


def only(folder: Path) -> list[Truth]:
    (case,) = find_cases(folder)
    return list(case.frames())


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_people(tmp_path_factory.mktemp("drawn") / "data", people=6, held_out=3)


def test_held_out_people_come_out_the_same_packed_or_not(people: Path, tmp_path: Path) -> None:
    loose, packed = find_cases(people), find_cases(pack(people, tmp_path / "cache"))
    assert [case.name for case in loose] == ["drawn_003", "drawn_004", "drawn_005"]
    assert [case.name for case in packed] == [case.name for case in loose]
    for a, b in zip(loose, packed, strict=True):
        (one,), (other,) = a.frames(), b.frames()
        np.testing.assert_array_equal(one.rgb, other.rgb)
        np.testing.assert_array_equal(one.alpha, other.alpha)
        assert one.foreground is not None and other.foreground is not None
        np.testing.assert_array_equal(one.foreground, other.foreground)


def test_a_composite_is_the_compositing_equation(people: Path) -> None:
    (truth,) = find_cases(people)[0].frames()
    assert truth.foreground is not None
    inside = truth.alpha == 1
    assert 0.05 < inside.mean() < 0.9
    np.testing.assert_array_equal(truth.rgb[inside], truth.foreground[inside])


def test_people_walk_two_pixels_a_frame(people: Path) -> None:
    frames = list(find_cases(people, moving=True)[0].frames())
    assert len(frames) == CLIP
    for before, now in pairwise(frames[1:]):
        np.testing.assert_allclose(now.alpha[:, 12:-12], before.alpha[:, 10:-14], atol=1e-6)
    (again, *_) = find_cases(people, moving=True)[0].frames()
    np.testing.assert_array_equal(again.rgb, frames[0].rgb)


@pytest.mark.parametrize(("image", "alpha"), [("image", "alpha"), ("images", "mattes"), ("fgr", "pha")])
def test_pairs_of_the_same_name(tmp_path: Path, image: str, alpha: str) -> None:
    for name in ("a", "b", "alone"):
        write(tmp_path / image / f"{name}.png", RGB)
    for name in ("a", "b"):
        write(tmp_path / alpha / f"{name}.png", ALPHA8)
    cases = find_cases(tmp_path)
    assert [case.name for case in cases] == ["a", "b"]
    (truth,) = cases[0].frames()
    np.testing.assert_array_equal(truth.rgb, RGB)
    np.testing.assert_allclose(truth.alpha, ALPHA8 / 255, atol=1e-6)
    assert truth.foreground is None and truth.trimap is None


def test_foreground_and_trimap_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "image" / "a.png", RGB)
    write(tmp_path / "alpha" / "a.png", ALPHA8)
    write(tmp_path / "fg" / "a.png", 255 - RGB)
    write(tmp_path / "trimap" / "a.png", np.where(ALPHA8 > 128, 255, 128).astype(np.uint8))
    (truth,) = only(tmp_path)
    assert truth.foreground is not None and truth.trimap is not None
    np.testing.assert_array_equal(truth.foreground, 255 - RGB)
    assert set(np.unique(truth.trimap)) == {128, 255}


def test_alpha_may_be_sixteen_bits_or_a_channel(tmp_path: Path) -> None:
    for name in ("deep", "channel"):
        write(tmp_path / "image" / f"{name}.jpg", RGB)
    write(tmp_path / "alpha" / "deep.png", ALPHA8.astype(np.uint16) * 257 + 3)
    write(tmp_path / "alpha" / "channel.png", np.dstack((RGB, ALPHA8)))
    by_name = {case.name: next(case.frames()).alpha for case in find_cases(tmp_path)}
    np.testing.assert_allclose(by_name["deep"][:, :-1], ALPHA8[:, :-1] / 255 + 3 / 65535, atol=1e-6)
    np.testing.assert_allclose(by_name["channel"], ALPHA8 / 255, atol=1e-6)


def test_a_folder_for_each_clip(tmp_path: Path) -> None:
    for clip in ("one", "two"):
        for number in range(3):
            write(tmp_path / clip / "com" / f"{number:04}.png", np.roll(RGB, number, 1))
            write(tmp_path / clip / "pha" / f"{number:04}.png", np.roll(ALPHA8, number, 1))
    cases = find_cases(tmp_path)
    assert [case.name for case in cases] == ["one", "two"]
    frames = list(cases[1].frames())
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[2].rgb, np.roll(RGB, 2, 1))
    np.testing.assert_allclose(frames[2].alpha, np.roll(ALPHA8, 2, 1) / 255, atol=1e-6)


def write_video(path: Path, pictures: list[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pictures[0].shape[:2]
    info = SourceInfo("drawn", height, width, "yuv420p", Fraction(1, 25), Fraction(25), color=ColorInfo())
    sink = open_sink(path, info, crf=1)
    for number, picture in enumerate(pictures):
        planes = planes_from_rgb(picture, "yuv420p", ColorInfo())
        sink.write(Frame(planes, "yuv420p", number, Fraction(1, 25), 1))
    sink.close()


@pytest.mark.parametrize("layout", ["pairs", "clips"])
def test_videos_of_picture_and_alpha(tmp_path: Path, layout: str) -> None:
    alphas = [np.roll(ALPHA8, 4 * number, 1) for number in range(4)]
    names = {"pairs": ("image/walk.mp4", "alpha/walk.mp4"), "clips": ("walk/image.mp4", "walk/alpha.mp4")}
    image, alpha = names[layout]
    write_video(tmp_path / image, [RGB] * 4)
    write_video(tmp_path / alpha, [np.repeat(a[..., None], 3, 2) for a in alphas])
    (case,) = find_cases(tmp_path)
    assert case.name == "walk"
    frames = list(case.frames())
    assert len(frames) == 4
    for truth, expected in zip(frames, alphas, strict=True):
        assert np.abs(truth.alpha - expected / 255).mean() < 0.02
        assert np.abs(truth.rgb.astype(int) - RGB).mean() < 10


def test_validation_photographs_of_a_data_set_with_a_trimap(tmp_path: Path) -> None:
    write(tmp_path / "train" / "blurred_image" / "t.jpg", RGB)
    write(tmp_path / "train" / "mask" / "t.png", ALPHA8)
    for kind, folder in (("blurred_image", "P3M-500-P"), ("original_image", "P3M-500-NP")):
        write(tmp_path / "validation" / folder / kind / "v.png", RGB)
        write(tmp_path / "validation" / folder / "mask" / "v.png", ALPHA8)
        write(tmp_path / "validation" / folder / "trimap" / "v.png", np.full((24, 32), 128, np.uint8))
    cases = find_cases(tmp_path)
    assert len(cases) == 2 and not any("train" in case.name for case in cases)
    (truth,) = cases[0].frames()
    np.testing.assert_array_equal(truth.rgb, RGB)
    assert truth.trimap is not None and (truth.trimap == 128).all()


def test_a_folder_split_into_train_and_val(tmp_path: Path) -> None:
    for split, names in (("train", "ab"), ("val", "cd")):
        for name in names:
            write(tmp_path / split / "image" / f"{name}.png", RGB)
            write(tmp_path / split / "alpha" / f"{name}.png", ALPHA8)
    cases = find_cases(tmp_path)
    assert [Path(case.name).name for case in cases] == ["c", "d"]
    assert [len(list(case.frames())) for case in cases] == [1, 1]


def test_one_clip_is_a_clip(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "walk" / "image" / f"{number}.png", RGB)
        write(tmp_path / "walk" / "alpha" / f"{number}.png", ALPHA8)
    assert len(only(tmp_path)) == 3


def test_foregrounds_alone_are_no_pictures(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / split / "fgr" / "clip" / "0.png", RGB)
        write(tmp_path / split / "pha" / "clip" / "0.png", ALPHA8)
    with pytest.raises(InputError, match="foregrounds without pictures"):
        find_cases(tmp_path)
    assert [case.name for case in find_cases(tmp_path / "test")] == ["clip"]


def test_fewer_alphas_than_pictures_are_an_error(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "clip" / "image" / f"{number}.png", RGB)
    write(tmp_path / "clip" / "alpha" / "0.png", ALPHA8)
    with pytest.raises(InputError, match="frame 2.*no alpha"):
        only(tmp_path)


def test_sizes_that_differ_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "image" / "a.png", RGB)
    write(tmp_path / "alpha" / "a.png", ALPHA8[:, :16])
    with pytest.raises(InputError, match="32 x 24.*16 x 24"):
        only(tmp_path)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path / "image" / "a.png", RGB)
    (tmp_path / "alpha").mkdir()
    (tmp_path / "alpha" / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"a\.png is not a picture"):
        only(tmp_path)


def test_a_folder_without_truth_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image/ and alpha/"):
        find_cases(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_cases(tmp_path / "nowhere")
    write(tmp_path / "image" / "a.png", RGB)
    write(tmp_path / "alpha" / "b.png", ALPHA8)
    with pytest.raises(InputError, match="has the same name as a file in"):
        find_cases(tmp_path)


def test_a_sample_is_spread_over_all(tmp_path: Path) -> None:
    for number in range(10):
        write(tmp_path / "image" / f"{number}.png", RGB)
        write(tmp_path / "alpha" / f"{number}.png", ALPHA8)
    cases = find_cases(tmp_path)
    assert [case.name for case in spread(cases, 4)] == ["0", "3", "6", "9"]
    assert len(spread(cases, None)) == len(spread(cases, 99)) == 10
