from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte import backgrounds
from livematte.backgrounds import Blur, Color, Image, Transparent, Video, fit_picture, parse_background
from livematte.errors import InputError, UsageError
from livematte.frame import ColorInfo, Frame
from livematte.kernels import cpu
from livematte.protocols import SourceInfo
from tests.unit.kernels.pictures import disc, random_frame

FLAT = np.zeros((9, 16), np.float32)
TICK = Fraction(1, 1000)


def frame_at(pts: int, size: tuple[int, int] = (36, 64), format: str = "yuv420p") -> Frame:
    blank = random_frame(format, *size)
    return Frame(blank.planes, format, pts, TICK, color=blank.color)


def write_png(path: Path, rgb: np.ndarray) -> Path:
    bgr = rgb[..., [2, 1, 0, 3][: rgb.shape[2]]]
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(bgr))[1].tobytes())
    return path


@pytest.mark.parametrize(
    ("spec", "kind"),
    [("#00b140", Color), ("white", Color), ("transparent", Transparent), ("blur", Blur), ("blur:7.5", Blur)],
)
def test_specs_that_are_words(spec: str, kind: type) -> None:
    assert type(parse_background(spec)) is kind


def test_green_is_the_green_of_a_green_screen() -> None:
    made = parse_background("green")
    assert isinstance(made, Color)
    assert made.rgb == (0, 0xB1, 0x40)


def test_a_colour_is_that_colour_in_the_frames_own_format() -> None:
    for format in ("yuv420p", "yuva444p10le", "gbrp", "nv12"):
        frame = frame_at(0, format=format)
        made = Color((200, 90, 30))(frame, FLAT)
        assert (made.format, made.size, made.pts, made.color) == (format, frame.size, frame.pts, frame.color)
        assert [p.shape for p in made.planes] == [p.shape for p in frame.planes]
        assert np.abs(cpu.to_rgb(made).astype(int) - (200, 90, 30)).max() <= 2


def test_a_file_called_like_a_colour_needs_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "red.png", np.full((4, 4, 3), (1, 2, 3), np.uint8)).rename(tmp_path / "green")
    assert isinstance(parse_background("green"), Color)
    with pytest.raises(InputError):  # it is taken for a video, and is none that shows
        parse_background("./green", open_video=never)


