"""The preview: what is drawn, what hot keys do, and that it holds up nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livematte import registry, weights
from livematte.backgrounds import Color
from livematte.errors import InputError, OutputError, UsageError
from livematte.frame import Array, ColorInfo, Frame
from livematte.kernels import cpu
from livematte.preview import preview as previewing
from livematte.preview.panel import Cycle, Line, Panel
from livematte.preview.picture import fitted, picture_of
from livematte.preview.preview import Preview, open_view
from livematte.streaming.handed import Shown
from livematte.streaming.stats import LiveMeter, LiveStats
from tests.clocks import FakeClock


def shown(rgb: Array, alpha: Array | None = None) -> Shown:
    """A frame of that RGB picture, as a sink gets it."""
    color = ColorInfo("bt709")
    return Shown(
        Frame(cpu.planes_from_rgb(rgb, "yuv420p", color), "yuv420p", 0, Fraction(1, 30), 1, color), alpha
    )


RED_LEFT = np.zeros((8, 16, 3), np.uint8)
RED_LEFT[:, :8] = 200, 30, 30
RED_LEFT[:, 8:] = 30, 30, 200
LEFT = np.zeros((8, 16), np.float32)
LEFT[:, :8] = 1


@pytest.mark.parametrize(
    ("size", "room", "fits"),
    [
        ((720, 1280), (480, 640), (360, 640)),
        ((720, 1280), (54, 96), (54, 96)),
        ((1280, 720), (480, 640), (480, 270)),
        ((48, 64), (480, 640), (48, 64)),
        ((4, 4000), (10, 100), (1, 100)),
    ],
)
def test_a_picture_keeps_its_shape(size: Any, room: Any, fits: Any) -> None:
    assert fitted(size, room) == fits


def test_the_composite_is_what_viewers_see() -> None:
    picture = picture_of(shown(RED_LEFT, LEFT), "composite", (4, 8))
    assert picture.shape == (4, 8, 3)
    assert np.abs(picture[:, :4].astype(int) - (200, 30, 30)).max() <= 3
    assert np.abs(picture[:, 4:].astype(int) - (30, 30, 200)).max() <= 3


def test_the_matte_is_white_for_people_and_black_with_the_placeholder() -> None:
    picture = picture_of(shown(RED_LEFT, LEFT / 2), "matte", (4, 8))
    assert (picture[:, :4] == 128).all() and (picture[:, 4:] == 0).all()
    assert not picture_of(shown(RED_LEFT), "matte", (4, 8)).any()


def test_both_is_side_by_side_or_one_below_the_other_whichever_is_larger() -> None:
    wide = picture_of(shown(RED_LEFT, LEFT), "both", (4, 16))
    assert wide.shape == (4, 16, 3) and (wide[:, 8:12] == 255).all() and (wide[:, 12:] == 0).all()
    tall = picture_of(shown(RED_LEFT, LEFT), "both", (16, 16))
    assert tall.shape == (16, 16, 3) and (tall[8:, :8] == 255).all() and (tall[8:, 8:] == 0).all()


def test_what_is_transparent_lies_on_a_chequered_ground() -> None:
    opaque = shown(RED_LEFT).frame
    plane = np.zeros((8, 16), np.uint8)
    plane[:, :4] = 255
    clear = Shown(opaque.with_planes((*opaque.planes, plane), "yuva420p"), LEFT)
    picture = picture_of(clear, "composite", (8, 16))
    assert np.abs(picture[:, :4].astype(int) - (200, 30, 30)).max() <= 3
    assert (picture[:, 4:8] == 153).all() and (picture[:, 8:] == 102).all()
    matte = picture_of(clear, "matte", (8, 16))
    assert (matte[:, :4] == 255).all() and not matte[:, 4:].any(), "the alpha that is sent, not the network's"


class FakeSession:
    """Steered by hot keys; ``refuses`` is raised by the next change."""

    def __init__(self, background: Any = "beach.jpg", model: Any = "one") -> None:
        self.log: list[tuple[str, Any]] = []
        self._background, self._model = background, model
        self.paused = False
        self.refuses: BaseException | None = None
        self.shown: Shown | None = shown(RED_LEFT, LEFT)
        self.clock = FakeClock()
        self.facts: dict[str, Any] = {"showing": "starting"}
        self.waits: list[float | None] = []
        self.ends_after = 1000

    def _try(self) -> None:
        refusal, self.refuses = self.refuses, None
        if refusal is not None:
            raise refusal

    @property
    def background(self) -> Any:
        return self._background

    @background.setter
    def background(self, spec: Any) -> None:
        self.log.append(("background", spec))
        self._try()
        self._background = spec

    @property
    def model(self) -> Any:
        return self._model

    @model.setter
    def model(self, name: Any) -> None:
        self.log.append(("model", name))
        self._try()
        self._model = name

    @property
    def blur(self) -> float | None:
        word, _, number = str(self._background).partition(":")
        return float(number or 20) if word == "blur" else None

    def stats(self) -> LiveStats:
        fresh = LiveMeter(self.clock).stats(
            late=0, skipped=0, level=0, steps=0, size=(160, 288), watched=None, sink_notes=[]
        )
        return replace(fresh, **self.facts)

    def wait(self, seconds: float | None = None) -> bool:
        self.waits.append(seconds)
        self.clock.advance(seconds or 0)
        return len(self.waits) > self.ends_after


def at_once(body: Callable[[], None]) -> None:
    body()


def panel_of(session: FakeSession, **options: Any) -> Panel:
    return Panel(session, **{"backgrounds": ["beach.jpg", "blur", "green"], "spawn": at_once, **options})


def message(panel: Panel, session: FakeSession) -> Line:
    return panel.lines(session.stats())[3]


def test_b_goes_through_the_backgrounds() -> None:
    session = FakeSession()
    panel = panel_of(session)
    for _ in range(4):
        panel.press("b")
    assert [spec for _, spec in session.log] == ["blur", "green", "beach.jpg", "blur"]
    assert message(panel, session) == ("background blur", "good")


def test_a_background_that_fails_is_told_changes_nothing_and_is_passed_by_the_next_time() -> None:
    session = FakeSession()
    panel = panel_of(session, backgrounds=["beach.jpg", "gone.jpg", "green"])
    session.refuses = UsageError("background 'gone.jpg': no such file")
    panel.press("b")
    assert message(panel, session) == ("background 'gone.jpg': no such file", "alarm")
    assert (session.background, session.model, session.paused) == ("beach.jpg", "one", False)
    panel.press("b")
    assert session.background == "green"


def test_what_was_used_comes_again_and_a_blur_keeps_its_strength() -> None:
    session = FakeSession()
    panel = panel_of(session, backgrounds=["beach.jpg", "blur", "green"])
    session.background = "red"  # livematte ctl may do that
    panel.press("b")
    assert session.background == "beach.jpg", "red joined before the first one that b would give"
    panel.press("b")
    panel.press("+")
    assert session.background == "blur:25"
    for _ in range(4):
        panel.press("b")
    assert [spec for _, spec in session.log[-4:]] == ["green", "red", "beach.jpg", "blur:25"]


def test_an_object_as_background_is_left_but_cannot_come_again() -> None:
    cycle = Cycle(["blur", "green"])
    assert [cycle.after(Color((0, 0, 0))), cycle.after("blur"), cycle.after("green")] == [
        "blur",
        "green",
        "blur",
    ]


def test_paths_are_names_too() -> None:
    cycle = Cycle([Path("a.jpg"), "blur"])
    assert cycle.after(Path("a.jpg")) == "blur" and cycle.after("blur") == Path("a.jpg")


def test_a_file_is_called_without_its_folder() -> None:
    session = FakeSession("pictures/beach.jpg")
    panel = panel_of(session, backgrounds=["pictures/sea.jpg"])
    panel.press("b")
    assert session.background == "pictures/sea.jpg"
    assert message(panel, session) == ("background sea.jpg", "good")


def test_without_another_background_that_is_said() -> None:
    session = FakeSession()
    panel = panel_of(session, backgrounds=["beach.jpg"])
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
    panel = panel_of(session)
    for key in keys:
        panel.press(key)
    assert session.blur == after


def test_plus_never_turns_the_blur_on() -> None:
    session = FakeSession("beach.jpg")
    panel = panel_of(session)
    panel.press("+")
    assert not session.log and "no blur" in message(panel, session)[0]


def test_m_goes_through_the_models_and_p_pauses() -> None:
    session = FakeSession()
    panel = panel_of(session, models=["one", "two"])
    panel.press("m")
    panel.press("p")
    assert session.model == "two" and session.paused
    panel.press("p")
    assert not session.paused


def test_while_a_change_is_made_another_is_refused_but_pausing_is_not() -> None:
    session, waiting = FakeSession(), list[Callable[[], None]]()
    panel = panel_of(session, models=["one", "two"], spawn=waiting.append)
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


def test_an_error_without_words_has_its_kind() -> None:
    session = FakeSession()
    panel = panel_of(session)
    session.refuses = MemoryError()
    panel.press("b")
    assert message(panel, session) == ("MemoryError", "alarm")


def test_lines_tell_what_viewers_see() -> None:
    session = FakeSession()
    panel = panel_of(session)
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
    assert lines[2] == ("one 288x160, background beach.jpg, here: composite", "plain")
    assert lines[3] == ("virtualcam is gone: [31m unplugged", "plain"), "no control sequences"
    panel.press("v")
    panel.press("h")
    longer = panel.lines(session.stats())
    assert "here: matte" in longer[2][0] and longer[3] == ("", "plain")
    assert len(longer) > len(lines) and ("q    end the session", "plain") in longer


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

    def room(self, lines: int) -> tuple[int, int]:
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


def preview_of(session: FakeSession, view: FakeView) -> Preview:
    return Preview(session, view, panel_of(session), session.clock)


def test_q_ends_the_session_and_a_closed_view_only_the_preview() -> None:
    session, view = FakeSession(), FakeView("q")
    assert preview_of(session, view).run() is True and view.closes == 1
    session, view = FakeSession(), FakeView()
    view.closed = True
    assert preview_of(session, view).run() is False and view.closes == 1


def test_no_more_pictures_a_second_than_the_view_wants() -> None:
    session, view = FakeSession(), FakeView()
    session.ends_after = 20
    assert preview_of(session, view).run() is True
    assert session.waits == [0.1] * 21 and len(view.drawn) == 20


def test_an_unchanged_picture_is_not_made_again() -> None:
    session, view = FakeSession(), FakeView()
    preview = preview_of(session, view)
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
    preview_of(session, view).step()
    assert view.drawn == [None] and view.lines[0][0] == ("viewers see the placeholder: starting", "alarm")


def test_figures_are_looked_at_four_times_a_second_and_after_a_key() -> None:
    session, view = FakeSession(), FakeView()
    preview = preview_of(session, view)
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


def test_a_view_that_breaks_ends_the_preview_only() -> None:
    session, view = FakeSession(), FakeView()
    view.breaks = OSError("the terminal is gone")
    preview = preview_of(session, view)
    assert preview.run() is False and view.closes == 1
    assert preview.trouble == "the preview broke: OSError: the terminal is gone"


def test_what_the_session_ended_with_is_raised_and_the_view_closed() -> None:
    class Ended(FakeSession):
        def wait(self, seconds: float | None = None) -> bool:
            raise InputError("the last output is gone")

    session, view = Ended(), FakeView()
    with pytest.raises(InputError, match="last output"):
        preview_of(session, view).run()
    assert view.closes == 1


def test_the_caller_may_end_it() -> None:
    session, view = FakeSession(), FakeView()
    assert preview_of(session, view).run(lambda: len(view.drawn) == 3) is True
    assert len(view.drawn) == 3


def no_view(why: str) -> Callable[[], Any]:
    def refuse() -> Any:
        raise OutputError(why)

    return refuse


def test_auto_takes_a_window_where_there_is_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    window, terminal = FakeView(), FakeView()
    monkeypatch.setattr(previewing, "_window", lambda: window)
    monkeypatch.setattr(previewing, "_terminal", lambda: terminal)
    assert open_view() == (window, "preview in a window: there is a display")
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 5 10.0.0.2 22")
    view, why = open_view("auto")
    assert view is terminal and "over SSH" in why
    assert open_view("window")[0] is window


def test_auto_takes_the_terminal_where_there_is_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    terminal = FakeView()
    monkeypatch.setattr(previewing, "_window", no_view("there is no display"))
    monkeypatch.setattr(previewing, "_terminal", lambda: terminal)
    view, why = open_view()
    assert view is terminal and why == "preview in this terminal, not in a window: there is no display"
    monkeypatch.setattr(previewing, "_terminal", no_view("standard error is no terminal"))
    with pytest.raises(
        OutputError, match="standard error is no terminal; no window either: there is no display"
    ):
        open_view()
    with pytest.raises(OutputError, match="there is no display; --preview terminal"):
        open_view("window")


def test_another_place_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown preview 'hologram': allowed are auto, window, terminal"):
        open_view("hologram")


def test_only_models_with_weights_are_gone_through() -> None:
    here = previewing.models_here()
    assert "late-fusion-live" in here
    for name in registry.names("models"):
        assert (name in here) == any(file.path.is_file() for file in weights.card_of(name).files)
