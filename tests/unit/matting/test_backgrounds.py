from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from livematte.errors import InputError, UsageError
from livematte.frame import ColorInfo, Frame
from livematte.kernels.convert import planes_from_rgb, to_rgb
from livematte.kernels.resize import resize
from livematte.matting import backgrounds
from livematte.matting.backgrounds import (
    Blur,
    Color,
    Image,
    Transparent,
    Video,
    fit_picture,
    parse_background,
)
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
        assert np.abs(to_rgb(made).astype(int) - (200, 90, 30)).max() <= 2


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


EXIF_ORIENTATIONS = {
    1: [[1, 2], [3, 0]], 2: [[2, 1], [0, 3]], 3: [[0, 3], [2, 1]], 4: [[3, 0], [1, 2]],
    5: [[1, 3], [2, 0]], 6: [[3, 1], [0, 2]], 7: [[0, 2], [3, 1]], 8: [[2, 0], [1, 3]],
}  # fmt: skip
"""What is seen of quarters stored as 1 2 over 3 0, by the words of EXIF 2.3, table 6."""


@pytest.mark.parametrize("orientation", EXIF_ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_a_turned_image_with_holes_is_upright_and_so_are_its_holes(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    """Quarters of red, green, blue and nothing; written by Pillow, which is no part of livematte."""
    colours = np.array([[0, 0, 0, 0], [255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]], np.uint8)
    stored = colours[np.kron([[1, 2], [3, 0]], np.ones((20, 30), np.uint8))]
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(stored).save(tmp_path / f"turned{suffix}", exif=exif, lossless=True)
    seen = backgrounds.read_image(tmp_path / f"turned{suffix}")
    quarters = seen[seen.shape[0] // 4 :: seen.shape[0] // 2, seen.shape[1] // 4 :: seen.shape[1] // 2]
    assert seen.shape == ((40, 60, 3) if orientation < 5 else (60, 40, 3))
    np.testing.assert_array_equal(quarters, colours[np.array(EXIF_ORIENTATIONS[orientation])][..., :3])


def test_an_animated_webp_stands_still_as_its_first_picture(tmp_path: Path) -> None:
    first, second = (PIL.Image.new("RGB", (30, 20), grey) for grey in ((50, 60, 70), (200, 0, 0)))
    first.save(tmp_path / "moves.webp", save_all=True, append_images=[second], lossless=True)
    assert backgrounds.read_image(tmp_path / "moves.webp")[10, 10].tolist() == [50, 60, 70]


def test_an_avif_keeps_red_and_blue_apart(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (64, 48), (230, 40, 20)).save(tmp_path / "red.avif", quality=95)
    seen = backgrounds.read_image(tmp_path / "red.avif")[10, 10].astype(int)
    assert np.abs(seen - (230, 40, 20)).max() <= 6


def test_an_image_is_converted_once_while_size_and_format_stay() -> None:
    made = Image(np.full((50, 50, 3), 90, np.uint8))
    first, again = made(frame_at(0), FLAT), made(frame_at(40), FLAT)
    assert first.planes[0] is again.planes[0]
    assert (first.pts, again.pts) == (0, 40)
    other = made(frame_at(80, (20, 30), "yuv444p10le"), FLAT)
    assert other.size == (20, 30)
    assert other.format == "yuv444p10le"


def hdr_frame(transfer: int, format: str = "yuv420p10le") -> Frame:
    color = ColorInfo("bt2020", primaries=9, transfer=transfer, matrix_tag=9, range_tag=1)
    blank = random_frame(format, 36, 64)
    return Frame(blank.planes, format, 0, TICK, color=color)


@pytest.mark.parametrize(("transfer", "signal"), [(16, 0.58), (18, 0.75)])
def test_white_lies_at_reference_white_in_hdr(transfer: int, signal: float) -> None:
    """BT.2408-7, table 1: 203 cd/m² are 58 % in PQ and 75 % in HLG; black stays black."""
    frame = hdr_frame(transfer)
    for made in (Color((255, 255, 255)), Image(np.full((36, 64, 3), 255, np.uint8))):
        luma, u, v = made(frame, FLAT).planes
        assert np.abs(luma.astype(int) - (64 + 876 * signal)).max() <= 3
        assert np.abs(np.stack([u, v]).astype(int) - 512).max() <= 1
    assert int(Color((0, 0, 0))(frame, FLAT).planes[0][0, 0]) == 64


def test_an_ordinary_video_behind_hdr_lies_there_too() -> None:
    """Its bits and matrix may be those of the frame: what its codes mean still differs."""
    white = Color((255, 255, 255))(replace(hdr_frame(1), duration=1), FLAT)

    class White(LoopSource):
        def __iter__(self) -> Iterator[Frame]:
            yield white

    shown = Video("x", "cover", lambda path: White([0], 0))(hdr_frame(16), FLAT)
    assert abs(int(white.planes[0][5, 5]) - 940) <= 1
    assert abs(int(shown.planes[0][5, 5]) - (64 + 876 * 0.58)) <= 3
    hdr = replace(white, color=hdr_frame(16).color)

    class Bright(LoopSource):
        def __iter__(self) -> Iterator[Frame]:
            yield hdr

    kept = Video("x", "cover", lambda path: Bright([0], 0))(hdr_frame(16), FLAT)
    assert int(kept.planes[0][5, 5]) == int(white.planes[0][5, 5])


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
            planes = planes_from_rgb(rgb, self._format, color)
            yield Frame(planes, self._format, pts, TICK, duration, color)

    def close(self) -> None:
        self.closed = True


def shown(video: Video, pts: int) -> int:
    return round(int(to_rgb(video(frame_at(pts), FLAT))[18, 32, 0]) / 10)


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
    planes = planes_from_rgb(np.rint(rgb).astype(np.uint8), "yuv420p", color)
    return Frame(planes, "yuv420p", 0, TICK, color=color), alpha


@pytest.mark.parametrize("strength", [2, 6, 20, 80])
def test_blur_does_not_bleed(strength: float) -> None:
    frame, alpha = red_person_in_a_blue_room()
    made = to_rgb(Blur(strength)(frame, resize(alpha, 45, 80))).astype(int)
    seen = alpha < 1
    assert np.abs(made[seen] - (20, 60, 200)).max() <= 4


def test_blur_keeps_no_person_even_behind_them() -> None:
    frame, alpha = red_person_in_a_blue_room()
    made = to_rgb(Blur()(frame, resize(alpha, 45, 80))).astype(int)
    assert made[..., 0].max() <= 40


def test_blur_blurs() -> None:
    stripes = np.tile(np.repeat(np.array([40, 200], np.uint8), 4), (180, 40))[..., None].repeat(3, 2)
    color = ColorInfo(full_range=True)
    frame = Frame(planes_from_rgb(stripes, "yuv420p", color), "yuv420p", 0, TICK, color=color)
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