def never(path: str) -> LoopSource:
    raise InputError(f"{path} shows nothing")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("grene", "neither a known colour nor a file"),
        ("beach.jpg", "no such file"),
        ("holiday/beach", "no such file"),
        ("#12", "neither a known colour nor a file"),
        ("blur:0", "above 0"),
        ("blur:-3", "above 0"),
        ("blur:x", "above 0"),
        ("blur:", "above 0"),
        ("blur:nan", "above 0"),
        ("blur:1000", "up to 200"),
        (".", "is a folder"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(spec: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        parse_background(spec)
    assert "\n" not in str(error.value)


def test_an_unknown_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="cover, contain, stretch"):
        parse_background("white", fit="fill")


def test_a_broken_image_is_refused_in_one_line(tmp_path: Path) -> None:
    for name, content in (("empty.png", b""), ("text.jpg", b"no picture at all")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as error:
            parse_background(tmp_path / name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fit", "columns"),
    [("cover", [2, 2, 3, 3]), ("stretch", [1, 2, 3, 4]), ("contain", [1, 2, 3, 4])],
)
def test_fit(fit: str, columns: list[int]) -> None:
    """Four columns, 8 x 16, into a square of 8: the middle two, all squeezed, or all between bars."""
    wide = np.repeat(np.array([1, 2, 3, 4], np.uint8), 4)[None, :].repeat(8, 0)
    made = fit_picture(wide, 8, 8, fit)
    assert made.shape == (8, 8)
    assert made[4, [0, 2, 5, 7]].tolist() == columns
    assert (made[0].max() == 0) == (fit == "contain")


def test_an_image_is_shown_upright_and_its_holes_are_black(tmp_path: Path) -> None:
    rgba = np.full((20, 30, 4), (200, 100, 50, 255), np.uint8)
    rgba[:, 15:, 3] = 0
    seen = backgrounds.read_image(write_png(tmp_path / "holes.png", rgba))
    assert seen[5, 5].tolist() == [200, 100, 50]
    assert seen[5, 25].tolist() == [0, 0, 0]
    # An EXIF block that says: turned a quarter to the right (orientation 6).
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    jpeg = cv2.imencode(".jpg", np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    (tmp_path / "turned.jpg").write_bytes(turned)
    assert backgrounds.read_image(tmp_path / "turned.jpg").shape == (30, 20, 3)


def test_an_image_is_converted_once_while_size_and_format_stay() -> None:
    made = Image(np.full((50, 50, 3), 90, np.uint8))
    first, again = made(frame_at(0), FLAT), made(frame_at(40), FLAT)
    assert first.planes[0] is again.planes[0]
    assert (first.pts, again.pts) == (0, 40)
    other = made(frame_at(80, (20, 30), "yuv444p10le"), FLAT)
    assert other.size == (20, 30)
    assert other.format == "yuv444p10le"


class LoopSource:
    """Frames at the given milliseconds, the n-th of them grey n * 10; counts how often it is opened."""

    opened = 0

    def __init__(self, times: list[int], last: int, *, format: str = "yuv420p") -> None:
        LoopSource.opened += 1
        self._times, self._last, self._format = times, last, format
        self.closed = False
        self.info = SourceInfo("loop", 36, 64, format, TICK)

    def __iter__(self) -> Iterator[Frame]:
        for n, pts in enumerate(self._times):
            rgb = np.full((36, 64, 3), n * 10, np.uint8)
            color = ColorInfo(full_range=True)
            duration = self._last if n == len(self._times) - 1 else 0
            planes = cpu.planes_from_rgb(rgb, self._format, color)
            yield Frame(planes, self._format, pts, TICK, duration, color)

    def close(self) -> None:
        self.closed = True


def shown(video: Video, pts: int) -> int:
    return round(int(cpu.to_rgb(video(frame_at(pts), FLAT))[18, 32, 0]) / 10)


def test_a_video_plays_at_its_own_speed_and_begins_again() -> None:
    """Uneven frames at 0, 100, 150 and 300 ms, the last for 100 ms; they begin at 5 s in their file."""
    video = Video("x", "cover", lambda path: LoopSource([5000, 5100, 5150, 5300], 100))
    truth = [(0, 0), (99, 0), (100, 1), (149, 1), (160, 2), (299, 2), (300, 3), (399, 3), (400, 0), (510, 1)]
    assert [shown(video, pts) for pts, _ in truth] == [n for _, n in truth]
    # Loops later, straight away and back again.
    assert shown(video, 400 * 1000 + 120) == 1
    assert shown(video, 310) == 3


def test_a_video_jumps_far_without_playing_through() -> None:
    LoopSource.opened = 0
    video = Video("x", "cover", lambda path: LoopSource([0, 40, 80], 40))
    assert shown(video, 125) == 0
    assert shown(video, 120 * 10**6 + 45) == 1
    assert LoopSource.opened <= 4


def test_a_single_picture_as_video_stands_still() -> None:
    LoopSource.opened = 0
    video = Video("x", "cover", lambda path: LoopSource([0], 0))
    assert [shown(video, pts) for pts in (0, 5, 100, 2000)] == [0, 0, 0, 0]
    assert LoopSource.opened == 1, "it is not read again for every frame"


def test_a_video_is_converted_once_a_picture_and_closed() -> None:
    sources: list[LoopSource] = []

    def open_video(path: str) -> LoopSource:
        sources.append(LoopSource([0, 1000], 1000, format="yuv444p"))
        return sources[-1]

    video = Video("x", "contain", open_video)
    assert video(frame_at(0), FLAT).planes[0] is video(frame_at(900), FLAT).planes[0]
    assert video(frame_at(1000), FLAT).planes[0] is not video(frame_at(900 + 2000), FLAT).planes[0]
    video.close()
    assert all(source.closed for source in sources)


def test_a_video_without_frames_is_refused() -> None:
    with pytest.raises(InputError, match="not a single frame"):
        Video("x", "cover", lambda path: LoopSource([], 0))


def red_person_in_a_blue_room(size: tuple[int, int] = (180, 320)) -> tuple[Frame, np.ndarray]:
    alpha = disc(*size, softness=0.02, radius=0.25)
    rgb = alpha[..., None] * np.array([230.0, 20, 20]) + (1 - alpha[..., None]) * np.array([20.0, 60, 200])
    color = ColorInfo(full_range=True)
    planes = cpu.planes_from_rgb(np.rint(rgb).astype(np.uint8), "yuv420p", color)
    return Frame(planes, "yuv420p", 0, TICK, color=color), alpha


@pytest.mark.parametrize("strength", [2, 6, 20, 80])
def test_blur_does_not_bleed(strength: float) -> None:
    frame, alpha = red_person_in_a_blue_room()
    made = cpu.to_rgb(Blur(strength)(frame, cpu.resize(alpha, 45, 80))).astype(int)
    seen = alpha < 1
    assert np.abs(made[seen] - (20, 60, 200)).max() <= 4


def test_blur_keeps_no_person_even_behind_them() -> None:
    frame, alpha = red_person_in_a_blue_room()
    made = cpu.to_rgb(Blur()(frame, cpu.resize(alpha, 45, 80))).astype(int)
    assert made[..., 0].max() <= 40


def test_blur_blurs() -> None:
    stripes = np.tile(np.repeat(np.array([40, 200], np.uint8), 4), (180, 40))[..., None].repeat(3, 2)
    color = ColorInfo(full_range=True)
    frame = Frame(cpu.planes_from_rgb(stripes, "yuv420p", color), "yuv420p", 0, TICK, color=color)
    made = Blur(40)(frame, np.zeros((45, 80), np.float32)).planes[0][:, 60:-60].astype(int)
    assert np.abs(made - 120).max() <= 6


def test_a_picture_full_of_person_is_blurred_without_a_crash() -> None:
    frame, _ = red_person_in_a_blue_room()
    made = Blur()(frame, np.ones((45, 80), np.float32))
    assert np.isfinite(made.planes[0]).all()
    assert made.size == frame.size


def test_blur_fits_every_format() -> None:
    for format in ("nv12", "yuva420p10le", "gbrp", "yuv422p12le"):
        frame = random_frame(format, 37, 53)
        made = Blur(10)(frame, disc(10, 14))
        assert [(p.shape, p.dtype) for p in made.planes] == [(p.shape, p.dtype) for p in frame.planes]
