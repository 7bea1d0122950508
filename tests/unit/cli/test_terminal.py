"""Output of the commands: stream and format."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from livematte import cli
from livematte.cli import interrupt, terminal
from livematte.cli.parameters import complete_background, complete_names
from livematte.errors import InputError
from livematte.progress import FileProgress, Progress
from livematte.video.camera_modes import CameraInfo
from tests.clips import make_clip


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    terminal.configure(as_json=False, quiet=False)
    yield
    terminal.configure(as_json=False, quiet=False)


def test_an_error_is_one_line_even_if_its_text_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.error("first\n  second\r\nthird")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "livematte: error: first second third\n")


def test_json_tells_an_error_as_an_event_too(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.configure(as_json=True, quiet=False)
    terminal.error("no such file", kind="InputError", notes=["kept until there"])
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "event": "error",
        "kind": "InputError",
        "message": "no such file",
        "notes": ["kept until there"],
    }
    assert err.startswith("livematte: error: no such file\n")


def test_quiet_says_neither_results_nor_notes(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.configure(as_json=False, quiet=True)
    terminal.say("a result")
    terminal.note("a note")
    with terminal.display("x") as display:
        display(Progress(1, 1, 1.0, 0.0))
    assert capsys.readouterr() == ("", "")


def test_json_knows_fractions_paths_and_dataclasses() -> None:
    value = {"rate": Fraction(30000, 1001), "path": Path("a"), "progress": Progress(1, None, 2.0, None)}
    assert terminal.jsonable(value) == {
        "rate": "30000/1001",
        "path": "a",
        "progress": {"done": 1, "total": None, "fps": 2.0, "eta": None, "files": []},
    }


def test_the_progress_of_each_file_is_in_the_events(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.configure(as_json=True, quiet=False)
    files = (FileProgress("a.mp4", 3, 10), FileProgress("b.mp4", 1, None))
    with terminal.display("x") as display:
        display(Progress(4, None, 2.0, None, files))
    assert json.loads(capsys.readouterr().out) == {
        "event": "progress", "done": 4, "total": None, "fps": 2.0, "eta": None,
        "files": [{"name": "a.mp4", "done": 3, "total": 10}, {"name": "b.mp4", "done": 1, "total": None}],
    }  # fmt: skip


def test_a_bar_stands_for_each_file_in_work(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.configure(as_json=False, quiet=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar: Any = terminal.display("many")
    bar(Progress(4, 20, 2.0, None, (FileProgress("a.mp4", 3, 10), FileProgress("b.mp4", 1, 10))))
    shown = [(task.description, task.completed, task.total) for task in bar._bar.tasks]
    assert shown == [("many", 4, 20), ("  a.mp4", 3, 10), ("  b.mp4", 1, 10)]
    bar(Progress(12, 20, 2.0, None, (FileProgress("b.mp4", 2, 10),)))
    assert [task.description for task in bar._bar.tasks] == ["many", "  b.mp4"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (75.2, "1:15"), (3725, "1:02:05"), (-1, "0:00")]
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert terminal.duration(seconds) == text


def test_a_log_gets_the_last_frame_once(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.display("x") as display:
        for done in (1, 2, 3, 3):
            display(Progress(done, 3, 10.0, 0.0))
    assert capsys.readouterr().err == "frame 3/3, 10.0 fps\n"


def test_events_come_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.configure(as_json=True, quiet=False)
    with terminal.display("x") as display:
        display(Progress(1, 2, 10.0, 0.1))
        display(Progress(2, 2, 10.0, 0.0))
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(e["event"], e["done"], e["total"]) for e in events] == [("progress", 1, 2), ("progress", 2, 2)]


def test_the_first_signal_asks_and_the_handler_is_put_back() -> None:
    import signal

    before = signal.getsignal(signal.SIGINT)
    with interrupt.stop_event() as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
    assert signal.getsignal(signal.SIGINT) is before


def test_signals_are_left_alone_outside_the_main_thread() -> None:
    seen: list[bool] = []

    def work() -> None:
        with interrupt.stop_event() as stop:
            seen.append(stop.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_the_shell_completes_models_and_backgrounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beach.jpg").touch()
    words = [word for word, _ in complete_background("b")]
    assert {"blur", "black", "beach.jpg"} <= set(words)
    assert all(word.startswith("b") for word in words)
    assert "late-fusion-live" in complete_names("models")("late")


def test_a_bug_is_one_line_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.delenv("LIVEMATTE_TRACEBACK", raising=False)
    monkeypatch.setattr(cli, "app", broken)
    assert cli.run([]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "ZeroDivisionError: division by zero" in err
    assert "LIVEMATTE_TRACEBACK=1" in err
    monkeypatch.setenv("LIVEMATTE_TRACEBACK", "1")
    assert cli.run([]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_notes_of_an_error_follow_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        error = InputError("the disk is full")
        error.notes = ("12 frames are in out.mp4",)
        raise error

    monkeypatch.setattr(cli, "app", full)
    assert cli.run([]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "livematte: error: the disk is full",
        "livematte: note: 12 frames are in out.mp4",
    ]


FOREIGN = "a[/foo]\x1b]0;title\x07\x9b31m\u202eb\\"


def test_control_characters_of_others_are_shown_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(FOREIGN)
    terminal.note(FOREIGN)
    terminal.error(FOREIGN, notes=[FOREIGN])
    out, err = capsys.readouterr()
    assert out == "a[/foo]\\x1b]0;title\\x07\\x9b31m\\u202eb\\\n"
    assert err.count("\\x1b]0;title\\x07\\x9b31m\\u202eb\\") == 3
    assert all(character == "\n" or character.isprintable() for character in out + err)


def test_json_keeps_the_exact_text(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.configure(as_json=True, quiet=False)
    terminal.error(f"two  spaces {FOREIGN}\n", notes=["a\nb"])
    event = json.loads(capsys.readouterr().out)
    assert (event["message"], event["notes"]) == (f"two  spaces {FOREIGN}\n", ["a\nb"])


def test_bytes_that_are_no_text_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say("a\udce4b")
    assert capsys.readouterr().out == "a\\udce4b\n"


def test_probe_prints_foreign_tags_and_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(
        tmp_path / "[bold]x[red].mkv", frames=2, size=(64, 96), metadata={"title": FOREIGN, "[/b]": "x"}
    )
    assert cli.run(["probe", str(clip)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "[bold]x[red].mkv" in out and "a[/foo]\\x1b" in "".join(out.split())
    assert all(character == "\n" or character.isprintable() for character in out)
    assert cli.run(["probe", str(clip), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["details"]["metadata"]["title"] == FOREIGN


def test_a_camera_with_a_foreign_name_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from livematte.cli import devices

    devices._show([CameraInfo(FOREIGN, FOREIGN, (), "[/x]", trouble=FOREIGN)], None)
    out = capsys.readouterr().out
    assert "a[/foo]" in out
    assert all(character == "\n" or character.isprintable() for character in out)
