"""The hot keys and the lines of text of the preview."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from livematte.errors import UsageError
from livematte.matting.backgrounds import Color
from livematte.preview.panel import Cycle
from tests.unit.preview.fakes import FakeSession, make_panel, message


def test_b_selects_the_backgrounds_in_turn() -> None:
    session = FakeSession()
    panel = make_panel(session)
    for _ in range(4):
        panel.press("b")
    assert [spec for _, spec in session.log] == ["blur", "green", "beach.jpg", "blur"]
    assert message(panel, session) == ("background blur", "good")


def test_a_failed_background_is_reported_and_then_skipped() -> None:
    session = FakeSession()
    panel = make_panel(session, backgrounds=["beach.jpg", "gone.jpg", "green"])
    session.refuses = UsageError("background 'gone.jpg': no such file")
    panel.press("b")
    assert message(panel, session) == ("background 'gone.jpg': no such file", "alarm")
    assert (session.background, session.model, session.paused) == ("beach.jpg", "one", False)
    panel.press("b")
    assert session.background == "green"


def test_used_backgrounds_return_and_a_blur_keeps_its_strength() -> None:
    session = FakeSession()
    panel = make_panel(session, backgrounds=["beach.jpg", "blur", "green"])
    session.background = "red"  # livematte ctl may do that
    panel.press("b")
    assert session.background == "beach.jpg", "red joined before the first one that b would give"
    panel.press("b")
    panel.press("+")
    assert session.background == "blur:25"
    for _ in range(4):
        panel.press("b")
    assert [spec for _, spec in session.log[-4:]] == ["green", "red", "beach.jpg", "blur:25"]


def test_an_object_as_background_cannot_be_selected_again() -> None:
    cycle = Cycle(["blur", "green"])
    assert [cycle.next_after(Color((0, 0, 0))), cycle.next_after("blur"), cycle.next_after("green")] == [
        "blur",
        "green",
        "blur",
    ]


def test_paths_are_names_too() -> None:
    cycle = Cycle([Path("a.jpg"), "blur"])
    assert cycle.next_after(Path("a.jpg")) == "blur" and cycle.next_after("blur") == Path("a.jpg")


def test_a_file_is_shown_without_its_folder() -> None:
    session = FakeSession("pictures/beach.jpg")
    panel = make_panel(session, backgrounds=["pictures/sea.jpg"])
    panel.press("b")
    assert session.background == "pictures/sea.jpg"
    assert message(panel, session) == ("background sea.jpg", "good")


def test_a_missing_second_background_is_reported() -> None:
    session = FakeSession()
    panel = make_panel(session, backgrounds=["beach.jpg"])
    panel.press("b")
    assert not session.log and "--preview-backgrounds" in message(panel, session)[0]


@pytest.mark.parametrize(
    ("before", "keys", "after"),
    [
        ("blur", "+", 25),
        ("blur", "=+", 31),
        ("blur:20", "-", 16),
        ("blur:5", "----", 4),
        ("blur:190", "++", 200),
    ],
)
def test_the_blur_grows_by_a_quarter_between_its_limits(before: str, keys: str, after: float) -> None:
    session = FakeSession(before)
    panel = make_panel(session)
    for key in keys:
        panel.press(key)
    assert session.blur == after


def test_plus_never_turns_the_blur_on() -> None:
    session = FakeSession("beach.jpg")
    panel = make_panel(session)
    panel.press("+")
    assert not session.log and "not a blur" in message(panel, session)[0]


def test_m_selects_the_models_in_turn_and_p_pauses() -> None:
    session = FakeSession()
    panel = make_panel(session, models=["one", "two"])
    panel.press("m")
    panel.press("p")
    assert session.model == "two" and session.paused
    panel.press("p")
    assert not session.paused


def test_during_a_change_another_is_refused_but_pausing_is_not() -> None:
    session, waiting = FakeSession(), list[Callable[[], None]]()
    panel = make_panel(session, models=["one", "two"], spawn=waiting.append)
    panel.press("m")
    assert message(panel, session) == ("model two ...", "dim")
    panel.press("b")
    assert "one change at a time" in message(panel, session)[0] and not session.log
    panel.press("p")
    assert session.paused
    waiting.pop()()
    assert session.model == "two"
    panel.press("b")
    waiting.pop()()
    assert session.background == "blur"


def test_an_error_without_a_message_shows_its_type() -> None:
    session = FakeSession()
    panel = make_panel(session)
    session.refuses = MemoryError()
    panel.press("b")
    assert message(panel, session) == ("MemoryError", "alarm")


def test_lines_show_what_viewers_see() -> None:
    session = FakeSession()
    panel = make_panel(session)
    session.facts["showing"] = "the camera sends nothing"
    lines = panel.lines(session.stats())
    assert lines[0] == ("viewers see the placeholder: the camera sends nothing", "alarm")
    session.facts = {
        "showing": "picture",
        "fps": 29.96,
        "latency_p50": 41.2,
        "latency_p95": 55.5,
        "repeats": 3,
    }
    session.facts["notes"] = ["virtualcam is gone:\x1b[31m unplugged"]
    lines = panel.lines(session.stats())
    assert lines[0] == ("viewers see the live picture", "good")
    assert lines[1] == ("30.0 fps, latency p50 41 p95 56 ms, dropped 0, repeated 3", "plain")
    assert lines[2] == ("one 288x160, background beach.jpg, preview: composite", "plain")
    assert lines[3] == ("virtualcam is gone: [31m unplugged", "plain"), "no control sequences"
    panel.press("v")
    panel.press("h")
    longer = panel.lines(session.stats())
    assert "preview: matte" in longer[2][0] and longer[3] == ("", "plain")
    assert len(longer) > len(lines) and ("q    end the session", "plain") in longer
