"""What every live source keeps to: cameras in each kind of pixel format, and what stands in for one."""

from __future__ import annotations

import functools
import http.server
import json
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livematte.errors import InputError
from livematte.frame import PIXEL_FORMATS
from livematte.protocols import LiveFormat, Source
from livematte.streaming.frame_normalizer import FrameNormalizer
from livematte.video import camera as cameras
from livematte.video.camera import open_camera, open_file_camera
from livematte.video.camera_modes import CameraInfo, CameraMode
from tests import clips
from tests.clocks import FakeClock

CAMERAS = {"yuyv": "yuyv422", "nv12": "nv12", "i420": "yuv420p", "rgb": "rgb24"}
"""FFmpeg's test picture stands where the driver would, in the pixel formats that drivers give."""
STAND_INS: dict[str, Callable[[Path], Path]] = {
    "video": lambda at: clips.make_clip(at / "a.mp4", frames=6),
    "odd video": lambda at: clips.make_clip(at / "a.webm", codec="libvpx-vp9", frames=4, size=(121, 161)),
    "deep video": lambda at: clips.make_clip(at / "a.mp4", codec="libx265", format="yuv420p10le", frames=6),
    "picture": lambda at: clips.make_jpeg(at / "a.jpg", orientation=6),
    "pictures": lambda at: clips.make_pictures(at / "p", frames=3),
}
SOURCES = [*(f"camera {name}" for name in CAMERAS), "camera mjpeg", *STAND_INS, "address"]


def motion_jpeg(at: Path) -> Path:
    """What a webcam sends at sizes that are too much for it uncompressed."""
    with av.open(str(at), "w", format="mjpeg") as file:
        stream: Any = file.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj422p"
        for index in range(60):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * index, np.uint8), "rgb24")
            for packet in stream.encode(picture.reformat(format="yuvj422p")):
                file.mux(packet)
    return at


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """An address at which a clip lies."""
    clips.make_clip(tmp_path / "a.mp4", frames=6)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.mp4"
        server.shutdown()


@pytest.fixture(params=SOURCES)
def source(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Source]:
    kind, _, format = str(request.param).partition(" ")
    if kind == "camera":
        address, way = str(tmp_path / "a.mjpeg"), "mjpeg"
        if format == "mjpeg":
            motion_jpeg(Path(address))
        else:
            address, way = f"testsrc2=size=64x48:rate=30,format={CAMERAS[format]}", "lavfi"
        monkeypatch.setitem(cameras.FORMATS, sys.platform, way)
        mode = CameraMode(64, 48, CAMERAS.get(format, format), (Fraction(30),))
        info = CameraInfo("usb-1", "HD Webcam", (mode,), address)
        monkeypatch.setattr(cameras, "list_cameras", lambda: [info])
        opened: Source = open_camera("webcam", clock=FakeClock())
    elif request.param == "address":
        opened = open_file_camera(request.getfixturevalue("served"), FakeClock())
    else:
        opened = open_file_camera(STAND_INS[request.param](tmp_path), FakeClock())
    yield opened
    opened.close()


def test_frames_are_as_announced_and_times_rise_for_as_long_as_one_looks(source: Source) -> None:
    assert isinstance(source, Source)
    info, seen = source.info, []
    for frame in islice(source, 20):
        layout = PIXEL_FORMATS[frame.format]
        assert (frame.format, frame.size, frame.time_base) == (
            info.format, (info.height, info.width), info.time_base,
        )  # fmt: skip
        assert frame.color == info.color
        for index, plane in enumerate(frame.planes):
            assert plane.shape[:2] == (layout.chroma_size(*frame.size) if index in (1, 2) else frame.size)
            assert plane.dtype == (np.uint8 if layout.depth == 8 else np.uint16)
        seen.append(frame.pts)
    assert len(seen) == 20, "what stands in for a camera begins again"
    assert seen == sorted(set(seen))
    assert info.frames is None and info.seconds is None, "nobody knows the end"


def test_whatever_comes_fits_an_output(source: Source) -> None:
    conform = FrameNormalizer(LiveFormat(96, 64, Fraction(30)))
    for frame in islice(source, 3):
        made = conform(frame)
        assert made.size == (64, 96) and made.format in ("yuv420p", "nv12")


def test_what_was_negotiated_is_told_in_single_lines(source: Source) -> None:
    notes: list[str] = source.notes  # type: ignore[attr-defined]
    assert all(note and "\n" not in note for note in notes)
    told = json.loads(json.dumps(dict(source.info.details)))
    assert told == dict(source.info.details)
    assert source.info.average_rate
    if isinstance(source, cameras.CameraSource):
        asked = next(iter(source.camera.modes)).pixel_format
        assert notes[0] == f"camera HD Webcam: 64x48 {asked} 30 fps"
        assert told["camera"] == "usb-1" and told["pixel_format"] and told["rate"]


def test_it_is_read_once_and_closing_is_free(source: Source) -> None:
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    with pytest.raises(InputError, match="once"):
        next(iter(source))


def test_another_thread_may_close_it(source: Source) -> None:
    begun, ended = threading.Event(), threading.Event()

    def read() -> None:
        for _ in source:
            begun.set()
        ended.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert begun.wait(20)
    source.close()
    assert ended.wait(20)
