"""``livematte live``: what it says, and what it refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from livematte import cli, registry
from livematte.cli.live_reporter import format_line, summary

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
    from livematte.clock import SystemClock
    from livematte.streaming.stats import LiveMeter

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
