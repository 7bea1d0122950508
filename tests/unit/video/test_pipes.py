"""A named pipe can be read once: it is read so, or refused in one line; nothing waits for a second time."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import av
import pytest

from livematte import api
from livematte.errors import InputError, UsageError
from livematte.matting.backgrounds import parse_background
from livematte.video import spool
from livematte.video.container import open_container
from livematte.video.file_camera import open_file_camera
from livematte.video.reader import open_video
from livematte.video.writer import open_sink
from tests.clips import make_clip
from tests.clocks import FakeClock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    clip = make_clip(tmp_path / "clip.mkv", frames=5, size=(64, 96), audio=1)
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


def test_a_render_reads_a_pipe_with_its_sound(pipe: Path) -> None:
    out = pipe.with_name("out.mkv")
    report = api.render(pipe, out, size=64, refine="none")
    assert report.frames == 5
    with av.open(str(out)) as made:
        assert [stream.type for stream in made.streams] == ["video", "audio"]
    assert sorted(path.name for path in pipe.parent.iterdir()) == ["clip.mkv", "out.mkv", "p.mkv"]


def test_a_pipe_that_nobody_writes_to_is_waited_for_with_a_line_until_the_stop(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    stop, lines = threading.Event(), []

    def say(line: str) -> None:
        lines.append(line)
        stop.set()

    path = str(tmp_path / "p")
    with pytest.raises(InputError, match="stopped while") as stopped, spool.as_file(path, stop=stop, say=say):
        raise AssertionError("there is nothing to read")
    assert stopped.value.exit_code == 130
    assert lines == [f"waiting for data from {tmp_path / 'p'}, which no program has opened for writing yet"]
    with open(tmp_path / "p", "wb"):
        pass  # lets the thread end


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


def test_standard_input_is_refused_where_it_is_not_copied() -> None:
    with pytest.raises(InputError, match="standard input"):
        open_container("-")


class Standard:
    """A standard stream of these bytes."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_standard_input_becomes_a_file_that_is_deleted(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", Standard(b"\r\n\x1a data"))
    with pytest.raises(InputError, match="standard input is not a media file"), spool.as_file("-") as file:
        assert Path(file).read_bytes() == b"\r\n\x1a data"
        open_container(file)
    assert not Path(file).parent.exists()


@pytest.mark.parametrize("stdin", [Standard(b""), None])
def test_no_standard_input_is_one_line(monkeypatch, tmp_path: Path, stdin: Standard | None) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(InputError, match="standard input (is empty|cannot be copied)"), spool.as_file("-"):
        pass


@pytest.mark.parametrize("name", ["mp4", "mov", "matroska", "webm"])
def test_standard_output_gets_a_whole_file_and_nothing_else(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=5, size=(64, 96), audio=1)
    code = (
        "from livematte.video import open_sink, open_video\n"
        f"source = open_video({str(clip)!r})\n"
        f"sink = open_sink('-', source.info, format={name!r}, copy_streams_from={str(clip)!r})\n"
        "print('this is for people')\n"
        "for frame in source: sink.write(frame)\n"
        "sink.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert b"this is for people" in done.stderr, done.stderr
    with av.open(io.BytesIO(done.stdout)) as made:
        assert sum(1 for _ in made.decode(video=0)) == 5
        assert len(made.streams.audio) == 1


def test_standard_output_needs_a_format(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "clip.mkv", frames=2, size=(64, 96))) as source:
        with pytest.raises(UsageError, match="needs --format"):
            open_sink("-", source.info)
        with pytest.raises(UsageError, match="format 'avi' is invalid: use mp4"):
            open_sink(tmp_path / "out", source.info, format="avi")
        sink = open_sink(tmp_path / "out", source.info, format="mkv")
        sink.write(next(iter(source)))
        sink.close()
    with av.open(str(tmp_path / "out")) as made:
        assert "matroska" in made.format.name


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises(InputError, match="device"):
        open_container(device)
