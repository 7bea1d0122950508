"""Photographs of several items: all of the picture is read, or there is one line, never a part of it."""

from __future__ import annotations

import struct
from contextlib import closing
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

import livematte
from livematte.errors import InputError
from livematte.kernels.convert import to_rgb
from livematte.matting.backgrounds import parse_background, read_image
from livematte.video import heif, trial_decode
from livematte.video.file_camera import open_file_camera
from livematte.video.reader import open_video
from tests.commands import run
from tests.heif_files import box, write_heif
from tests.livepeers import FindsThePerson
from tests.unit.kernels.pictures import random_frame

SUFFIXES = (".heic", ".avif")
SIZE = (100, 150)
"""Not a multiple of the tiles."""


def photograph() -> np.ndarray:
    """Red to the right, green down, blue from the lower left; smooth, so that codecs keep it."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    y, x = rows / (SIZE[0] - 1), columns / (SIZE[1] - 1)
    return np.stack([255 * x, 255 * y, 255 * (1 - x) * y], -1).astype(np.uint8)


def opaque_left() -> np.ndarray:
    alpha = np.zeros(SIZE, np.uint8)
    alpha[:, : SIZE[1] // 2] = 255
    return alpha


def assert_alike(seen: np.ndarray, wanted: np.ndarray) -> None:
    assert seen.shape == wanted.shape
    assert np.abs(seen.astype(int) - wanted).mean() < 4


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("tile", [64, None])
@pytest.mark.parametrize(
    ("left", "top", "width", "height"), [(20, 10, 80, 60), (7, 5, 101, 61), (0, 0, 150, 100)]
)
def test_only_the_clean_aperture_is_shown(
    tmp_path: Path, suffix: str, alpha: bool, tile: int | None, left: int, top: int, width: int, height: int
) -> None:
    offsets = 2 * left + width - SIZE[1], 2 * top + height - SIZE[0]  # in halves of a pixel
    clap = box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, offsets[0], 2, offsets[1], 2))
    photo = write_heif(
        tmp_path / f"photo{suffix}", photograph(), tile=tile, alpha=opaque_left() if alpha else None,
        properties=[clap, box(b"irot", b"\1")],
    )  # fmt: skip
    with closing(open_video(photo)) as source:
        (frame,) = source
        assert (source.info.height, source.info.width) == (width, height)
    shown = photograph()[top : top + height, left : left + width]
    assert_alike(to_rgb(frame), np.rot90(shown))


def test_a_damaged_clean_aperture_is_one_line(tmp_path: Path) -> None:
    photo = write_heif(tmp_path / "photo.heic", photograph(), properties=[box(b"clap", bytes(32))])
    with pytest.raises(InputError, match="clean aperture is damaged"):
        open_video(photo)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("tile", [64, 128, 256, None])
def test_a_photograph_is_read_whole(tmp_path: Path, suffix: str, tile: int | None) -> None:
    photo = write_heif(tmp_path / f"photo{suffix}", photograph(), tile=tile)
    with closing(open_video(photo)) as source:
        (frame,) = source
        assert source.info.details["image"] and source.info.frames == 1 and source.info.average_rate is None
        assert (source.info.height, source.info.width) == SIZE
        assert frame.color.matrix == "bt709" and frame.color.full_range
    assert_alike(to_rgb(frame), photograph())
    if suffix == ".avif":  # another reader agrees that it is the file it should be
        assert_alike(np.asarray(PIL.Image.open(photo).convert("RGB")), photograph())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("tile", [128, None])
def test_a_photograph_is_turned_and_mirrored(
    tmp_path: Path, suffix: str, turns: int, axis: int | None, tile: int | None
) -> None:
    properties = [box(b"irot", bytes([turns]))] if turns else []
    properties += [] if axis is None else [box(b"imir", bytes([axis]))]
    photo = write_heif(tmp_path / f"photo{suffix}", photograph(), tile=tile, properties=properties)
    upright = np.rot90(photograph(), turns)  # anticlockwise
    if axis is not None:
        upright = upright[:, ::-1] if axis else upright[::-1]
    assert_alike(read_image(photo), upright)
    if suffix == ".avif":
        turned = PIL.ImageOps.exif_transpose(PIL.Image.open(photo))
        assert_alike(np.asarray(turned.convert("RGB")), upright)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("tile", [64, None])
def test_transparency_is_read_and_lies_on_black_as_a_background(
    tmp_path: Path, suffix: str, tile: int | None
) -> None:
    photo = write_heif(tmp_path / f"photo{suffix}", photograph(), tile=tile, alpha=opaque_left())
    with closing(open_video(photo)) as source:
        (frame,) = source
    assert frame.pixel_format.alpha
    assert np.abs(frame.planes[3].astype(int) - opaque_left()).mean() < 2
    seen = read_image(photo)
    assert_alike(seen[:, :70], photograph()[:, :70])
    assert seen[:, 80:].mean() < 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_use_of_a_photograph_takes_all_of_it(tmp_path: Path, suffix: str) -> None:
    photo = write_heif(tmp_path / f"photo{suffix}", photograph(), tile=64)
    trial_decode.decode_beginning(str(photo))
    livematte.image(photo, tmp_path / "out.png", background="white", model=FindsThePerson())
    made = np.asarray(PIL.Image.open(tmp_path / "out.png"))
    assert made.shape[:2] == SIZE
    assert_alike(made[:, 60:90, :3], photograph()[:, 60:90])
    background = parse_background(str(photo))
    frame = random_frame("yuv444p", *SIZE)
    assert_alike(to_rgb(background(frame, np.zeros((9, 16), np.float32))), photograph())
    background.close()
    with open_file_camera(photo) as camera:
        assert_alike(to_rgb(next(iter(camera))), photograph())
    probed = run("probe", photo)
    assert probed.returncode == 0 and f"{SIZE[1]} x {SIZE[0]}" in probed.stdout


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_lost_tile_is_one_line_and_no_picture(tmp_path: Path, suffix: str) -> None:
    photo = write_heif(tmp_path / f"photo{suffix}", photograph(), tile=64, lost=3)
    said = run("image", photo, tmp_path / "out.png", "-q")
    assert said.returncode == 1 and not (tmp_path / "out.png").exists()
    assert said.stderr.count("\n") <= 2 and "1 of the 6 parts of its picture cannot be decoded" in said.stderr


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cut_file_and_an_unknown_arrangement_are_one_line(tmp_path: Path, suffix: str) -> None:
    photo = write_heif(tmp_path / f"photo{suffix}", photograph(), tile=64)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(photo.read_bytes()[:-100])
    with pytest.raises(InputError):
        open_video(cut)
    overlay = write_heif(tmp_path / f"overlay{suffix}", photograph(), tile=64, kind=b"iovl")
    with pytest.raises(InputError, match="convert it to JPEG or PNG|FFmpeg|index"):
        open_video(overlay)


def test_damaged_indexes_are_one_line(tmp_path: Path) -> None:
    whole = write_heif(tmp_path / "photo.avif", photograph(), tile=64).read_bytes()
    end = whole.index(b"mdat")
    damaged = tmp_path / "damaged.avif"
    random = np.random.default_rng(1)
    for _ in range(60):
        data = bytearray(whole)
        for place in random.integers(32, end, 3):
            data[place] = random.integers(256)
        damaged.write_bytes(data)
        try:
            with closing(open_video(damaged)) as source:
                list(source)
        except InputError as error:
            assert "\n" not in str(error)


def test_other_files_are_not_taken_for_photographs(tmp_path: Path) -> None:
    from tests.balls import ball_clip

    clip = ball_clip(tmp_path / "a.mp4", (32, 32))
    with closing(open_video(clip)) as source:
        assert heif.read_heif(source._container, clip) is None
        assert not source.info.details["image"] and len(list(source)) == 3
