"""A CameraSource over FFmpeg's own test sources: formats, damage, unplugging, closing, what is refused."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livematte.errors import CameraLost, InputError
from livematte.protocols import Source
from livematte.video import camera as cameras
from livematte.video.camera_modes import CameraInfo, CameraMode, ModeChoice


class Ticks:
    """A clock that goes on by a second whenever it is asked."""

    def __init__(self, step: float = 1.0) -> None:
        self.time, self.step = 0.0, step

    def now(self) -> float:
        self.time += self.step
        return self.time

    def sleep_until(self, when: float, stop: threading.Event | None = None) -> bool:
        raise AssertionError("a camera paces itself")


def over(
    container: Any, info: CameraInfo | None = None, clock: Any = None, notes: tuple[str, ...] = ()
) -> cameras.CameraSource:
    choice = ModeChoice(CameraMode(64, 48, "yuyv422"), Fraction(30), notes)
    return cameras.CameraSource(
        info or CameraInfo("id-1", "Test camera"), container, choice, clock or Ticks(0)
    )


def bars(format: str, extra: str = "") -> Any:
    return av.open(f"smptebars=size=64x48:rate=30{extra},format={format}", format="lavfi")


@pytest.mark.parametrize(
    ("given", "taken"),
    [("yuyv422", "yuv420p"), ("nv12", "nv12"), ("yuv420p", "yuv420p"), ("yuvj422p", "yuv420p"),
     ("rgb24", "yuv420p"), ("uyvy422", "yuv420p")],
)  # fmt: skip
def test_every_format_shows_the_same_picture(given: str, taken: str) -> None:
    """SMPTE bars begin with 75 % white: luma 180 and chroma 128 in limited range, whatever the way."""
    with over(bars(given)) as source:
        frame = next(iter(source))
        assert isinstance(source, Source)
        assert (source.info.format, frame.format, frame.size) == (taken, taken, (48, 64))
        assert (frame.color.matrix, frame.color.full_range) == ("bt601", False)
        assert abs(int(frame.planes[0][10, 2]) - 180) <= 2
        chroma = frame.planes[1][5, 1]
        assert np.abs(chroma.astype(int) - 128).max() <= 2
        assert source.info.details["pixel_format"] == given
        assert source.info.details["camera"] == "id-1"


def test_what_was_negotiated_is_reported() -> None:
    with over(bars("yuv420p"), notes=("taken at 64x48",)) as source:
        assert source.notes == ["camera Test camera: 64x48 yuv420p 30 fps", "taken at 64x48"]
        assert source.info.details["notes"] == ["taken at 64x48"]
        assert (source.info.width, source.info.height, source.info.average_rate) == (64, 48, 30)


def mjpeg(at: Path, broken: set[int], frames: int = 12) -> Any:
    """A motion JPEG stream in which some pictures are garbage."""
    with av.open(str(at), "w", format="mjpeg") as file:
        stream = file.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * index, np.uint8), "rgb24")
            for packet in stream.encode(picture.reformat(format="yuvj420p")):
                file.mux(packet)
    pictures = at.read_bytes().split(b"\xff\xd8")[1:]
    at.write_bytes(
        b"".join(
            b"\xff\xd8" + (b"\xff\xc0\x00\x03" + b"\0" * 40 if index in broken else picture)
            for index, picture in enumerate(pictures)
        )
    )
    return av.open(str(at), "r", format="mjpeg", options={"framerate": "30"})


def test_a_broken_mjpeg_picture_is_left_out(tmp_path: Path) -> None:
    source = over(mjpeg(tmp_path / "a.mjpeg", {3, 7}))
    assert source.notes == ["camera Test camera: 64x48 mjpeg 30 fps"]
    seen = []
    with pytest.raises(CameraLost, match="stopped sending"):
        for frame in source:
            seen.append(round((int(frame.planes[0][20, 20]) - 16) * 255 / 219 / 20))
    assert seen == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    assert source.damaged == 2


def test_a_camera_that_sends_only_garbage_is_lost(tmp_path: Path) -> None:
    source = over(mjpeg(tmp_path / "a.mjpeg", set(range(2, 12))), clock=Ticks(0.5))
    frames = iter(source)
    next(frames), next(frames)
    with pytest.raises(CameraLost, match="no decodable frame for 2 seconds"):
        next(frames)
    assert source.damaged < 10, "it gives up before the end"


class Incomplete:
    """A container that gives an empty packet with a time after each picture, like V4L2."""

    def __init__(self, container: Any) -> None:
        self.container, self.close = container, container.close
        self.streams, self.format = container.streams, container.format

    def demux(self, stream: Any) -> Iterator[Any]:
        for packet in islice(self.container.demux(stream), 4):
            yield packet
            empty = av.Packet()
            empty.stream, empty.time_base, empty.pts = packet.stream, packet.time_base, packet.pts
            yield empty
        yield av.Packet()  # no time: the end


def test_an_incomplete_picture_is_damage_and_not_the_end() -> None:
    source = over(Incomplete(bars("yuyv422")))
    frames = []
    with pytest.raises(CameraLost, match="stopped sending"):
        for frame in source:
            frames.append(frame)
    assert len(frames) == 4 and source.damaged == 4


class Unplugged:
    """A container whose device goes away, and who counts how often it is closed."""

    def __init__(self, container: Any, after: int, hold: threading.Event | None = None) -> None:
        self.container, self.after, self.hold, self.closed = container, after, hold, 0
        self.streams, self.format = container.streams, container.format

    def demux(self, stream: Any) -> Iterator[Any]:
        yield from islice(self.container.demux(stream), self.after)
        if self.hold is not None:
            self.hold.wait(10)
        raise av.error.OSError(errno.ENODEV, "No such device", "/dev/video0")

    def close(self) -> None:
        self.closed += 1
        self.container.close()


def test_unplugging_is_an_error_of_its_own_with_the_cameras_name() -> None:
    gone = Unplugged(bars("yuyv422"), 3)
    source = over(gone)
    seen = 0
    with pytest.raises(CameraLost, match="Test camera was unplugged or stopped: No such device"):
        for _ in source:
            seen += 1
    assert seen == 3
    source.close()
    source.close()
    assert gone.closed == 1
    with pytest.raises(InputError, match="once"):
        next(iter(source))


def test_closing_while_another_thread_waits_for_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "RELEASE_SECONDS", 0.05)
    hold, seen = threading.Event(), []
    hung = Unplugged(bars("yuyv422"), 1, hold)
    source = over(hung)
    waits = threading.Event()

    def read() -> None:
        for _ in source:
            waits.set()
        seen.append("ended")

    reader = threading.Thread(target=read)
    reader.start()
    assert waits.wait(5)
    source.close()
    assert hung.closed == 0, "FFmpeg is inside: closing now would crash"
    hold.set()
    reader.join(5)
    assert seen == ["ended"]
    assert hung.closed == 1


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> list[CameraInfo]:
    """FFmpeg's test picture stands where V4L2 would; the list is what the system shows."""
    there: list[CameraInfo] = []
    monkeypatch.setitem(cameras.FORMATS, sys.platform, "lavfi")
    monkeypatch.setattr(cameras, "list_cameras", lambda: there)
    return there


