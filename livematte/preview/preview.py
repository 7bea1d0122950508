"""A preview of a live session: what viewers see and its matte, in a window or a terminal, and hot keys.

It looks at what the sender sent last, a few times a second, and holds up nobody. The camera's own picture is
never shown.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from livematte import registry
from livematte.clock import Clock, SystemClock
from livematte.errors import LivematteError, OutputError, UsageError
from livematte.frame import Array
from livematte.preview.panel import Line, Panel, Steered
from livematte.preview.picture import picture_of

PLACES = ("auto", "window", "terminal")
_TELL = 0.25
"""Seconds between two looks at the figures."""


class View(Protocol):
    """Where a preview is drawn and where its keys come from. One thread calls it."""

    name: str
    fps: float
    """Most pictures a second."""
    closed: bool
    """Whether its user closed it."""

    def room(self, lines: int) -> tuple[int, int]:
        """Most (height, width) of a picture in pixels beside that many lines of text."""
        ...

    def keys(self) -> list[str]:
        """Keys pressed since the last call, small letters; never waits."""
        ...

    def show(self, picture: Array | None, lines: Sequence[Line]) -> None:
        """Draw a picture, (h, w, 3) uint8 RGB, the same object where it did not change, and lines of text."""
        ...

    def close(self) -> None:
        """Take it away. Safe twice."""
        ...


def open_view(place: str = "auto") -> tuple[View, str]:
    """A view, and a line that says which and why.

    Args:
        place: ``window``, ``terminal`` or ``auto``: a window where there is a display, a terminal otherwise
            and over SSH.

    Raises:
        UsageError: another place.
        OutputError: there is none; the line says why.
    """
    if place not in PLACES:
        raise UsageError(f"unknown preview {place!r}: allowed are {', '.join(PLACES)}")
    if place == "window":
        return _opened(_window, "preview in a window", "--preview terminal needs none")
    if place == "terminal":
        return _opened(_terminal, "preview in this terminal", "--preview window needs none")
    if os.environ.get("SSH_CONNECTION"):
        return _opened(
            _terminal, "preview in this terminal: over SSH a window would be slow (--preview window)", ""
        )
    try:
        return _window(), "preview in a window: there is a display"
    except OutputError as error:
        why = str(error)
    return _opened(_terminal, f"preview in this terminal, not in a window: {why}", f"no window either: {why}")


def _window() -> View:
    from livematte.preview.window import WindowView

    return WindowView()


def _terminal() -> View:
    from livematte.preview.terminal import TerminalView

    return TerminalView()


def _opened(make: Callable[[], View], line: str, otherwise: str) -> tuple[View, str]:
    try:
        return make(), line
    except OutputError as error:
        raise OutputError("; ".join(part for part in (f"no preview: {error}", otherwise) if part)) from error


def models_here() -> list[str]:
    """Models whose weights are installed, sorted."""
    from livematte import weights

    here = []
    for name in registry.names("models"):
        with suppress(LivematteError):
            if any(file.path.is_file() for file in weights.card_of(name).files):
                here.append(name)
    return here


class Preview:
    """Shows a session in a view until one of them ends.

    Args:
        view: closed at the end of :meth:`run`.

    Attributes:
        trouble: why the view broke, if it did.
    """

    def __init__(self, session: Steered, view: View, panel: Panel, clock: Clock | None = None) -> None:
        self.trouble = ""
        self._session, self._view, self._panel = session, view, panel
        self._clock = clock or SystemClock()
        self._picture: Array | None = None
        self._made_of: tuple[object, ...] = ()
        self._lines: list[Line] = []
        self._due = self._clock.now()

    def run(self, ended: Callable[[], bool] = lambda: False) -> bool:
        """Show until the end; whether the session is to end too, or only the preview was closed or broke.

        The thread that calls it draws; a window wants the main one.

        Args:
            ended: asked before each picture; True ends it.

        Raises:
            LivematteError: the session ended because no output is left.
        """
        try:
            while not ended() and not self._session.wait(1 / self._view.fps):
                try:
                    self.step()
                except Exception as error:
                    self.trouble = f"the preview broke: {type(error).__name__}: {error}"
                    return False
                if self._panel.ended:
                    return True
                if self._view.closed:
                    return False
            return True
        finally:
            with suppress(Exception):
                self._view.close()

    def step(self) -> None:
        """Do what keys ask for and draw once."""
        keys = self._view.keys()
        for key in keys:
            self._panel.press(key)
        now = self._clock.now()
        if keys or now >= self._due:
            self._due = now + _TELL
            self._lines = self._panel.lines(self._session.stats())
        shown, room = self._session.shown, self._view.room(len(self._lines))
        if shown is not None:
            made_of = (shown.frame.planes[0], self._panel.view, room)
            if not _same(made_of, self._made_of):
                self._picture, self._made_of = picture_of(shown, self._panel.view, room), made_of
        self._view.show(self._picture, self._lines)


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Whether the planes are the same object, and the rest is equal."""
    return bool(other) and one[0] is other[0] and one[1:] == other[1:]
