"""A file as a camera: paced by its own times on a clock that does not wait, looped, closed, lost."""

from __future__ import annotations

import threading
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import pytest

from livematte.errors import CameraLost, InputError
from livematte.protocols import Source
from livematte.video import file_camera
from livematte.video.file_camera import open_file_camera, redact_credentials
from tests import clips


class FakeClock:
    """Time passes by sleeping, and by ``work``."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep_until(self, when: float, stop: threading.Event | None = None) -> bool:
        self.time = max(self.time, when)
        return stop is None or not stop.is_set()

    def work(self, seconds: float) -> None:
        self.time += seconds


def test_frames_come_when_their_own_times_say(tmp_path: Path) -> None:
    clip = clips.make_clip(tmp_path / "a.mkv", frames=4, pts=[0, 20, 100, 130], time_base=Fraction(1, 1000))
    clock, shown = FakeClock(), []
    with open_file_camera(clip, clock) as source:
        assert isinstance(source, Source)
        for frame in islice(source, 4):
            shown.append(round(clock.now() - 100, 3))
            clock.work(0.004)
            assert frame.size == (source.info.height, source.info.width)
    assert shown == [0, 0.02, 0.1, 0.13]


def test_it_begins_again_with_rising_times_and_a_new_shot(tmp_path: Path) -> None:
    clip = clips.make_clip(tmp_path / "a.mp4", frames=5)
    clock = FakeClock()
    with open_file_camera(clip, clock) as source:
        frames = list(islice(source, 12))
        numbers = [clips.number(frame.planes[0]) for frame in frames]
    assert numbers == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert [index for index, frame in enumerate(frames) if frame.keyframe_hint] == [0, 5, 10]
    steps = {b.seconds - a.seconds for a, b in pairwise(frames)}
    assert steps == {frames[1].seconds - frames[0].seconds}
    assert source.info.frames is None
    assert clock.now() - 100 == pytest.approx(float(frames[-1].seconds))


def test_who_is_far_behind_does_not_hurry(tmp_path: Path) -> None:
    clip = clips.make_clip(tmp_path / "a.mp4", frames=6)
    clock, gaps = FakeClock(), []
    with open_file_camera(clip, clock) as source:
        step = 1 / float(source.info.average_rate or 1)
        last = None
        for index, _ in enumerate(islice(source, 6)):
            gaps.append(0 if last is None else round((clock.now() - last) / step, 2))
            if index == 1:
                clock.work(3.0)  # the computer slept
            last = clock.now()
    assert gaps == [0, 1, 0, 1, 1, 1]


def test_a_picture_is_shown_thirty_times_a_second(tmp_path: Path) -> None:
    clock = FakeClock()
    with open_file_camera(clips.make_jpeg(tmp_path / "a.jpg"), clock) as source:
        frames = list(islice(source, 61))
    assert source.info.average_rate == 30
    assert clock.now() - 100 == pytest.approx(2.0)
    assert all(frame.planes is frames[0].planes for frame in frames)
    assert frames[60].seconds == 2


def test_closing_ends_it(tmp_path: Path) -> None:
    source = open_file_camera(clips.make_clip(tmp_path / "a.mp4", frames=3), FakeClock())
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    with pytest.raises(InputError, match="once"):
        next(iter(source))


def test_a_password_in_an_address_is_never_told() -> None:
    assert redact_credentials("rtsp://me:secret@cam.example/1?x=1") == "rtsp://cam.example/1?x=1"
    with pytest.raises(InputError) as caught:
        open_file_camera("tcp://me:secret@127.0.0.1:9/x", FakeClock())
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "127.0.0.1" in str(caught.value)


def test_an_address_that_breaks_off_is_a_camera_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clips.make_clip(tmp_path / "a.mp4", frames=3)
    opened = []

    def served(what: object) -> object:
        opened.append(what)
        if len(opened) > 1:
            raise InputError("nobody answers")
        return file_camera.open_video(clip)

    monkeypatch.setattr(file_camera, "_open", served)
    source = open_file_camera("rtsp://me:secret@cam.example/1", FakeClock())
    with pytest.raises(CameraLost, match="rtsp://cam.example/1 failed: nobody answers"):
        list(source)


def test_what_is_missing_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_file_camera(tmp_path / "none.mp4", FakeClock())