def test_a_camera_opens_by_name_and_again_by_its_id_elsewhere(plugged: list[CameraInfo]) -> None:
    plugged.append(CameraInfo("usb-1", "Front", address="testsrc2=size=64x48:rate=15"))
    with cameras.open_camera("front") as source:
        assert len(list(islice(source, 3))) == 3
        id = source.camera.id
    plugged[:] = [
        CameraInfo("usb-2", "Other", address="testsrc2=size=32x32"),
        CameraInfo("usb-1", "Front", address="testsrc2=size=96x48:rate=15"),
    ]
    with cameras.open_camera(id) as source:
        assert next(iter(source)).size == (48, 96)


def test_a_camera_that_tells_nothing_is_asked_for_less_and_less(
    plugged: list[CameraInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged.append(CameraInfo("a", "A", address="testsrc2=size=64x48"))
    asked: list[dict[str, str]] = []
    really = av.open

    def picky(*arguments: Any, options: dict[str, str], **named: Any) -> Any:
        assert options.pop("fpsprobesize") == "0"
        asked.append(options)
        if options:
            raise av.error.ArgumentError(errno.EINVAL, "Invalid argument")
        return really(*arguments, **named)

    monkeypatch.setattr(cameras.av, "open", picky)
    with cameras.open_camera("a") as source:
        assert source.notes[1:] == ["the camera refused 1280x720 at 30 fps"]
    assert asked == [
        {"video_size": "1280x720", "framerate": "30"},
        {"video_size": "1280x720"},
        {"framerate": "30"},
        {},
    ]


@pytest.mark.parametrize(
    ("number", "told"),
    [(errno.EBUSY, "in use by another program"), (errno.EACCES, "privacy settings"), (errno.EIO, "I/O")],
)
def test_a_refusal_says_what_to_do(
    plugged: list[CameraInfo], monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    plugged.append(CameraInfo("a", "A", (CameraMode(64, 48, "yuyv422", (Fraction(30),)),), "x"))

    def refuse(*_: object, **__: object) -> None:
        raise av.error.OSError(number, "I/O error" if number == errno.EIO else "no")

    monkeypatch.setattr(cameras.av, "open", refuse)
    with pytest.raises(InputError, match=told):
        cameras.open_camera("a")


def test_options_are_spelled_as_each_system_wants_them() -> None:
    choice = ModeChoice(CameraMode(1280, 720, "mjpeg"), Fraction(30000, 1001))
    at_once = {"fpsprobesize": "0"}
    both = {"video_size": "1280x720", "framerate": "30000/1001", **at_once}
    assert cameras._ffmpeg_options("v4l2", choice) == {**both, "input_format": "mjpeg"}
    assert cameras._ffmpeg_options("dshow", choice) == {**both, "vcodec": "mjpeg", "rtbufsize": "64M"}
    plain = ModeChoice(CameraMode(640, 480, "nv12"), None)
    assert cameras._ffmpeg_options("dshow", plain)["pixel_format"] == "nv12"
    assert cameras._ffmpeg_options("avfoundation", plain) == {
        "video_size": "640x480", "pixel_format": "nv12", **at_once,
    }  # fmt: skip


def test_a_system_without_cameras_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "FORMATS", {})
    with pytest.raises(InputError, match="--input"):
        cameras.open_camera()
