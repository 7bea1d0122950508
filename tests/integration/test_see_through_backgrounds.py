"""A background with transparency lies on black, whatever kind of file it is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from livematte.frame import ColorInfo, Frame
from livematte.kernels.convert import planes_from_rgb, to_rgb
from livematte.matting.backgrounds import parse_background
from livematte.protocols import SourceInfo
from livematte.video.writer import open_sink
from tests.heif_files import write_heif
from tests.unit.kernels.pictures import random_frame

SIZE = (48, 64)
SUFFIXES = (".png", ".mov", ".webm", ".mkv", ".gif", ".tiff", ".webp", ".avif", ".heic")
RED = (200, 40, 40)


def see_through() -> np.ndarray:
    """(h, w, 4) uint8: red everywhere, opaque on the left, clear on the right."""
    rgba = np.zeros((*SIZE, 4), np.uint8)
    rgba[..., :3] = RED
    rgba[:, : SIZE[1] // 2, 3] = 255
    return rgba


def _video(path: Path, codec: str | None = None) -> Path:
    color = ColorInfo("bt709", matrix_tag=1, primaries=1, transfer=1, range_tag=1)
    planes = planes_from_rgb(see_through()[..., :3], "yuva444p10le", color)
    alpha = np.where(see_through()[..., 3] > 0, np.uint16(1023), np.uint16(0))
    info = SourceInfo(path.name, *SIZE, "yuva444p10le", Fraction(1, 25), Fraction(25), color=color)
    sink = open_sink(path, info, alpha=True, codec=codec)
    for number in range(2):
        made = Frame((*planes[:3], alpha), info.format, number, info.time_base, color=color)
        sink.write(made)
    sink.close()
    return path


def _write(path: Path) -> Path:
    if path.suffix in (".mov", ".webm", ".mkv"):
        return _video(path)
    if path.suffix in (".avif", ".heic"):
        return write_heif(path, see_through()[..., :3], alpha=see_through()[..., 3])
    picture = PIL.Image.fromarray(see_through())
    if path.suffix == ".gif":
        picture.save(path, save_all=True, append_images=[picture.rotate(0)], duration=100, disposal=2)
    else:
        picture.save(path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_what_is_clear_is_black(tmp_path: Path, suffix: str, fit: str) -> None:
    background = parse_background(str(_write(tmp_path / f"behind{suffix}")), fit=fit)
    for format in ("yuv420p", "yuv444p10le", "yuva444p10le", "gbrp", "nv12"):
        rgb = to_rgb(background(random_frame(format, *SIZE), np.zeros((9, 16), np.float32))).astype(int)
        assert np.abs(rgb[4:44, 4:28] - RED).mean() < 8, format
        assert rgb[4:44, 36:60].max() < 12, format
    background.close()
