"""The whole way: a file in, a file out, with the shipped network."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import livematte
from livematte.kernels.convert import to_rgb
from livematte.tools import demo
from livematte.video.reader import open_video
from tests import clips

STATM = Path("/proc/self/statm")


def times(path: Path) -> list[Fraction]:
    with open_video(path) as video:
        return [frame.seconds for frame in video]


def test_uneven_times_and_sound_come_through_a_whole_render(tmp_path: Path) -> None:
    pts = [0, 3, 4, 9, 20, 21, 35, 36, 37, 50]
    source = clips.make_clip(
        tmp_path / "in.mp4", frames=10, pts=pts, time_base=Fraction(1, 90), audio=2, chapters=True
    )
    target = tmp_path / "out.mp4"
    report = livematte.render(source, target, size=64)
    assert report.frames == 10
    assert times(target) == times(source) == [Fraction(n, 90) for n in pts]
    for index in range(2):
        assert clips.packets(target, "audio", index) == clips.packets(source, "audio", index)


@pytest.mark.parametrize(
    ("size", "rotation", "format"),
    [((121, 161), 0, "yuv444p"), ((120, 160), 90, "yuv420p"), ((120, 160), 0, "yuv420p10le")],
    ids=["odd", "turned", "ten bits"],
)
def test_what_is_solid_is_the_picture_itself(
    tmp_path: Path, size: tuple[int, int], rotation: int, format: str
) -> None:
    """Straight colours are the source's own, upright, in its size and depth, wherever alpha is full."""
    source = clips.make_clip(tmp_path / "in.mp4", frames=3, size=size, rotation=rotation, format=format)
    target = tmp_path / "out.mkv"
    livematte.render(source, target, background="transparent", size=96)
    with open_video(source) as before, open_video(target) as after:
        pairs = list(zip(before, after, strict=True))
    assert len(pairs) == 3
    for old, new in pairs:
        assert new.format == old.format.replace("yuv", "yuva")
        assert new.size == old.size
        solid = new.planes[3] == new.pixel_format.maximum
        np.testing.assert_array_equal(new.planes[0][solid], old.planes[0][solid])


def test_a_real_photograph_of_a_person_is_cut_out(tmp_path: Path) -> None:
    """NASA's portrait of Eileen Collins in the bundled clip: she is in front, wall and shuttle behind."""
    with open_video(demo.clip_path(), start=2.0) as video:
        photograph = to_rgb(next(iter(video)))
    path = tmp_path / "person.png"
    cv2.imwrite(str(path), photograph[..., ::-1])
    livematte.image(path, tmp_path / "cut.png", alpha_out=tmp_path / "alpha.png")
    alpha = cv2.imread(str(tmp_path / "alpha.png"), cv2.IMREAD_GRAYSCALE) / 255
    assert alpha.shape == photograph.shape[:2]
    face, hair, suit = alpha[220:400, 520:700], alpha[90:260, 460:760], alpha[650:710, 300:760]
    for body in (face, hair, suit):
        assert body.mean() > 0.97, "no holes in the body"
    wall, shuttle = alpha[20:300, 280:370], alpha[40:480, 960:1240]
    for room in (wall, shuttle):
        assert room.mean() < 0.02, "no islands in the room"
    with av.open(str(tmp_path / "cut.png")) as cut:
        assert next(cut.decode(video=0)).format.name == "rgba"


@pytest.mark.skipif(not STATM.exists(), reason="resident memory is read from /proc, which only Linux has")
def test_memory_is_the_same_however_long_the_clip(tmp_path: Path) -> None:
    """Whoever keeps the frames keeps 100 MB from the middle of the second quarter to that of the last."""
    source = clips.make_long_clip(tmp_path / "long.mp4", 20, size=(360, 640))
    pages: list[int] = []

    def watch(progress: livematte.Progress) -> None:
        pages.append(int(STATM.read_text().split()[1]))

    target = tmp_path / "out.mp4"
    livematte.render(source, target, background="blur", size=32, preset="ultrafast", progress=watch)
    quarter = len(pages) // 4
    grown = (np.median(pages[-quarter:]) - np.median(pages[quarter : 2 * quarter])) * 4096 / 1e6
    assert grown < 25, f"{grown:.0f} MB more in the last quarter than in the second"


def test_mattes_opens_the_file_for_the_first_frame_and_lets_it_go(tmp_path: Path) -> None:
    """A file that is held open cannot be moved on Windows; one that is read later has what it has then."""
    file = clips.make_clip(tmp_path / "in.mp4", frames=3)
    never = livematte.mattes(file, size=64)
    file.rename(tmp_path / "moved.mp4")
    with pytest.raises(livematte.LivematteError, match=r"in\.mp4"):
        next(never)
    (tmp_path / "moved.mp4").rename(file)
    assert len(list(livematte.mattes(file, size=64))) == 3


@pytest.mark.parametrize(
    "wrong", [{"temporal": "maybe"}, {"refine": "sharp"}, {"size": 3}, {"start": 2.0, "end": 1.0}]
)
def test_mattes_says_at_once_what_cannot_be(tmp_path: Path, wrong: dict[str, Any]) -> None:
    file = clips.make_clip(tmp_path / "in.mp4", frames=3)
    with pytest.raises(livematte.LivematteError):
        livematte.mattes(file, **wrong)
    with pytest.raises(livematte.LivematteError, match="nowhere"):
        livematte.mattes(tmp_path / "nowhere.mp4")
