"""Side data is read without keeping the picture that it came with, and without touching a colour profile."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from av.sidedata.sidedata import Type
from PIL import Image, ImageCms

from livematte.tools.demo import clip_path
from livematte.video.reader import open_video
from livematte.video.side_data import read_side_data


@pytest.fixture
def circles() -> Iterator[list[object]]:
    """What only Python's garbage collector finds, in place of being given back."""
    gc.collect()
    gc.garbage.clear()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()


@pytest.fixture
def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(path: Path, **beside: Any) -> Path:
    Image.new("RGB", (160, 96), (48, 96, 192)).save(path, **beside)
    return path


def test_side_data_is_told_each_time_it_is_asked_for() -> None:
    with av.open(str(clip_path())) as container:
        frame = next(container.decode(video=0))
        told = read_side_data(frame, Type.SEI_UNREGISTERED)
        assert told[Type.SEI_UNREGISTERED], "x264 writes its options there"
        assert read_side_data(frame, Type.SEI_UNREGISTERED) == told
        assert read_side_data(frame, Type.DISPLAYMATRIX) == {}


def test_a_frame_whose_side_data_was_read_is_given_back_at_once(circles: list[object]) -> None:
    with av.open(str(clip_path())) as container:
        for frame in container.decode(video=0):
            read_side_data(frame, Type.SEI_UNREGISTERED)
            break
    del frame
    gc.collect()
    assert not [each for each in circles if isinstance(each, av.VideoFrame)]


def test_a_clip_that_is_opened_again_and_again_keeps_no_pictures(circles: list[object]) -> None:
    for _ in range(3):
        source = open_video(clip_path())
        next(iter(source))
        source.close()
    del source
    gc.collect()
    assert not [each for each in circles if isinstance(each, av.VideoFrame)]


def command(*arguments: object) -> str:
    """Run livematte in a process of its own; its standard error. It must end well."""
    done = subprocess.run(
        [sys.executable, "-m", "livematte", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stderr


@pytest.mark.parametrize("name", ["office.png", "office.tiff", "office.webp", "office.jpg"])
def test_a_picture_with_a_colour_profile_is_read_without_a_crash(
    name: str, profile: bytes, tmp_path: Path
) -> None:
    office = picture(tmp_path / name, icc_profile=profile)
    code = (
        "import gc, sys; from livematte.matting.backgrounds import read_image\n"
        "from pathlib import Path\n"
        "for _ in range(3): print(read_image(Path(sys.argv[1])).shape); gc.collect()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(office)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "(96, 160, 3)\n" * 3)


def test_commands_take_pngs_with_colour_profiles(profile: bytes, tmp_path: Path) -> None:
    office = picture(tmp_path / "office.png", icc_profile=profile)
    for number in (1, 2):
        picture(tmp_path / f"{number:02d}.png", icc_profile=profile)
    command("probe", office)
    command("image", office, tmp_path / "cut.png", "-b", office, "-q")
    command("render", tmp_path / "%02d.png", tmp_path / "out.mp4", "-b", office, "-q")
