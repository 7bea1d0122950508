"""A named pipe can be read once: it is read so, or refused in one line; nothing waits for a second time."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from livematte import api
from livematte.errors import InputError
from livematte.matting.backgrounds import parse_background
from livematte.video.container import open_container
from livematte.video.file_camera import open_file_camera
from livematte.video.reader import open_video
from livematte.video.writer import open_sink
from tests.clips import make_clip
from tests.clocks import FakeClock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    clip = make_clip(tmp_path / "clip.mkv", frames=5, size=(64, 96))
    found = tmp_path / "p.mkv"
    os.mkfifo(found)

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), clip.open("rb") as file, found.open("wb") as end:
            shutil.copyfileobj(file, end)

    threading.Thread(target=write, daemon=True).start()
    return found


def test_a_pipe_is_read_once(pipe: Path) -> None:
    with open_video(pipe) as source:
        assert len(list(source)) == 5


def test_a_render_with_sound_refuses_a_pipe(pipe: Path) -> None:
    with pytest.raises(InputError, match="pipe.*save it"):
        api.render(pipe, pipe.with_name("out.mp4"))
    assert not pipe.with_name("out.mp4").exists()


def test_a_sink_that_copies_streams_refuses_a_pipe(pipe: Path) -> None:
    with open_video(pipe) as source, pytest.raises(InputError, match="pipe"):
        open_sink(pipe.with_name("out.mp4"), source.info, copy_streams_from=pipe)


def test_a_background_video_refuses_a_pipe(pipe: Path) -> None:
    with pytest.raises(InputError, match="pipe"):
        parse_background(str(pipe))


def test_a_pipe_in_place_of_a_camera_ends_with_one_line(pipe: Path) -> None:
    frames = 0
    with open_file_camera(pipe, FakeClock()) as camera, pytest.raises(InputError, match="ended"):
        for _ in camera:
            frames += 1
    assert frames == 5


def test_standard_input_is_refused() -> None:
    with pytest.raises(InputError, match="standard input"):
        open_container("-")
    with pytest.raises(InputError, match="pipe"):
        api.render("-", "out.mp4")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises(InputError, match="device"):
        open_container(device)
