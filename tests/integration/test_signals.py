"""Wishes to stop, and streams that are missing or full, in real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from livematte.video.atomic_file import count_playable_frames
from tests.clips import make_long_clip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and /dev of POSIX")

LIVEMATTE = [sys.executable, "-m", "livematte"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_long_clip(tmp_path_factory.mktemp("long") / "long.mp4", 60, size=(144, 256))


def _start(clip: Path, target: Path, **options: Any) -> subprocess.Popen[str]:
    """A render to which someone listens, after its fifth frame."""
    target.write_bytes(b"precious")
    job = subprocess.Popen(
        [*LIVEMATTE, "render", str(clip), str(target), "--overwrite", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip
    assert job.stdout is not None
    for line in job.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["done"] >= 5:
            break
    return job


def _kept(target: Path) -> bool:
    names = sorted(path.name for path in target.parent.iterdir())
    assert target.read_bytes() == b"precious"
    assert names == ["out.mp4", "out.partial.mp4"]
    return count_playable_frames(target.with_name("out.partial.mp4")) >= 1


@pytest.mark.parametrize("name", ["SIGHUP", "SIGQUIT", "SIGTERM"])
def test_a_signal_to_stop_keeps_the_part(clip: Path, tmp_path: Path, name: str) -> None:
    with _start(clip, tmp_path / "out.mp4") as job:
        job.send_signal(getattr(signal, name))
        job.communicate(timeout=60)
    assert job.returncode == 130
    assert _kept(tmp_path / "out.mp4")


def test_a_reader_that_goes_away_keeps_the_part(clip: Path, tmp_path: Path) -> None:
    with _start(clip, tmp_path / "out.mp4") as job:
        assert job.stdout is not None and job.stderr is not None
        job.stdout.close()
        err = job.stderr.read()
        assert job.wait(60) == 130
    assert "Traceback" not in err and "bug" not in err
    assert _kept(tmp_path / "out.mp4")


def test_nohup_goes_on(clip: Path, tmp_path: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with _start(clip, tmp_path / "out.mp4", preexec_fn=ignore) as job:
        job.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert job.poll() is None
        job.send_signal(signal.SIGINT)
        job.communicate(timeout=60)


def test_two_signals_in_a_row_are_one_wish(clip: Path, tmp_path: Path) -> None:
    with _start(clip, tmp_path / "out.mp4") as job:
        job.send_signal(signal.SIGTERM)
        job.send_signal(signal.SIGHUP)
        out, _ = job.communicate(timeout=60)
    assert json.loads(out.splitlines()[-1])["event"] == "done"
    assert _kept(tmp_path / "out.mp4")


CODE = """
import os, sys
from pathlib import Path
from livematte.cli.interrupt import stop_event
from livematte.video.reader import open_video
from livematte.video.writer import open_sink
clip, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = open_video(clip)
sinks = [open_sink(folder / "out.mp4", source.info), open_sink(folder / "few.mp4", source.info),
         open_sink(folder / "many" / "%04d.png", source.info)]
with stop_event() as stop:
    for number, frame in enumerate(source):
        for sink in sinks[:: 1 if number < 2 else 2] if number < 200 else sinks[:1]:
            sink.write(frame)
        if number == 250:
            print("ready", flush=True)
            stop.wait()
            print("asked", flush=True)
        if number > 250:
            while True:
                pass
"""


def test_a_second_ctrl_c_leaves_no_temporary_files(clip: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(clip), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
        job.send_signal(signal.SIGINT)
        assert job.stdout.readline() == "asked\n"
        job.send_signal(signal.SIGINT)
        assert job.wait(30) == 130
    assert not [path.name for path in tmp_path.iterdir() if "rendering" in path.name]
    assert count_playable_frames(tmp_path / "out.mp4") > 0
    assert len(list((tmp_path / "many").iterdir())) == 200


@pytest.mark.parametrize("command", [["version"], ["models", "--json"], ["probe", "CLIP"]])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_one_line(clip: Path, command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        words = [str(clip) if word == "CLIP" else word for word in command]
        done = subprocess.run([*LIVEMATTE, *words], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("livematte: error: standard output cannot be written")
    assert len(done.stderr.splitlines()) == 1


def test_missing_streams_end_nothing(clip: Path, tmp_path: Path) -> None:
    def close() -> None:
        for descriptor in (0, 1, 2):
            os.close(descriptor)

    target = tmp_path / "out.mp4"
    command = [*LIVEMATTE, "render", str(clip), str(target), "--end", "0.2"]
    assert subprocess.run(command, preexec_fn=close, close_fds=False).returncode == 0
    assert count_playable_frames(target) == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_streams_end_no_render(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    command = [*LIVEMATTE, "render", str(clip), str(target), "--end", "0.2"]
    with open("/dev/full", "w") as full:
        assert subprocess.run(command, stdout=full, stderr=full).returncode == 1
    assert count_playable_frames(target) == 6
