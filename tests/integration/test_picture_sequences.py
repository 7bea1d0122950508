"""Sequences of pictures: patterns, gaps, numbers, rates, and what an older sequence left."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from livematte.errors import InputError, UsageError
from livematte.kernels.convert import to_rgb
from livematte.output_paths import output_paths
from livematte.video import open_sink, open_video
from livematte.video.images import ImageSequenceSink
from livematte.video.picture_sequence import check_fps, find_sequence, is_sequence
from tests.profiles import DISPLAY_P3


def pictures(folder: Path, numbers: list[int], name: str = "shot_{:04d}.png", **options: object) -> Path:
    """Write pictures whose red is their number modulo 256."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.new("RGB", (64, 48), (number % 256, 80, 40)).save(folder / name.format(number), **options)
    return folder


def read(path: str | Path, **options: object) -> tuple[list[int], list[Fraction], list[str]]:
    """Return the red, the time and the notes of a sequence."""
    with open_video(path, **options) as source:
        frames = [(int(to_rgb(frame)[5, 5, 0]), frame.seconds) for frame in source]
        return [red for red, _ in frames], [time for _, time in frames], source.notes


def copy(path: str | Path, target: str | Path, **options: object) -> ImageSequenceSink:
    with open_video(path, **options) as source:
        sink = open_sink(target, source.info)
        assert isinstance(sink, ImageSequenceSink)
        for frame in source:
            sink.write(frame)
        sink.close()
    return sink


@pytest.mark.parametrize(
    "given", ["", "*.png", "shot_*.png", "shot_%04d.png", "shot_####.png", "shot_1???.png"]
)
def test_every_way_to_name_a_sequence(tmp_path: Path, given: str) -> None:
    pictures(tmp_path / "in", [1001, 1002, 1003])
    reds, times, notes = read(tmp_path / "in" / given)
    assert reds == [1001 % 256, 1002 % 256, 1003 % 256] and not notes
    assert times == [0, Fraction(1, 25), Fraction(2, 25)]


@pytest.mark.parametrize("suffix", ["jpg", "tif", "webp", "bmp", "exr"])
def test_other_kinds_of_pictures(tmp_path: Path, suffix: str) -> None:
    pictures(tmp_path / "in", [7, 8])
    if suffix == "exr":
        copy(tmp_path / "in", tmp_path / "exr" / "a_%03d.exr")
        pattern = tmp_path / "exr" / "a_###.exr"
    else:
        pictures(tmp_path / suffix, [7, 8], name=f"a_{{:03d}}.{suffix}")
        pattern = tmp_path / suffix / "a_###"
        pattern = pattern.with_suffix(f".{suffix}")
    reds, _, _ = read(pattern)
    assert np.abs(np.array(reds) - [7, 8]).max() <= 4


def test_a_gap_is_read_over_and_named(tmp_path: Path) -> None:
    pictures(tmp_path, [1, 2, 5, 6, 8])
    reds, times, notes = read(tmp_path / "shot_%04d.png")
    assert reds == [1, 2, 5, 6, 8]
    assert [int(25 * time) for time in times] == [0, 1, 4, 5, 7]
    assert notes == ["3 pictures are missing (3-4, 7): the one before each gap is shown longer"]


@pytest.mark.parametrize(
    ("given", "rate"), [(24, Fraction(24)), (23.976, Fraction(24000, 1001)), (29.97, Fraction(30000, 1001))]
)
def test_fps_sets_the_times(tmp_path: Path, given: float, rate: Fraction) -> None:
    pictures(tmp_path, [1, 2, 3])
    _, times, _ = read(tmp_path, fps=given)
    assert times == [0, 1 / rate, 2 / rate]
    assert check_fps(given) == rate
    with open_video(tmp_path, fps=given) as source:
        assert source.info.average_rate == rate and source.info.frames == 3


def test_fps_of_a_video_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path, [1])
    with pytest.raises(UsageError, match="own times"):
        open_video(tmp_path / "shot_0001.png", fps=24)
    with pytest.raises(UsageError, match="fps 0"):
        open_video(tmp_path, fps=0)


def test_a_section_of_a_sequence(tmp_path: Path) -> None:
    pictures(tmp_path / "in", list(range(1, 21)))
    reds, _, _ = read(tmp_path / "in", fps=10, start=0.5, end=0.8)
    assert reds == [6, 7, 8]
    sink = copy(tmp_path / "in", tmp_path / "out" / "%04d.png", fps=10, start=0.5, end=0.8)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["0006.png", "0007.png", "0008.png"]
    assert sink.frames == 3


def test_numbers_are_kept(tmp_path: Path) -> None:
    pictures(tmp_path / "in", [1001, 1002, 1004])
    copy(tmp_path / "in" / "shot_####.png", tmp_path / "out" / "comp_%05d.png")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "comp_01001.png", "comp_01002.png", "comp_01004.png",
    ]  # fmt: skip


def test_numbers_sort_by_value(tmp_path: Path) -> None:
    pictures(tmp_path, [2, 9, 10, 11], name="f{}.png")
    assert read(tmp_path)[0] == [2, 9, 10, 11]
    assert read(tmp_path / "f%d.png")[0] == [2, 9, 10, 11]


