"""Every background keeps the contract of :class:`livematte.protocols.Background`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte.frame import Frame
from livematte.matting.backgrounds import parse_background
from livematte.protocols import Background
from tests.unit.kernels.pictures import SOURCE_FORMATS, disc, random_frame

SPECS = ("#00b140", "white", "transparent", "blur", "blur:60", "image", "video")
SIZES = ((48, 64), (35, 21))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("backgrounds")
    rng = np.random.default_rng(0)
    image = folder / "room.png"
    image.write_bytes(cv2.imencode(".png", rng.integers(0, 256, (50, 90, 3), np.uint8))[1].tobytes())
    return {"image": str(image), "video": str(_video(folder / "beach.mp4"))}


def _video(path: Path) -> Path:
    """Twelve frames of rising grey, 32 x 48, 24 a second."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for n in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 20 * n, np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("spec", SPECS)
def test_a_background_has_the_frames_size_format_colour_and_time(
    spec: str, fit: str, files: dict[str, str]
) -> None:
    background = parse_background(files.get(spec, spec), fit=fit)
    assert isinstance(background, Background)
    try:
        for n, format in enumerate(SOURCE_FORMATS):
            for size in SIZES:
                _check(background, random_frame(format, *size, seed=n))
    finally:
        background.close()
        background.close()


def _check(background: Background, frame: Frame) -> None:
    before = [plane.copy() for plane in frame.planes]
    made = background(frame, disc(12, 16))
    assert (made.format, made.size, made.color) == (frame.format, frame.size, frame.color)
    assert (made.pts, made.time_base) == (frame.pts, frame.time_base)
    assert [(p.shape, p.dtype) for p in made.planes] == [(p.shape, p.dtype) for p in frame.planes]
    assert all(int(p.max()) <= frame.pixel_format.maximum for p in made.planes)
    assert all((a == b).all() for a, b in zip(before, frame.planes, strict=True))
    if frame.pixel_format.alpha and not background.transparent:
        assert int(made.planes[3].min()) == frame.pixel_format.maximum


@pytest.mark.parametrize("spec", SPECS)
def test_only_transparent_is_transparent(spec: str, files: dict[str, str]) -> None:
    background = parse_background(files.get(spec, spec))
    assert background.transparent == (spec == "transparent")
    background.close()
