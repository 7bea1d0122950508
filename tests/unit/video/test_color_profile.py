"""Pictures with ICC profiles: read in sRGB, and kept where the output can hold the profile."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from livematte.errors import UsageError
from livematte.frame import Frame
from livematte.kernels.convert import to_rgb
from livematte.matting import backgrounds
from livematte.matting.trimap import read_trimap
from livematte.video import open_sink, open_video, write_image
from livematte.video.color_profile import parse_profile
from livematte.video.reader import FileSource
from tests.profiles import ADOBE_RGB, DISPLAY_P3, cmyk_profile, grey_profile, long_profile

P3_COLOR, P3_IN_SRGB = (200, 80, 40), (216, 69, 17)
"""A colour of Display P3, and the same in sRGB; the first test computes it."""
ADOBE_COLOR = (160, 110, 60)
SIZE = (96, 64)


def save(path: Path, mode: str, color: Any, **options: Any) -> Path:
    Image.new(mode, SIZE, color).save(path, **options)
    return path


def center(source: FileSource) -> np.ndarray:
    frame = next(iter(source))
    return np.asarray(to_rgb(frame)[frame.height // 2, frame.width // 2], int)


def read(path: Path, **options: Any) -> tuple[np.ndarray, list[str]]:
    with open_video(path, **options) as source:
        return center(source), source.notes


WRITERS: dict[str, dict[str, Any]] = {
    "a.jpg": {"quality": 97}, "a.png": {}, "a.tif": {"compression": "tiff_lzw"},
    "a.webp": {"quality": 97}, "lossless.webp": {"lossless": True}, "a.avif": {"quality": 95},
}  # fmt: skip


P3_PRIMARIES = np.array([[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]])
"""Display P3 to XYZ of D65 (SMPTE EG 432-1)."""


def test_the_colour_that_is_expected() -> None:
    coded = np.array(P3_COLOR) / 255
    light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    assert np.abs(expected_srgb(255 * light, 1, P3_PRIMARIES) - P3_IN_SRGB).max() < 1


@pytest.mark.parametrize("name", WRITERS)
def test_display_p3_is_read_as_srgb(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, "RGB", P3_COLOR, icc_profile=DISPLAY_P3, **WRITERS[name])
    seen, notes = read(path)
    assert np.abs(seen - P3_IN_SRGB).max() <= 4
    assert any("Display P3 to sRGB" in note for note in notes)
    assert np.abs(backgrounds.read_image(path)[5, 5].astype(int) - P3_IN_SRGB).max() <= 4


def test_adobe_rgb_is_read_as_srgb(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", "RGB", ADOBE_COLOR, quality=97, icc_profile=ADOBE_RGB)
    expected = expected_srgb(ADOBE_COLOR, 563 / 256, ADOBE_PRIMARIES)
    assert np.abs(read(path)[0] - expected).max() <= 3


ADOBE_PRIMARIES = np.array(
    [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]
)
"""Adobe RGB (1998) to XYZ of D65 (its specification, 4.3.5.3)."""
SRGB_FROM_XYZ = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
"""IEC 61966-2-1."""


def expected_srgb(color: Any, gamma: float, to_xyz: np.ndarray) -> np.ndarray:
    light = np.clip(SRGB_FROM_XYZ @ to_xyz @ (np.array(color) / 255) ** gamma, 0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def test_transparency_stays_beside_converted_colours(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", "RGBA", (*P3_COLOR, 77), icc_profile=DISPLAY_P3)
    with open_video(path) as source:
        frame = next(iter(source))
    assert frame.format == "gbrap" and int(frame.planes[3][5, 5]) == 77
    assert np.abs(np.array([plane[5, 5] for plane in frame.planes[:3]], int) - (69, 17, 216)).max() <= 2


def test_a_profile_of_srgb_changes_nothing(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = save(tmp_path / "plain.jpg", "RGB", P3_COLOR)
    tagged = save(tmp_path / "tagged.jpg", "RGB", P3_COLOR, icc_profile=srgb)
    with open_video(plain) as a, open_video(tagged) as b:
        first, second = next(iter(a)), next(iter(b))
        assert first.format == second.format == "yuv420p" and not b.notes
    assert all(np.array_equal(x, y) for x, y in zip(first.planes, second.planes, strict=True))


def test_grey_with_a_profile_of_grey(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", "L", 128, quality=97, icc_profile=grey_profile(1.0))
    assert np.abs(read(path)[0] - 188).max() <= 2  # linear 0.5 in sRGB


def test_cmyk_with_its_profile(tmp_path: Path) -> None:
    inks = (0, 255, 255, 0)
    for name in ("a.jpg", "a.tif"):
        path = save(tmp_path / name, "CMYK", inks, icc_profile=cmyk_profile())
        seen, notes = read(path)
        red, green, blue = seen
        assert red > 150 and green < 100 and blue < 100, name
        assert any("to sRGB" in note for note in notes)


def test_a_profile_for_other_colours_than_the_picture_has_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", "RGB", P3_COLOR, icc_profile=grey_profile(1.8))
    seen, notes = read(path)
    assert tuple(seen) == P3_COLOR and any("treated as sRGB" in note for note in notes)


@pytest.mark.parametrize("icc", [b"rubbish", DISPLAY_P3[:300], bytes(500), DISPLAY_P3[:140] + bytes(400)])
def test_a_damaged_profile_is_one_note(tmp_path: Path, icc: bytes) -> None:
    path = save(tmp_path / "a.png", "RGB", P3_COLOR, icc_profile=icc)
    seen, notes = read(path)
    assert tuple(seen) == P3_COLOR
    assert len([note for note in notes if "profile" in note and "\n" not in note]) == 1


def test_sixteen_bits_with_a_profile(tmp_path: Path) -> None:
    plane = np.full((64, 96), 200 * 257 >> 4, np.uint16)
    frame = Frame((plane, plane // 2, plane), "gbrp12le", 0, Fraction(1), color=rgb_color(DISPLAY_P3))
    write_image(tmp_path / "deep.png", frame)
    write_image(tmp_path / "deep.tif", frame)
    for name in ("deep.png", "deep.tif"):
        with open_video(tmp_path / name, color_profile="keep") as source:
            kept = next(iter(source))
        assert kept.format == "gbrp12le" and kept.color.icc == DISPLAY_P3, name
        assert abs(int(kept.planes[0][5, 5]) - int(plane[5, 5])) <= 1
        with open_video(tmp_path / name) as source:
            converted = center(source)
        expected = parse_profile(DISPLAY_P3).to_srgb(np.array([[[200, 200, 100]]], np.uint8))[0, 0]
        assert np.abs(converted - expected).max() <= 1, name


def rgb_color(icc: bytes) -> Any:
    from livematte.frame import ColorInfo

    return ColorInfo("rgb", True, matrix_tag=0, range_tag=2, icc=icc)


@pytest.mark.parametrize("name", ["o.png", "o.jpg", "o.tif", "o.webp"])
@pytest.mark.parametrize("icc", [DISPLAY_P3, long_profile(150_001)])
@pytest.mark.parametrize("size", [(64, 96), (33, 51)])
def test_a_kept_profile_is_read_by_pillow(
    tmp_path: Path, name: str, icc: bytes, size: tuple[int, int]
) -> None:
    planes = tuple(np.full(size, value, np.uint8) for value in (80, 40, 200, 255))
    frame = Frame(planes, "gbrap", 0, Fraction(1), color=rgb_color(icc))
    for alpha in (False, name != "o.jpg"):
        write_image(tmp_path / name, frame, alpha=alpha)
        with Image.open(tmp_path / name) as image:
            assert image.info["icc_profile"] == icc and image.size == size[::-1]
            assert np.abs(np.array(image.convert("RGB"))[5, 5].astype(int) - P3_COLOR).max() <= 2


def test_the_background_of_a_kept_profile_has_its_colours(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", "RGB", P3_COLOR, icc_profile=DISPLAY_P3)
    with open_video(path, color_profile="keep") as source:
        frame = next(iter(source))
    behind = backgrounds.parse_background("#d84511")(frame, np.zeros(frame.size, np.float32))
    assert np.abs(np.array([p[5, 5] for p in behind.planes[:3]], int) - (80, 40, 200)).max() <= 2


def test_the_greys_of_a_trimap_are_numbers(tmp_path: Path) -> None:
    trimap = np.full((64, 96), 128, np.uint8)
    trimap[:, :20], trimap[:, 60:] = 0, 255
    Image.fromarray(trimap).save(tmp_path / "t.png", icc_profile=grey_profile(1.0))
    assert np.array_equal(read_trimap(tmp_path / "t.png", (64, 96)), trimap)


@pytest.mark.parametrize("write", [write_image, lambda path, frame: open_sink(path, info_from(frame))])
def test_a_format_that_is_unknown_is_refused(tmp_path: Path, write: Callable[[Path, Frame], object]) -> None:
    planes = (np.zeros((8, 8), np.uint8),) * 3
    with pytest.raises(UsageError):
        write(tmp_path / "a.xyz", Frame(planes, "gbrp", 0, Fraction(1), color=rgb_color(DISPLAY_P3)))


def info_from(frame: Frame) -> Any:
    from livematte.protocols import SourceInfo

    return SourceInfo("a", 8, 8, frame.format, Fraction(1, 25), None, None, None, frame.color)


def test_a_picture_in_memory_needs_no_file() -> None:
    from livematte.video.color_profile import embedded_profile

    data = io.BytesIO()
    Image.new("RGB", SIZE).save(data, "PNG", icc_profile=DISPLAY_P3)
    assert embedded_profile(data.getvalue()) == DISPLAY_P3
    assert embedded_profile(b"no picture") is None


def test_the_profile_among_the_properties_of_a_heic_file(tmp_path: Path) -> None:
    """AVIF has the boxes of HEIC, which Pillow cannot open."""
    from livematte.video.color_profile import embedded_profile

    path = save(tmp_path / "a.avif", "RGB", P3_COLOR, icc_profile=DISPLAY_P3)
    content = path.read_bytes()
    assert content[4:8] == b"ftyp" and content.count(b"avif") >= 1
    hidden = tmp_path / "a.heic"
    hidden.write_bytes(
        content[:8] + b"heic" + content[12:].replace(b"avif", b"heic").replace(b"mif1", b"heix", 1)
    )
    with pytest.raises(OSError):
        Image.open(hidden)
    assert embedded_profile(hidden) == DISPLAY_P3