def test_names_without_numbers_follow_at_once(tmp_path: Path) -> None:
    for name, red in (("b.png", 2), ("a.png", 1), ("c7.png", 3)):
        Image.new("RGB", (64, 48), (red, 80, 40)).save(tmp_path / name)
    assert read(tmp_path)[:2] == ([1, 2, 3], [0, Fraction(1, 25), Fraction(2, 25)])


def test_numbers_that_are_no_times(tmp_path: Path) -> None:
    pictures(tmp_path, [20240101, 20240102, 20250101], name="day{}.png")
    _, times, notes = read(tmp_path)
    assert times[-1] == Fraction(2, 25) and "far apart" in notes[0]


def test_what_is_no_sequence_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (
        tmp_path / "empty",
        tmp_path / "*.png",
        tmp_path / "no_%04d.png",
        tmp_path / "none" / "*.png",
    ):
        with pytest.raises(InputError):
            open_video(path)
    pictures(tmp_path / "both", [1])
    pictures(tmp_path / "both", [1], name="{}.jpg")
    with pytest.raises(InputError, match="several kinds"):
        open_video(tmp_path / "both")
    with pytest.raises(InputError, match="no such file"):
        open_video(tmp_path / "50%done.mp4")
    assert not is_sequence(tmp_path / "50%done.mp4")


def test_an_older_longer_sequence_is_not_mixed_with_the_new_one(tmp_path: Path) -> None:
    pictures(tmp_path / "long", list(range(1, 8)))
    pictures(tmp_path / "short", [1, 2, 3])
    out = tmp_path / "out"
    copy(tmp_path / "long", out / "%04d.png")
    (out / "notes.txt").write_text("mine")
    (out / "other_0001.png").write_text("mine")
    sink = copy(tmp_path / "short", out / "%04d.png")
    assert sorted(file.name for file in out.iterdir()) == [
        "0001.png", "0002.png", "0003.png", "notes.txt", "other_0001.png",
    ]  # fmt: skip
    older = tmp_path / "out.older"
    assert sorted(file.name for file in older.iterdir()) == [f"000{number}.png" for number in (4, 5, 6, 7)]
    assert any("4 pictures of an older sequence" in note and str(older) in note for note in sink.notes)


@pytest.mark.parametrize("given", ["", "*.png", "shot_####.png"])
def test_the_input_is_not_written_over(tmp_path: Path, given: str) -> None:
    pictures(tmp_path / "in", [1, 2])
    before = {file: file.read_bytes() for file in (tmp_path / "in").iterdir()}
    with open_video(tmp_path / "in" / given) as source, pytest.raises(UsageError, match="also the input"):
        open_sink(tmp_path / "in" / "shot_%04d.png", source.info)
    assert {file: file.read_bytes() for file in (tmp_path / "in").iterdir()} == before


@pytest.mark.parametrize("suffix", ["png", "tif", "exr", "jpg"])
@pytest.mark.parametrize("kind", ["picture", "alpha"])
def test_every_kind_of_numbered_pictures_is_written(tmp_path: Path, suffix: str, kind: str) -> None:
    pictures(tmp_path / "in", [3, 4])
    with open_video(tmp_path / "in") as source:
        sink = open_sink(tmp_path / f"o_###.{suffix}", source.info, kind=kind)  # type: ignore[arg-type]
        for frame in source:
            sink.write(frame)
        sink.close()
    names = sorted(file.name for file in tmp_path.iterdir() if file.is_file())
    assert names == [f"o_003.{suffix}", f"o_004.{suffix}"]
    with open_video(tmp_path / names[0]) as source:
        green = int(to_rgb(next(iter(source)))[5, 5, 1])
    # An EXR holds alpha as data: 80 / 255 of light.
    expected = 152 if (kind, suffix) == ("alpha", "exr") else 80
    assert abs(green - expected) <= 3


def test_the_form_with_hashes_of_an_output(tmp_path: Path) -> None:
    named = output_paths("o/a_####.png", {"alpha_out": "50%done.mp4"})
    assert named["picture"] == str(Path("o/a_%04d.png")) and named["alpha"] == "50%done.mp4"


def test_each_picture_has_its_own_profile(tmp_path: Path) -> None:
    pictures(tmp_path, [200], icc_profile=DISPLAY_P3)
    pictures(tmp_path, [201])
    reds, _, notes = read(tmp_path)
    assert abs(reds[0] - 216) <= 1 and reds[1] == 201
    assert any("Display P3" in note for note in notes)


def test_a_sequence_becomes_a_video_at_its_rate(tmp_path: Path) -> None:
    pictures(tmp_path / "in", [1, 2, 3, 4])
    with open_video(tmp_path / "in", fps=24) as source:
        sink = open_sink(tmp_path / "o.mp4", source.info, copy_streams_from=tmp_path / "in")
        for frame in source:
            sink.write(frame)
        sink.close()
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.video[0].average_rate == 24
        assert len(list(container.decode(video=0))) == 4


def test_a_picture_that_vanishes_is_one_line(tmp_path: Path) -> None:
    pictures(tmp_path, list(range(1, 81)))  # more than a decoder's threads read ahead
    with open_video(tmp_path) as source:
        (tmp_path / "shot_0080.png").unlink()
        with pytest.raises(InputError, match="shot_0080.png cannot be read"):
            list(source)


def test_find_sequence_lists_the_files(tmp_path: Path) -> None:
    pictures(tmp_path, [5, 7])
    found = find_sequence(tmp_path / "shot_####.png")
    assert (list(found.numbers), list(found.ticks)) == ([5, 7], [0, 2])
