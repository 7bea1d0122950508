"""A small file that claims, or unpacks to, an enormous picture is refused before it takes the memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import pytest

from livematte.errors import InputError
from livematte.video import reader
from livematte.video.container import MAX_PIXELS

SIDE = 15_000
"""Pixels per side: below MAX_SIDE, and squared above MAX_PIXELS. As RGB it takes 675 MB."""

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
    assert len(data) < 4_000_000 < MAX_PIXELS < SIDE**2
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
    assert name in said and "too large for FFmpeg" in said and "\n" not in said and megabytes < MEGABYTES


def test_a_picture_says_the_limit(large: Path) -> None:
    with pytest.raises(InputError, match="the limit is 134 megapixels.*; scale it down first"):
        reader.open_video(large / "a.png")
