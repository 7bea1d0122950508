"""OpenEXR and other linear pictures: read as sRGB codes, written as linear light multiplied by alpha."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from livematte.frame import ColorInfo, Frame
from livematte.kernels.convert import to_rgb
from livematte.matting import backgrounds
from livematte.video import open_video, write_image
from livematte.video.linear_light import exr_matrix

HEIGHT, WIDTH = 32, 48


def light(code: Any) -> Any:
    code = np.asarray(code, float) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def exr(path: Path, layout: str, planes: tuple[float, ...], **options: str) -> Path:
    """Write an EXR of one colour; ``planes`` in FFmpeg's order: G, B, R, alpha."""
    context = av.CodecContext.create("exr", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, layout
    context.time_base, context.options = Fraction(1, 25), options
    frame = av.VideoFrame(WIDTH, HEIGHT, layout)
    for plane, value in zip(frame.planes, planes, strict=True):
        plane.update(np.full((HEIGHT, plane.line_size // 4), value, np.float32))
    (packet,) = context.encode(frame)
    path.write_bytes(bytes(packet))
    return path


def read(path: Path) -> tuple[Frame, list[str]]:
    with open_video(path) as source:
        frame = next(iter(source))
        return frame, source.notes


def colors(frame: Frame) -> list[int]:
    return [int(plane[5, 5]) for plane in frame.planes]


VARIANTS: list[dict[str, str]] = [
    {}, {"format": "half"}, {"format": "half", "compression": "zip16"}, {"compression": "rle"},
]  # fmt: skip


@pytest.mark.parametrize("options", VARIANTS)
def test_linear_light_becomes_codes_of_srgb(tmp_path: Path, options: dict[str, str]) -> None:
    planes = tuple(float(light(code)) for code in (80, 40, 200))
    frame, notes = read(exr(tmp_path / "a.exr", "gbrpf32le", planes, **options))
    assert frame.format == "gbrp12le" and not notes
    assert np.abs(to_rgb(frame)[5, 5].astype(int) - (200, 80, 40)).max() <= 1
    assert np.abs(np.array(colors(frame)) - np.array([80, 40, 200]) * 4095 / 255).max() <= 4


def test_colours_are_divided_by_alpha_before_they_are_coded(tmp_path: Path) -> None:
    planes = (*(float(light(code)) * 0.25 for code in (80, 40, 200)), 0.25)
    frame, _ = read(exr(tmp_path / "a.exr", "gbrapf32le", planes))
    assert frame.format == "gbrap12le" and colors(frame)[3] == 1024
    assert np.abs(np.array(colors(frame)[:3]) - np.array([80, 40, 200]) * 4095 / 255).max() <= 2


def test_grey_is_linear_too(tmp_path: Path) -> None:
    frame, _ = read(exr(tmp_path / "a.exr", "grayf32le", (float(light(120)),), format="half"))
    assert np.abs(to_rgb(frame)[5, 5].astype(int) - 120).max() <= 1


def test_light_above_white_and_numbers_that_are_none_end_in_range(tmp_path: Path) -> None:
    frame, notes = read(exr(tmp_path / "a.exr", "gbrpf32le", (7.5, float("nan"), -1.0)))
    assert colors(frame) == [4095, 0, 0]
    assert any("above 1" in note for note in notes)


@pytest.mark.parametrize("suffix", [".hdr", ".pfm", ".tiff"])
def test_other_pictures_of_floats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    bgr = np.broadcast_to(light([40, 80, 200]).astype(np.float32), (HEIGHT, WIDTH, 3))
    assert cv2.imwrite(str(path), np.ascontiguousarray(bgr))
    assert np.abs(to_rgb(read(path)[0])[5, 5].astype(int) - (200, 80, 40)).max() <= 2


def test_a_background_in_linear_light(tmp_path: Path) -> None:
    path = exr(tmp_path / "a.exr", "gbrpf32le", tuple(float(light(code)) for code in (80, 40, 200)))
    assert np.abs(backgrounds.read_image(path)[5, 5].astype(int) - (200, 80, 40)).max() <= 1


def with_primaries(content: bytes, values: tuple[float, ...]) -> bytes:
    """Return an EXR header with an attribute more. It is enough to parse."""
    attribute = b"chromaticities\0chromaticities\0" + struct.pack("<I8f", 32, *values)
    return content[:8] + attribute + content[8:]


ACES_CG = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)


def test_primaries_of_the_file_are_converted(tmp_path: Path) -> None:
    content = exr(tmp_path / "a.exr", "gbrpf32le", (0.5, 0.5, 0.5)).read_bytes()
    assert exr_matrix(content) is None
    matrix = exr_matrix(with_primaries(content, ACES_CG))
    # The Academy's and ACES Central's matrix from AP1 to BT.709, with Bradford adaptation.
    expected = [[1.7051, -0.6218, -0.0833], [-0.1303, 1.1408, -0.0105], [-0.0240, -0.1290, 1.1530]]
    assert np.abs(matrix - np.array(expected)).max() < 2e-3


def test_primaries_that_are_no_colours_are_one_note(tmp_path: Path) -> None:
    path = exr(tmp_path / "a.exr", "gbrpf32le", (0.5, 0.5, 0.5))
    path.write_bytes(with_primaries(path.read_bytes(), (0.0,) * 8))
    try:
        notes = read(path)[1]
    except Exception as error:  # FFmpeg may refuse the file whose offsets have moved
        assert "no frame" in str(error)
        pytest.skip("FFmpeg refuses this file")
    assert len([note for note in notes if "primaries" in note]) == 1


@pytest.mark.parametrize("format", ["gbrap", "gbrap12le", "yuva444p", "yuva444p12le"])
def test_what_is_written_is_linear_and_multiplied_by_alpha(tmp_path: Path, format: str) -> None:
    frame = straight(format)
    write_image(tmp_path / "o.exr", frame, alpha=True)
    with av.open(str(tmp_path / "o.exr")) as container:
        decoded = next(container.decode(video=0))
    assert decoded.format.name == "gbrapf16le"
    green, blue, red, alpha = (float(np.frombuffer(plane, np.float16)[0]) for plane in decoded.planes)
    opacity = frame.planes[3][0, 0] / frame.pixel_format.maximum
    expected = [float(part) * opacity for part in light(to_rgb(frame)[0, 0])]
    assert abs(alpha - opacity) < 1e-3
    assert np.abs(np.array([red, green, blue]) - expected).max() < 0.006
    again, _ = read(tmp_path / "o.exr")
    assert np.abs(to_rgb(again)[5, 5].astype(int) - to_rgb(frame)[5, 5]).max() <= 1


def straight(format: str) -> Frame:
    from livematte.frame import PIXEL_FORMATS

    layout = PIXEL_FORMATS[format]
    color = ColorInfo("rgb", True) if layout.rgb else ColorInfo("bt709", matrix_tag=1)
    values = (
        np.array([80, 40, 200, 128] if layout.rgb else [100, 110, 150, 128]) * (layout.maximum + 1) // 256
    )
    dtype = np.uint8 if layout.depth == 8 else np.uint16
    planes = tuple(np.full((HEIGHT, WIDTH), value, dtype) for value in values)
    return Frame(planes, format, 0, Fraction(1, 25), color=color)


def test_alpha_alone_is_data(tmp_path: Path) -> None:
    grey = Frame((np.full((HEIGHT, WIDTH), 51, np.uint8),), "gray", 0, Fraction(1))
    write_image(tmp_path / "alpha.exr", grey)
    with av.open(str(tmp_path / "alpha.exr")) as container:
        decoded = next(container.decode(video=0))
    assert decoded.format.name == "grayf16le"
    assert abs(float(np.frombuffer(decoded.planes[0], np.float16)[0]) - 0.2) < 1e-3
