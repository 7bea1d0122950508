"""A small file that claims, or unpacks to, an enormous picture is refused before it takes the memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import threading
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest

import livematte
from livematte.errors import InputError, LivematteError
from livematte.frame import DEFAULT_MAX_PIXELS, MOST_PIXELS
from livematte.video import reader
from livematte.video.pixel_limit import limited_to
from tests import clips
from tests.commands import run
from tests.heif_files import write_heif

SIDE = 15_000
"""Pixels per side: below MAX_SIDE, and squared above the limit. As RGB it takes 675 MB."""

MEGABYTES = 400
"""More than the process takes for itself, less than the picture."""


def png(side: int) -> bytes:
    """A black PNG, which is a thousandth of what it unpacks to."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    row = bytes(1 + 3 * side)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such a picture: as it is, as a sequence, and in a video that claims to be small."""
    folder = tmp_path_factory.mktemp("large")
    data = png(SIDE)
    assert len(data) < 4_000_000 < DEFAULT_MAX_PIXELS < SIDE**2
    (folder / "a.png").write_bytes(data)
    (folder / "0001.png").write_bytes(data)
    with av.open(str(folder / "lies.mov"), "w") as out:
        stream = out.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24"
        out.start_encoding()
        packet = av.Packet(data)
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        out.mux(packet)
    return folder


READ = """
import json, re, sys
from livematte.errors import InputError
from livematte.video import reader
said = ""
try:
    with reader.open_video(sys.argv[1]) as source:
        for frame in source:
            said = "read"
except InputError as error:
    said = str(error)
# ru_maxrss would include the memory of the process that started this one
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
print(json.dumps([said, int(peak[1]) // 1024]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is measured as on Linux")
@pytest.mark.parametrize("name", ["a.png", "%04d.png", "lies.mov"])
def test_an_enormous_picture_is_refused_before_it_takes_memory(large: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(large / name)], capture_output=True, text=True, check=True
    )
    said, megabytes = json.loads(done.stdout)
    value = "too large for FFmpeg" if name == "lies.mov" else "15000x15000, 225,000,000 pixels"
    assert name in said and value in said and "134,217,728" in said and "--max-pixels" in said
    assert "\n" not in said and megabytes < MEGABYTES


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tiff", "bmp", "mp4", "mkv", "heic"])
@pytest.mark.parametrize("most", [1000, 96 * 64 - 1, 96 * 64])
def test_the_limit_can_be_set(tmp_path: Path, kind: str, most: int) -> None:
    path = tmp_path / f"a.{kind}"
    if kind in ("mp4", "mkv"):
        clips.make_clip(path, frames=3, size=(64, 96))
    elif kind == "heic":
        write_heif(path, np.full((64, 96, 3), 90, np.uint8), tile=64)
    else:
        PIL.Image.new("RGB", (96, 64), "red").save(path)
    words = f"a.{kind} is 96x64, 6,144 pixels: the limit is {most:,} .--max-pixels.; .*--max-pixels 6144"
    refused = pytest.raises(InputError, match=words) if most < 96 * 64 else nullcontext()
    with refused, limited_to(most), reader.open_video(path) as source:
        assert (source.info.width, source.info.height) == (96, 64)


def test_every_call_takes_the_limit(tmp_path: Path) -> None:
    picture, clip = tmp_path / "a.png", clips.make_clip(tmp_path / "a.mp4", frames=12, size=(64, 96))
    PIL.Image.new("RGB", (96, 64), "red").save(picture)
    wall = tmp_path / "wall.png"
    PIL.Image.new("RGB", (300, 200), "red").save(wall)
    few: Any = {"max_pixels": 96 * 64 - 1}
    for call in (
        lambda: livematte.render(clip, tmp_path / "out.mp4", **few),
        lambda: livematte.image(picture, tmp_path / "out.png", **few),
        lambda: livematte.image(picture, **few),
        lambda: next(livematte.mattes(clip, **few)),
        lambda: livematte.live(input=clip, to="none", **few),
        lambda: livematte.api.trimap(picture, tmp_path / "t.png", **few),
        lambda: _first_error(livematte.render_many([clip], tmp_path / "many", **few)),
    ):
        with pytest.raises(InputError, match=r"is 96x64, 6,144 pixels: the limit is 6,143 \(--max-pixels\)"):
            call()
    with pytest.raises(InputError, match="wall.png is 300x200, 60,000 pixels: the limit is 6,144"):
        livematte.render(clip, tmp_path / "out.mp4", background=wall, max_pixels=96 * 64)
    assert not list(tmp_path.glob("out*"))
    for value in (0, MOST_PIXELS + 1, "many"):
        with pytest.raises(LivematteError, match="max.pixels"):
            livematte.render(clip, tmp_path / "out.mp4", max_pixels=value)


def _first_error(report: list[Any]) -> None:
    raise InputError(report[0].error)


def test_probe_takes_the_limit(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (96, 64), "red").save(tmp_path / "a.png")
    assert run("probe", tmp_path / "a.png", "--max-pixels", 6144).returncode == 0
    refused = run("probe", tmp_path / "a.png", "--max-pixels", 6143)
    assert refused.returncode == 1 and "the limit is 6,143 (--max-pixels)" in " ".join(refused.stderr.split())


def test_a_video_that_grows_is_refused_at_the_limit_of_its_opening(tmp_path: Path) -> None:
    """The frames are read in another thread than the one that opened the file."""
    small, big = (
        clips.make_clip(tmp_path / f"{side}.h264", frames=5, size=(side, side)) for side in (64, 128)
    )
    path = tmp_path / "grows.h264"
    path.write_bytes(small.read_bytes() + big.read_bytes())
    with limited_to(64 * 64):
        source = reader.open_video(path, one_size=False)
    read: list[Any] = []
    thread = threading.Thread(target=lambda: read.extend(_until_error(source)))
    thread.start()
    thread.join()
    assert read == ["refused"]


def _until_error(source: reader.FileSource) -> list[Any]:
    try:
        return [frame for frame in source if frame.height == 128]
    except InputError:
        return ["refused"]
