"""A file that a decoder dies of, for real, ends the process that tries it and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import livematte
from livematte import cli
from livematte.errors import InputError, LivematteError
from livematte.streaming.control import Control
from livematte.tools import demo
from livematte.video import trial_decode
from tests.livepeers import CollectingSink, FindsThePerson

CLIP = str(demo.clip_path())

DECODER = (
    "import os, sys, time, livematte.video.container as o; o.real = o.decoder_for; o.decoder_for = lambda s: "
)
"""Another decoder in the process that tries a file, for files with ``strange`` in their name."""

CRASHES = f"{DECODER} os.abort() if 'strange' in sys.argv[1] else o.real(s); {trial_decode.ENTRY}"
HANGS = f"{DECODER} time.sleep(100); {trial_decode.ENTRY}"


def picture(path: Path) -> Path:
    Image.new("RGB", (160, 96), (48, 96, 192)).save(path)
    return path


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    return picture(tmp_path / "strange.png")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that a process was started for."""
    files: list[str] = []
    start: Callable[[str], Any] = trial_decode._start

    def told(path: str) -> Any:
        files.append(path)
        return start(path)

    monkeypatch.setattr(trial_decode, "_start", told)
    return files


def test_a_decoder_that_dies_is_one_line(strange: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_decode, "ENTRY", CRASHES)
    with pytest.raises(InputError) as caught:
        trial_decode.check(strange)
    line = str(caught.value)
    assert "\n" not in line and str(strange) in line and "crashes" in line and "convert it" in line
    if sys.platform != "win32":
        assert "SIGABRT" in line, "it was the death that was meant"


@pytest.mark.parametrize(
    "arguments",
    [
        ("probe", "STRANGE"),
        ("image", "STRANGE", "OUT.png"),
        ("image", CLIP, "OUT.png", "-b", "STRANGE"),
        ("render", "STRANGE", "OUT.mp4"),
        ("render", CLIP, "OUT.mp4", "-b", "STRANGE"),
        ("trimap", "STRANGE", "OUT.png"),
        ("live", "--input", "STRANGE", "--to", "none"),
        ("live", "--input", CLIP, "--to", "none", "-b", "STRANGE"),
    ],
    ids=lambda arguments: " ".join(arguments).replace(CLIP, "CLIP"),
)
def test_commands_say_one_line_where_a_decoder_dies(
    arguments: tuple[str, ...],
    strange: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(trial_decode, "ENTRY", CRASHES)
    names = {
        "STRANGE": str(strange),
        "OUT.png": str(tmp_path / "out.png"),
        "OUT.mp4": str(tmp_path / "o.mp4"),
    }
    assert cli.run([names.get(argument, argument) for argument in arguments]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("livematte: error: ") and "crashes" in line
    assert list(tmp_path.iterdir()) == [strange]


def test_a_live_session_goes_on_where_a_background_crashes_its_decoder(
    strange: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinks: list[CollectingSink] = []

    def collecting(format: Any) -> CollectingSink:
        sinks.append(CollectingSink())
        return sinks[-1]

    with livematte.live(
        input=CLIP, to=collecting, background="black", model=FindsThePerson(), width=160, height=96, rate=25
    ) as session:
        assert sinks[0].wait_for(lambda frame: bool(frame.planes[0][0, 0] < 40))
        monkeypatch.setattr(trial_decode, "ENTRY", CRASHES)
        with pytest.raises(InputError, match="crashes"):
            session.background = strange
        with Control(session, lambda: None) as control, pytest.raises(LivematteError, match="crashes"):
            control.registration.ask("background", str(strange))
        assert session.background == "black" and session.running
        session.background = picture(tmp_path / "fine.png")
        assert sinks[0].wait_for(lambda frame: bool(frame.planes[0][0, 0] > 60)), "it is still steered"


def test_a_decoder_that_hangs_gets_a_time(strange: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_decode, "ENTRY", HANGS)
    monkeypatch.setattr(trial_decode, "SECONDS", 1.5)
    children: list[subprocess.Popen[bytes]] = []
    start = trial_decode._start
    monkeypatch.setattr(trial_decode, "_start", lambda path: children.append(start(path)) or children[-1])
    with pytest.raises(InputError, match=r"within 1\.5 seconds"):
        trial_decode.check(strange)
    assert children[0].poll() is not None, "it is not left behind"


def test_where_no_process_can_be_started_nothing_is_opened(
    strange: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_decode, "ENTRY", "raise ImportError('av')")
    with pytest.raises(InputError, match="does not start"):
        trial_decode.check(strange)
    monkeypatch.setattr(sys, "executable", str(strange.with_name("no-python")))
    trial_decode.begin(strange)
    with pytest.raises(InputError, match="no process can be started"):
        trial_decode.check(strange)


def test_a_file_is_tried_once_until_it_changes(strange: Path, started: list[str]) -> None:
    trial_decode.begin(strange)
    trial_decode.begin(strange)
    trial_decode.check(strange)
    trial_decode.check(strange)
    assert started == [str(strange)]
    strange.write_bytes(strange.read_bytes() + b"more")
    trial_decode.check(strange)
    assert started == [str(strange)] * 2


def test_what_failed_is_tried_again(
    strange: Path, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crashing:
        crashing.setattr(trial_decode, "ENTRY", CRASHES)
        with pytest.raises(InputError):
            trial_decode.check(strange)
    trial_decode.check(strange)
    assert len(started) == 2


def test_what_is_no_file_is_not_tried(tmp_path: Path, started: list[str]) -> None:
    for what in (tmp_path, tmp_path / "missing.png", "green", "blur:12", "rtsp://there/%20", None, 7):
        trial_decode.begin(what)
        trial_decode.check(what)  # type: ignore[arg-type]
    assert started == []


def test_a_file_that_is_merely_damaged_is_left_to_who_opens_it(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(picture(tmp_path / "whole.png").read_bytes()[:60])
    trial_decode.check(damaged)


def test_the_process_that_tries_imports_little(strange: Path) -> None:
    code = (
        "import sys; from livematte.video.trial_decode import decode_beginning\n"
        "decode_beginning(sys.argv[1])\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(strange)], capture_output=True, text=True, check=True
    )
    there = set(done.stdout.split())
    assert "av" in there
    assert not there & {"numpy", "cv2", "numba", "onnxruntime", "openvino", "torch", "typer", "rich"}


def test_a_module_in_the_folder_one_is_in_is_not_taken_for_ours(
    strange: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (strange.parent / "av.py").write_text("import os; os.abort()", encoding="utf-8")
    monkeypatch.chdir(strange.parent)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    trial_decode.check(strange)
