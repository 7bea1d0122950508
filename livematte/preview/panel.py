"""Hot keys that control a live session, and the lines of text below the picture of the preview."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from livematte.matting.backgrounds import STRONGEST_BLUR, WEAKEST_LIVE_BLUR, is_blur
from livematte.options import PathLike
from livematte.preview.picture import VIEWS
from livematte.protocols import Background, Model
from livematte.streaming.frames import PreviewFrame
from livematte.streaming.model_loader import Spawn, in_a_thread
from livematte.streaming.stats import LiveStats

Line = tuple[str, str]
"""A text and its tone: ``plain``, ``good``, ``alarm`` or ``dim``."""

BACKGROUNDS = ("blur", "green")
"""Default backgrounds of the key ``b``, after those of the session."""
_STEP = 1.25
"""Ratio of two successive blur strengths."""
_KEYS = (
    ("b", "next background"),
    ("+ -", "stronger or weaker blur"),
    ("m", "next model"),
    ("p", "pause or resume; viewers see the placeholder during a pause"),
    ("v", "show the composite, the matte or both"),
    ("h", "show or hide this help"),
    ("q", "end the session"),
)


class PreviewedSession(Protocol):
    """The part of :class:`livematte.streaming.session.Session` that the hot keys use."""

    background: PathLike | Background
    model: str | Model
    paused: bool

    @property
    def blur(self) -> float | None:
        """Strength of the blur; None if the background is not a blur."""
        ...

    @property
    def shown(self) -> PreviewFrame | None:
        """The frame that viewers see now."""
        ...

    def stats(self) -> LiveStats:
        """Return the statistics of the session."""
        ...

    def wait(self, seconds: float | None = None) -> bool:
        """Wait up to ``seconds`` (None: forever) for the end; return True if the session has ended."""
        ...


class Panel:
    """The hot keys and the lines of text of a preview.

    Slow changes run in a background thread, one at a time. A failed change shows its error and has no other
    effect. Pausing is immediate.

    Args:
        backgrounds: backgrounds that ``b`` selects in turn, in addition to that of the session; values as for
            ``session.background``.
        models: names of the models that ``m`` selects in turn.
        message: the first message.
        spawn: runs a change; tests run it synchronously.

    Attributes:
        view: one of :data:`livematte.preview.picture.VIEWS`.
        ended: True when the user has asked to end the session.
    """

    def __init__(
        self,
        session: PreviewedSession,
        backgrounds: Sequence[PathLike] = (),
        models: Sequence[str] = (),
        *,
        message: str = "",
        spawn: Spawn = in_a_thread,
    ) -> None:
        self.view, self.ended = VIEWS[0], False
        self._session, self._spawn = session, spawn
        self._backgrounds = Cycle(backgrounds)
        self._models = Cycle(models)
        self._help = False
        self._message: Line = (message, "plain")
        self._seen_notes: set[str] = set()
        self._busy = False

    def press(self, key: str) -> None:
        """Run the action of a key. Unknown keys are ignored."""
        actions: dict[str, Callable[[], None]] = {
            "b": self._next_background,
            "+": lambda: self._blur(_STEP),
            "=": lambda: self._blur(_STEP),
            "-": lambda: self._blur(1 / _STEP),
            "m": self._next_model,
            "p": self._pause,
            "v": self._next_view,
            "h": self._switch_help,
            "q": self._end,
        }
        if (action := actions.get(key)) is None:
            return
        self._message = ("", "plain")
        if key in "b+=-m" and self._busy:
            self._message = ("busy: one change at a time, the last one is still running", "plain")
        else:
            action()

    def _next_background(self) -> None:
        name = self._backgrounds.next_after(self._session.background)
        if name is None:
            self._message = ("there is no other background: add some with --preview-backgrounds", "plain")
        else:
            self._set_background(name)

    def _set_background(self, name: PathLike) -> None:
        def apply() -> None:
            self._session.background = name

        self._change(f"background {_display_name(name)}", apply)

    def _next_model(self) -> None:
        name = self._models.next_after(self._session.model)
        if name is None:
            self._message = ("there is no other model with installed weights", "plain")
            return

        def apply() -> None:
            self._session.model = os.fspath(name)

        self._change(f"model {name}", apply)

    def _blur(self, ratio: float) -> None:
        before = self._session.blur
        if before is None:  # a key for the strength must not change the kind: blur shows the room
            self._message = ("the background is not a blur: press b until it is", "plain")
            return
        self._set_background(f"blur:{min(max(round(before * ratio), WEAKEST_LIVE_BLUR), STRONGEST_BLUR):g}")

    def _pause(self) -> None:
        self._session.paused = not self._session.paused
        self._message = ("paused" if self._session.paused else "resumed", "plain")

    def _next_view(self) -> None:
        self.view = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]

    def _switch_help(self) -> None:
        self._help = not self._help

    def _end(self) -> None:
        self.ended = True

    def _change(self, what: str, apply: Callable[[], None]) -> None:
        self._busy, self._message = True, (f"{what} ...", "dim")

        def body() -> None:
            try:
                apply()
                self._message = (what, "good")
            except Exception as error:
                kind = "" if str(error) else type(error).__name__
                self._message = (f"{error}{kind}", "alarm")
            finally:
                self._busy = False

        self._spawn(body)

    def lines(self, stats: LiveStats) -> list[Line]:
        """Return the lines to show. Their number changes only when the help is shown or hidden."""
        for note in stats.notes:
            if note not in self._seen_notes:
                self._seen_notes.add(note)
                self._message = (note, "plain")  # not "alarm": some notes are only information
        if stats.showing == "picture":
            visible: Line = ("viewers see the live picture", "good")
        else:
            visible = (f"viewers see {stats.visible}", "alarm")
        size = f"{stats.size[1]}x{stats.size[0]}" if stats.size else "at its own size"
        pace = f"{stats.fps:.1f} fps, latency p50 {stats.latency_p50:.0f} p95 {stats.latency_p95:.0f} ms"
        model, background = _display_name(self._session.model), _display_name(self._session.background)
        work = f"{model} {size}, background {background}"
        lines: list[Line] = [
            visible,
            (f"{pace}, dropped {stats.dropped}, repeated {stats.repeats}", "plain"),
            (f"{work}, preview: {self.view}", "plain"),
            self._message,
        ]
        if self._help:
            lines += [(f"{key:<4} {what}", "plain") for key, what in _KEYS]
        else:
            lines.append(("b background, + - blur, m model, p pause, v view, h help, q quit", "dim"))
        return [("".join(c if c.isprintable() else " " for c in text), tone) for text, tone in lines]


class Cycle:
    """Returns names in turn.

    Skips a name that failed. Adds a name that was set in another way, such as by ``livematte ctl``. Keeps the
    changed strength of a blur.
    """

    def __init__(self, names: Sequence[PathLike]) -> None:
        self._names = list(dict.fromkeys(names))
        self._tried = -1
        self._present: object = None

    def next_after(self, present: object) -> PathLike | None:
        """Return the name after ``present``, the current value; None if there is no other name."""
        if present != self._present:
            self._present = present
            self._find(present)
        for _ in self._names:
            self._tried = (self._tried + 1) % len(self._names)
            if self._names[self._tried] != present:
                return self._names[self._tried]
        return None

    def _find(self, present: object) -> None:
        if not isinstance(present, (str, os.PathLike)):
            return  # an object is closed when it is replaced, so it cannot be selected again
        if present in self._names:
            self._tried = self._names.index(present)
        elif self._tried >= 0 and is_blur(present) and is_blur(self._names[self._tried]):
            self._names[self._tried] = present
        else:
            self._tried += 1
            self._names.insert(self._tried, present)


def _display_name(thing: PathLike | Background | Model) -> str:
    """Return the name to show for a background or model: a file without its folder, or the type."""
    return Path(thing).name if isinstance(thing, (str, os.PathLike)) else type(thing).__name__
