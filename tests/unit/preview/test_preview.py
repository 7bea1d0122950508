"""The preview: when it draws, how it ends, and the choice of its view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from livematte import registry
from livematte.errors import InputError, OutputError, UsageError
from livematte.frame import Array
from livematte.inference import weights
from livematte.preview import preview as previewing
from livematte.preview.panel import Line
from livematte.preview.preview import Preview, open_view
from tests.unit.preview.fakes import LEFT, RED_LEFT, FakeSession, make_panel, shown


class FakeView:
    """Collects what is drawn; keys come from a list."""

    name, fps = "fake", 10.0

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self.pending = list(keys)
        self.drawn: list[Array | None] = []
        self.lines: list[Sequence[Line]] = []
        self.closed = False
        self.closes = 0
        self.breaks: BaseException | None = None

    def max_picture_size(self, lines: int) -> tuple[int, int]:
        return 4, 8

    def keys(self) -> list[str]:
        return [self.pending.pop(0)] if self.pending else []

    def show(self, picture: Array | None, lines: Sequence[Line]) -> None:
        if self.breaks is not None:
            raise self.breaks
        self.drawn.append(picture)
        self.lines.append(lines)

    def close(self) -> None:
        self.closes += 1


def make_preview(session: FakeSession, view: FakeView) -> Preview:
    return Preview(session, view, make_panel(session), session.clock)


def test_q_ends_the_session_and_a_closed_view_only_the_preview() -> None:
    session, view = FakeSession(), FakeView("q")
    assert make_preview(session, view).run() is True and view.closes == 1
    session, view = FakeSession(), FakeView()
    view.closed = True
    assert make_preview(session, view).run() is False and view.closes == 1


def test_the_rate_of_the_view_is_not_exceeded() -> None:
    session, view = FakeSession(), FakeView()
    session.ends_after = 20
    assert make_preview(session, view).run() is True
    assert session.waits == [0.1] * 21 and len(view.drawn) == 20


def test_an_unchanged_picture_is_not_made_again() -> None:
    session, view = FakeSession(), FakeView()
    preview = make_preview(session, view)
    preview.step()
    preview.step()
    assert view.drawn[0] is view.drawn[1] is not None
    session.shown = shown(RED_LEFT[:, ::-1].copy(), LEFT)
    preview.step()
    assert view.drawn[2] is not view.drawn[1]
    view.pending = ["v"]
    preview.step()
    assert view.drawn[3] is not None and (view.drawn[3][:, :4] == 255).all()


def test_before_the_first_frame_there_are_only_lines() -> None:
    session, view = FakeSession(), FakeView()
    session.shown = None
    make_preview(session, view).step()
    assert view.drawn == [None] and view.lines[0][0] == ("viewers see the placeholder: starting", "alarm")


def test_statistics_are_read_four_times_per_second_and_after_a_key() -> None:
    session, view = FakeSession(), FakeView()
    preview = make_preview(session, view)
    preview.step()
    session.facts["showing"] = "picture"
    session.clock.advance(0.1)
    preview.step()
    assert view.lines[1] is view.lines[0]
    session.clock.advance(0.2)
    preview.step()
    assert view.lines[2][0] == ("viewers see the live picture", "good")
    view.pending = ["p"]
    preview.step()
    assert view.lines[3][3] == ("paused", "plain")


def test_a_failed_view_ends_only_the_preview() -> None:
    session, view = FakeSession(), FakeView()
    view.breaks = OSError("the terminal is gone")
    preview = make_preview(session, view)
    assert preview.run() is False and view.closes == 1
    assert preview.trouble == "the preview failed: OSError: the terminal is gone"


def test_the_error_of_the_session_is_raised_and_the_view_closed() -> None:
    class Ended(FakeSession):
        def wait(self, seconds: float | None = None) -> bool:
            raise InputError("the last output is gone")

    session, view = Ended(), FakeView()
    with pytest.raises(InputError, match="last output"):
        make_preview(session, view).run()
    assert view.closes == 1


def test_the_caller_may_end_it() -> None:
    session, view = FakeSession(), FakeView()
    assert make_preview(session, view).run(lambda: len(view.drawn) == 3) is True
    assert len(view.drawn) == 3


def no_view(why: str) -> Callable[[], Any]:
    def refuse() -> Any:
        raise OutputError(why)

    return refuse


def test_auto_opens_a_window_if_there_is_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    window, terminal = FakeView(), FakeView()
    monkeypatch.setattr(previewing, "_window", lambda: window)
    monkeypatch.setattr(previewing, "_terminal", lambda: terminal)
    assert open_view() == (window, "preview in a window")
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 5 10.0.0.2 22")
    view, why = open_view("auto")
    assert view is terminal and "over SSH" in why
    assert open_view("window")[0] is window


def test_auto_uses_the_terminal_without_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    terminal = FakeView()
    monkeypatch.setattr(previewing, "_window", no_view("there is no display"))
    monkeypatch.setattr(previewing, "_terminal", lambda: terminal)
    view, why = open_view()
    assert view is terminal and why == "preview in this terminal, not in a window: there is no display"
    monkeypatch.setattr(previewing, "_terminal", no_view("standard error is not a terminal"))
    with pytest.raises(
        OutputError, match="standard error is not a terminal; no window either: there is no display"
    ):
        open_view()
    with pytest.raises(OutputError, match="there is no display; use --preview terminal"):
        open_view("window")


def test_an_unknown_place_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown preview 'hologram': use one of auto, window, terminal"):
        open_view("hologram")


def test_only_models_with_weights_are_listed() -> None:
    here = previewing.models_here()
    assert "late-fusion-live" in here
    for name in registry.names("models"):
        assert (name in here) == any(file.path.is_file() for file in weights.find_card(name).files)
