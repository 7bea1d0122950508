"""Orientation of still pictures, written by Pillow, as FFmpeg reports it."""

from __future__ import annotations

import io
import os
import struct
import threading
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from livematte.video import reader
from livematte.video.hardware import HardwareDecoder
from livematte.video.orientation import Orientation
from livematte.video.reader import open_video
from tests import clips

UPRIGHT = {
    1: [[1, 2], [3, 4]], 2: [[2, 1], [4, 3]], 3: [[4, 3], [2, 1]], 4: [[3, 4], [1, 2]],
    5: [[1, 3], [2, 4]], 6: [[3, 1], [4, 2]], 7: [[4, 2], [3, 1]], 8: [[2, 4], [1, 3]],
}  # fmt: skip
"""Quarters of the upright picture whose stored quarters are 1 2 over 3 4 (EXIF 2.3, table 6)."""


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def picture(width: int = 64, height: int = 48) -> Image.Image:
    rows, columns = np.indices((height, width))
    quarter = 1 + (columns * 2 // width) + 2 * (rows * 2 // height)
    return Image.fromarray((quarter * 50).astype(np.uint8)).convert("RGB")


def write_jpeg(path: Path, block: bytes, declared: int | None = None) -> Path:
    """Write a JPEG with ``block`` as its EXIF segment, of a length that the segment may lie about."""
    stream = io.BytesIO()
    picture().save(stream, "jpeg")
    data = stream.getvalue()
    size = struct.pack(">H", len(block) + 2 if declared is None else declared)
    path.write_bytes(data[:2] + b"\xff\xe1" + size + block + data[2:])
    return path


def png_chunk(name: bytes, content: bytes, declared: int | None = None) -> bytes:
    size = len(content) if declared is None else declared
    return struct.pack(">I", size) + name + content + struct.pack(">I", zlib.crc32(name + content))


def shown_size(path: Path) -> tuple[int, int]:
    with open_video(path) as source:
        return source.info.height, source.info.width


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".avif"])
def test_pictures_of_every_format_are_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"picture{suffix}"
    picture().save(path, exif=exif(orientation))
    with open_video(path) as source:
        (frame,) = source
    brightness = np.asarray(frame.planes[0], float)
    height, width = brightness.shape
    assert (height, width) == ((48, 64) if orientation < 5 else (64, 48))
    quarters = brightness[height // 4 :: height // 2, width // 4 :: width // 2]
    ranks = quarters.ravel().argsort().argsort().reshape(2, 2) + 1
    np.testing.assert_array_equal(ranks, UPRIGHT[orientation])


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
def test_a_picture_of_one_row_becomes_one_column(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"thin{suffix}"
    picture(64, 1).save(path, exif=exif(6))
    assert shown_size(path) == (64, 1)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
def test_an_orientation_that_does_not_exist_is_ignored(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"nine{suffix}"
    picture().save(path, exif=exif(9))
    assert shown_size(path) == (48, 64)


@pytest.mark.parametrize("kept", [0, 3, 6, 10, 14, 16, 20, 24])
def test_a_truncated_exif_block_gives_no_orientation(tmp_path: Path, kept: int) -> None:
    assert shown_size(write_jpeg(tmp_path / "cut.jpg", exif(6)[:kept])) == (48, 64)


def test_exif_is_found_after_xmp_and_after_the_pixels(tmp_path: Path) -> None:
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x/>"
    segment = b"\xff\xe1" + struct.pack(">H", len(exif(6)) + 2) + exif(6)
    assert shown_size(write_jpeg(tmp_path / "xmp.jpg", xmp + segment, len(xmp) + 2)) == (64, 48)
    stream = io.BytesIO()
    picture().save(stream, "png")
    data = stream.getvalue()
    path = tmp_path / "after.png"
    path.write_bytes(data[:-12] + png_chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0")) + data[-12:])
    assert shown_size(path) == (64, 48)


def test_a_huge_declared_length_is_not_allocated(tmp_path: Path) -> None:
    """Two chunks and a tag that declare 2 GB each; the picture without its EXIF is read, or refused."""
    stream = io.BytesIO()
    picture().save(stream, "png")
    data, tiff = stream.getvalue(), exif(6).removeprefix(b"Exif\0\0")
    (tmp_path / "chunk.png").write_bytes(data[:33] + png_chunk(b"eXIf", tiff, 2**31 - 1) + data[33:])
    riff = b"EXIF" + struct.pack("<I", 2**31 - 1) + tiff
    (tmp_path / "chunk.webp").write_bytes(b"RIFF" + struct.pack("<I", len(riff) + 4) + b"WEBP" + riff)
    many = bytearray(exif(6))
    many[20:24] = struct.pack(">I" if many[6:8] == b"MM" else "<I", 2**31 - 1)  # count of the values
    write_jpeg(tmp_path / "tag.jpg", bytes(many))
    tracemalloc.start()
    try:
        for name in ("chunk.png", "chunk.webp"):
            with pytest.raises(reader.InputError):
                shown_size(tmp_path / name)
        assert shown_size(tmp_path / "tag.jpg") == (48, 64)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_no_byte_of_a_pipe_is_lost(tmp_path: Path) -> None:
    """A second open of the pipe would take what FFmpeg has not yet read."""
    clip = clips.make_clip(tmp_path / "a.ts", frames=200, size=(240, 320)).read_bytes()
    pipe = tmp_path / "pipe.ts"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(clip), daemon=True)
    writer.start()
    with open_video(pipe) as source:
        assert (sum(1 for _ in source), source.damaged) == (200, 0)
    writer.join(10)


def test_a_photo_in_gpu_memory_is_mirrored_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV does not know EXIF's side data type, which hides all side data of a frame on a GPU."""
    path = tmp_path / "mirrored.jpg"
    picture().save(path, exif=exif(2))
    container: Any = av.open(str(path))

    class OnGpu(HardwareDecoder):
        @property
        def is_active(self) -> bool:
            return True

    def open_fake(*_: object) -> HardwareDecoder:
        context = container.streams.video[0].codec_context
        return OnGpu(context, "cuda", "cuda", container=container)

    read = reader.read_orientation
    given: list[av.VideoFrame] = []

    def watched_read(frame: av.VideoFrame) -> Orientation:
        given.append(frame)
        return read(frame)

    monkeypatch.setattr(reader, "open_hardware", open_fake)
    monkeypatch.setattr(reader, "read_orientation", watched_read)
    with open_video(path, hwaccel="cuda") as source:
        assert source.info.details["mirrored"] is True
        assert given[0] is not source._first_frame
