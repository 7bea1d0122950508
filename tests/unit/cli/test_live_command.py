"""``livematte live``: what it says, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from livematte import cli, registry
from livematte.cli.live_reporter import format_line, format_viewers, summary
from livematte.cli.pipes import written_pipe
from livematte.clock import SystemClock
from livematte.streaming.stats import LiveMeter
from tests.clocks import FakeClock

SMALL = ["--to", "collecting", "--resolution", "160x96", "--rate", "25", "--background", "black"]


def test_json_is_one_object_a_line(sinks: list[Any], clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--sink-option", "collecting.some-thing=5"]
    code = cli.run(["live", "--input", str(clip), *SMALL, *own, "--seconds", "1.5", "--stats", "--json"])
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 0 and [events[0]["event"], events[-1]["event"]] == ["start", "done"]
    assert {"showing", "stats"} <= {event["event"] for event in events}
    done = events[-1]
    assert done["sent"] > 0 and done["captured"] > 0 and set(done["stages"]) >= {"model", "composite"}
    ((format, options, sink),) = sinks
    assert (format.width, format.height, format.rate) == (160, 96, 25)
    assert options == {"some_thing": "5"} and sink.closed


def test_help_names_the_outputs_that_are_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["live", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"{', '.join(registry.names('sinks'))}, or none for only a preview" in said


def test_people_get_lines(sinks: list[Any], clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["live", "--input", str(clip), *SMALL, "--seconds", "1.5", "--stats"]) == 0
    said = capsys.readouterr()
    assert "fps, latency p50" in said.err and "placeholders" in said.out


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--resolution", "big"], "1280x720"),
        (["--resolution", "161x96"], "even"),
        (["--sink-option", "x"], "NAME.OPTION=VALUE"),
        (["--to", "nowhere"], "nowhere"),
        (["--camera", "auto"], "two sources"),
        (["--background", "nope"], "nope"),
        (["--delay", "9000"], "delay 9000 is invalid: use 0 to 2000 milliseconds"),
        (["--delay", "nan"], "milliseconds"),
        (["--preview-backgrounds", "black,nope.jpg"], "preview-backgrounds: background 'nope.jpg': no such"),
        (["--preview-backgrounds", "blur:1"], "preview-backgrounds: blur 1 would show the room"),
        (["--seconds", "0"], "seconds 0 is invalid: use more than 0"),
        (["--pixel-format", "mjpeg"], "pixel-format 'mjpeg' is only for cameras"),
        (["--rate", "fast"], "--rate 'fast': give a number; see livematte live --help"),
        (["--size", "2.5"], "--size '2.5': give a whole number"),
        (["--threads", "0"], "--threads '0': give 1 or more"),
    ],
)
def test_what_cannot_be_is_refused(
    sinks: list[Any], clip: Path, wrong: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["live", "--input", str(clip), *SMALL, *wrong]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and says in error[0]


def test_a_line_fits_a_terminal() -> None:
    state = LiveMeter(SystemClock()).stats(
        late=0, skipped=0, level=0, steps=0, size=(160, 288), watched=None, sink_notes=[]
    )
    assert "network 288x160" in format_line(state) and len(format_line(state)) < 170
    assert "no picture" in summary(state)


def test_figures_are_one_line_of_a_terminal_that_others_do_not_run_into(
    sinks: list[Any], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said = Terminal()
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stderr", said)
    monkeypatch.setattr("sys.stdout", said)
    assert cli.run(["live", "--input", str(clip), *SMALL, "--seconds", "2.5", "--stats"]) == 0
    last = said.getvalue().rstrip("\n").split("\n")[-1]
    figures, wiped, summed = [part for part in last.split("\r") if part][-3:]
    assert "fps, latency" in figures and len(figures) == 59, "a longer one would be two, and stay"
    assert wiped == 59 * " " and "frames in" in summed, "nothing of the figures stays behind the summary"


def test_a_session_that_goes_to_and_fro_is_noted_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from types import SimpleNamespace

    from livematte.cli import live_reporter as module

    now, state = [0.0], SimpleNamespace(notes=[], showing="")
    session: Any = SimpleNamespace(format=SimpleNamespace(width=64, height=36, rate=30), stats=lambda: state)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    teller = module.LiveReporter(session, stats=False, seconds=None)
    for step in range(1, 23):  # half a second each
        now[0], state.showing = step / 2, "the matte is late" if step % 2 else "picture"
        teller.look()
    assert capsys.readouterr().err.count("viewers see the placeholder: the matte is late") == 2


def test_the_reason_that_lasts_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from types import SimpleNamespace

    from livematte.cli import live_reporter as module

    now, state = [0.0], SimpleNamespace(notes=[], showing="")
    session: Any = SimpleNamespace(format=SimpleNamespace(width=64, height=36, rate=30), stats=lambda: state)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    teller = module.LiveReporter(session, stats=False, seconds=None)
    for step in range(1, 30):
        now[0] = step / 2
        state.showing = "starting" if step < 3 else "the camera is gone" if step < 5 else "nobody is seen yet"
        teller.look()
    said = capsys.readouterr().err
    assert [said.count(why) for why in ("starting", "camera is gone", "nobody is seen")] == [1, 1, 1]


def test_an_output_that_nobody_sees_is_told(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["live", "--input", str(clip), "--to", "none", "--resolution", "160x96", "--background", "black"]
    assert cli.run([*words, "--seconds", "0.5"]) == 0
    assert "nobody sees it: the output is none; add --preview" in capsys.readouterr().err
    assert cli.run([*words, "--seconds", "0.5", "--stats"]) == 0
    assert "nobody sees it" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("watched", "line"),
    [(True, "viewers see people"), (None, "viewers see people"), (False, "nobody watches: no program reads")],
)
def test_whether_anybody_watches_is_told(watched: bool | None, line: str) -> None:
    meter = LiveMeter(SystemClock())
    meter.handed(1, "")
    state = meter.stats(late=0, skipped=0, level=0, steps=0, size=None, watched=watched, sink_notes=[])
    assert format_viewers(state).startswith(line)


def test_the_first_picture_is_counted_from_the_start_of_the_command() -> None:
    clock = FakeClock(10.0)
    meter = LiveMeter(clock)
    meter.count_from(8.5)
    clock.advance(0.3)
    meter.reached(1, 1, 10.0)
    state = meter.stats(late=0, skipped=0, level=0, steps=0, size=None, watched=True, sink_notes=[])
    assert (state.first_good, state.seconds) == pytest.approx((1.8, 1.8))
    assert "first picture after 1.8 s" in summary(state)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_without_a_writer_is_told(
    sinks: list[Any], clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    copy = (
        f"import sys, time; time.sleep(1); open({str(pipe)!r}, 'wb').write(open({str(clip)!r}, 'rb').read())"
    )
    writer = subprocess.Popen([sys.executable, "-c", copy])
    try:
        assert cli.run(["live", "--input", str(pipe), *SMALL, "--seconds", "2"]) == 0
        assert f"waiting for a program that writes to the pipe {pipe}" in capsys.readouterr().err
    finally:
        writer.kill()
        writer.wait()
    stop = threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt), written_pipe(pipe, stop):
        raise AssertionError("nobody writes")
