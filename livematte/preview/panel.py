"""What hot keys do to a live session, and what a preview says beside the picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from livematte.backgrounds import STRONGEST_BLUR, WEAKEST_LIVE_BLUR, is_blur
from livematte.jobs import PathLike
from livematte.preview.picture import VIEWS
from livematte.protocols import Background, Model
from livematte.streaming.handed import Shown
from livematte.streaming.making import Spawn, in_a_thread
from livematte.streaming.stats import LiveStats

Line = tuple[str, str]
"""A text and its tone: ``plain``, ``good``, ``alarm`` or ``dim``."""

BACKGROUNDS = ("blur", "green")
"""What follows the backgrounds that a session was begun with, where no others are given."""
_STEP = 1.25
"""Ratio of two strengths of the blur that follow one another."""
_KEYS = (
    ("b", "next background"),
    ("+ -", "stronger and weaker blur"),
    ("m", "next model"),
    ("p", "pause: viewers see the placeholder"),
    ("v", "composite, matte, both"),
    ("h", "these lines"),
    ("q", "end the session"),
)


class Steered(Protocol):
    """What hot keys need of :class:`livematte.streaming.session.Session`."""

    background: PathLike | Background
    model: str | Model
    paused: bool

    @property
    def blur(self) -> float | None:
        """Strength of the blur, None where the background is another."""
        ...

    @property
    def shown(self) -> Shown | None:
        """What viewers see now."""
        ...

    def stats(self) -> LiveStats:
        """How it does."""
        ...

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it ends, or that long; whether it has ended."""
        ...


class Panel:
    """Hot keys and lines of text of one preview.

    A change that takes long is made beside the preview, one at a time; one that fails says why and changes
    nothing. Pausing never waits for anything.

    Args:
        backgrounds: what ``b`` goes through besides what the session was given, each as for
            ``session.background``.
        models: names that ``m`` goes through.
        message: what to say at first.
        spawn: makes a change; tests make it at once.

    Attributes:
        view: one of :data:`livematte.preview.picture.VIEWS`.
        ended: whether the session is to end.
    """

    def __init__(
        self,
        session: Steered,
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
        self._told: set[str] = set()
        self._busy = False

    def press(self, key: str) -> None:
        """Do what a key means; others do nothing."""
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
            self._message = ("one change at a time: the last one is still being made", "plain")
        else:
            action()

    def _next_background(self) -> None:
        name = self._backgrounds.after(self._session.background)
        if name is None:
            self._message = ("there is no other background: --preview-backgrounds names some", "plain")
        else:
            self._set_background(name)

    def _set_background(self, name: PathLike) -> None:
        def make() -> None:
            self._session.background = name

        self._change(f"background {_word(name)}", make)

    def _next_model(self) -> None:
        name = self._models.after(self._session.model)
        if name is None:
            self._message = ("there is no other model with weights", "plain")
            return

        def make() -> None:
            self._session.model = os.fspath(name)

        self._change(f"model {name}", make)

    def _blur(self, ratio: float) -> None:
        before = self._session.blur
        if before is None:  # never by the way: it shows more than the present background
            self._message = ("the background is no blur: b until it is", "plain")
            return
        self._set_background(f"blur:{min(max(round(before * ratio), WEAKEST_LIVE_BLUR), STRONGEST_BLUR):g}")

    def _pause(self) -> None:
        self._session.paused = not self._session.paused
        self._message = ("paused" if self._session.paused else "going on", "plain")

    def _next_view(self) -> None:
        self.view = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]

    def _switch_help(self) -> None:
        self._help = not self._help

    def _end(self) -> None:
        self.ended = True

    def _change(self, what: str, make: Callable[[], None]) -> None:
        self._busy, self._message = True, (f"{what} ...", "dim")

        def body() -> None:
            try:
                make()
                self._message = (what, "good")
            except Exception as error:
                kind = "" if str(error) else type(error).__name__
                self._message = (f"{error}{kind}", "alarm")
            finally:
                self._busy = False

        self._spawn(body)

    def lines(self, stats: LiveStats) -> list[Line]:
        """What to say now, always as many lines unless help is switched on or off."""
        for note in stats.notes:
            if note not in self._told:
                self._told.add(note)
                self._message = (note, "plain")  # a camera's mode is one, too
        if stats.showing == "picture":
            seen: Line = ("viewers see the live picture", "good")
        else:
            seen = (f"viewers see the placeholder: {stats.showing}", "alarm")
        size = f"{stats.size[1]}x{stats.size[0]}" if stats.size else "of its own size"
        pace = f"{stats.fps:.1f} fps, latency p50 {stats.latency_p50:.0f} p95 {stats.latency_p95:.0f} ms"
        work = f"{_word(self._session.model)} {size}, background {_word(self._session.background)}"
        lines: list[Line] = [
            seen,
            (f"{pace}, dropped {stats.dropped}, repeated {stats.repeats}", "plain"),
            (f"{work}, here: {self.view}", "plain"),
            self._message,
        ]
        if self._help:
            lines += [(f"{key:<4} {what}", "plain") for key, what in _KEYS]
        else:
            lines.append(("b background, + - blur, m model, p pause, v view, h help, q quit", "dim"))
        return [("".join(c if c.isprintable() else " " for c in text), tone) for text, tone in lines]


class Cycle:
    """Names one after the other. One that failed is passed by the next time, another that was chosen
    elsewhere joins; a blur whose strength was changed keeps it.
    """

    def __init__(self, names: Sequence[PathLike]) -> None:
        self._names = list(dict.fromkeys(names))
        self._tried = -1
        self._present: object = None

    def after(self, present: object) -> PathLike | None:
        """The next name; None where there is no other. ``present`` is what works now."""
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
            return  # an object: once replaced it is closed, and cannot come again
        if present in self._names:
            self._tried = self._names.index(present)
        elif self._tried >= 0 and is_blur(present) and is_blur(self._names[self._tried]):
            self._names[self._tried] = present
        else:
            self._tried += 1
            self._names.insert(self._tried, present)


def _word(thing: PathLike | Background | Model) -> str:
    """What a background or model is called; a file without its folder."""
    return Path(thing).name if isinstance(thing, (str, os.PathLike)) else type(thing).__name__
