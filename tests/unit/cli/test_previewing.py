"""``livematte live --preview``: what it takes, says and ends."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from livematte import cli
from livematte.cli.preview_options import insert_bare_values, split_backgrounds
from livematte.errors import OutputError
from livematte.frame import Array
from livematte.preview import preview
from livematte.preview.panel import Line


class ScriptedView:
    """Presses one key each time a picture of the wanted kind was drawn, in turn."""

    fps = 60.0

    def __init__(self, name: str, *script: tuple[str, str]) -> None:
        self.name, self.script = name, list(script)
        self.pressed: list[str] = []
        self.drawn: list[Array | None] = []
        self.said: list[str] = []
        self.closed = False
        self.closes = 0

    def max_picture_size(self, lines: int) -> tuple[int, int]:
        return 48, 80

    def keys(self) -> list[str]:
        pressed, self.pressed = self.pressed, []
        return pressed

    def show(self, picture: Array | None, lines: Sequence[Line]) -> None:
        self.drawn.append(picture)
        text = "\n".join(line for line, _ in lines)
        self.said.append(text)
        if self.script and self.script[0][0] in text:
            key = self.script.pop(0)[1]
            self.closed |= key == "x"
            self.pressed = [key]

    def close(self) -> None:
        self.closes += 1


SMALL = ["--resolution", "160x96", "--rate", "25", "--background", "black"]


def drawn_in(view: ScriptedView, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace ``open_view``; return the list of requested places."""
    asked: list[str] = []

    def open_view(place: str) -> tuple[Any, str]:
        asked.append(place)
        return view, "preview in a fake"

    monkeypatch.setattr(preview, "open_view", open_view)
    return asked


@pytest.mark.parametrize(
    ("args", "filled"),
    [
        ([], []),
        (["--preview"], ["--preview", "auto"]),
        (["--preview", "-b", "red"], ["--preview", "auto", "-b", "red"]),
        (["--preview", "window", "--stats"], ["--preview", "window", "--stats"]),
        (["--preview=terminal"], ["--preview=terminal"]),
        (["-b", "red"], ["-b", "red"]),
    ],
)
def test_preview_needs_no_place(args: list[str], filled: list[str]) -> None:
    assert insert_bare_values(args) == filled


def test_backgrounds_stand_between_commas(tmp_path: Path) -> None:
    odd = tmp_path / "sea, sky.jpg"
    odd.touch()
    assert split_backgrounds(["red,blur:30", str(odd)]) == ["red", "blur:30", str(odd)]


def test_keys_reach_a_real_session(
    sinks: list[Any],
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = ScriptedView(
        "terminal",
        ("viewers see the live picture", "b"),
        ("background red\n", "b"),
        ("background white\n", "v"),
        ("preview: matte", "p"),
        ("placeholder: paused", "q"),
    )
    asked = drawn_in(view, monkeypatch)
    wanted = ["--preview-backgrounds", "red,white", "--seconds", "60"]
    assert cli.run(["live", "--input", str(clip), "--to", "none", "--preview", *wanted, *SMALL]) == 0
    assert asked == ["auto"] and not view.script and view.closes
    said = capsys.readouterr()
    assert "preview in a fake" in said.err
    assert "viewers see the placeholder: paused" in said.err, "held back, then told"
    paused = view.drawn[-1]
    assert paused is not None and paused.shape == (48, 80, 3) and not paused.any(), (
        "no matte with a placeholder"
    )


def test_closing_it_leaves_the_session(
    sinks: list[Any],
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = ScriptedView("window", ("viewers see the live picture", "x"))
    drawn_in(view, monkeypatch)
    to = ["--to", "collecting", "--preview", "window", "--seconds", "2.5", "--json"]
    assert cli.run(["live", "--input", str(clip), *to, *SMALL]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "done" and events[-1]["seconds"] > 2.4 and sinks[0][2].closed
    assert view.closes


def test_while_a_view_hangs_frames_are_sent(
    sinks: list[Any], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hangs(ScriptedView):
        def show(self, picture: Array | None, lines: Sequence[Line]) -> None:
            self.sent_meanwhile = sum(sinks[0][2].wait_for(lambda _: True) for _ in range(10))
            self.pressed = ["q"]

    view = Hangs("window")
    drawn_in(view, monkeypatch)
    assert cli.run(["live", "--input", str(clip), "--to", "collecting", "--preview", *SMALL]) == 0
    assert view.sent_meanwhile == 10


def test_without_another_output_closing_it_ends_the_session(
    sinks: list[Any],
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = ScriptedView("window", ("viewers see", "x"))
    drawn_in(view, monkeypatch)
    to = ["--to", "none", "--preview", "--seconds", "600"]
    assert cli.run(["live", "--input", str(clip), *to, *SMALL]) == 0
    assert "goes on" not in capsys.readouterr().err


def test_a_place_that_is_not_there_is_refused_before_anything_is_opened(
    sinks: list[Any],
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse() -> Any:
        raise OutputError("there is no display")

    monkeypatch.setattr(preview, "_window", refuse)
    to = ["--to", "collecting", "--preview", "window"]
    assert cli.run(["live", "--input", str(clip), *to, *SMALL]) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and "no preview: there is no display" in error[0] and not sinks
    assert cli.run(["live", "--input", str(clip), "--preview", "hologram", *SMALL]) == 2
    assert "use auto, window or terminal" in capsys.readouterr().err


def test_events_are_not_written_into_a_preview(
    sinks: list[Any],
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    view = ScriptedView("terminal")
    drawn_in(view, monkeypatch)
    monkeypatch.setattr("sys.stdout", Terminal())
    assert cli.run(["live", "--input", str(clip), "--to", "none", "--preview", "--json", *SMALL]) == 2
    assert "> events.jsonl" in capsys.readouterr().err and view.closes
