"""The preview of a live session: the picture that viewers see, its matte, and hot keys.

It reads the last sent frame a few times per second and never delays the session. It never shows the
unprocessed picture of the camera.
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
from livematte.preview.panel import Line, Panel, PreviewedSession
from livematte.streaming.picture import preview_picture

PLACES = ("auto", "window", "terminal")
_STATS_SECONDS = 0.25
"""Interval between two updates of the statistics, in seconds."""


class View(Protocol):
    """Draws a preview and reads its keys. Only one thread calls it."""

    name: str
    fps: float
    """Maximum number of pictures per second."""
    closed: bool
    """True after the user closed it."""

    def max_picture_size(self, lines: int) -> tuple[int, int]:
        """Return the maximum (height, width) of the picture in pixels, with ``lines`` lines of text."""
        ...

    def keys(self) -> list[str]:
        """Return the keys pressed since the last call, in lower case. Never waits."""
        ...

    def show(self, picture: Array | None, lines: Sequence[Line]) -> None:
        """Draw a picture, (h, w, 3) uint8 RGB, and lines of text. An unchanged picture is the same object."""
        ...

    def close(self) -> None:
        """Close the view. May be called twice."""
        ...


def open_view(place: str = "auto") -> tuple[View, str]:
    """Open a view; return it with a line that names it and the reason for the choice.

    Args:
        place: ``window``, ``terminal`` or ``auto``: a window if there is a display and no SSH connection,
            else the terminal.

    Raises:
        UsageError: unknown place.
        OutputError: no view can be opened; the message has the reason.
    """
    if place not in PLACES:
        raise UsageError(f"unknown preview {place!r}: use one of {', '.join(PLACES)}")
    if place == "window":
        return _open_or_explain(_window, "preview in a window", "use --preview terminal")
    if place == "terminal":
        return _open_or_explain(_terminal, "preview in this terminal", "use --preview window")
    if os.environ.get("SSH_CONNECTION"):
        return _open_or_explain(
            _terminal,
            "preview in this terminal, because a window is slow over SSH (--preview window opens one)",
            "",
        )
    try:
        return _window(), "preview in a window"
    except OutputError as error:
        reason = str(error)
    return _open_or_explain(
        _terminal, f"preview in this terminal, not in a window: {reason}", f"no window either: {reason}"
    )


def _window() -> View:
    from livematte.preview.window import WindowView

    return WindowView()


def _terminal() -> View:
    from livematte.preview.terminal import TerminalView

    return TerminalView()


def _open_or_explain(open_one: Callable[[], View], line: str, hint: str) -> tuple[View, str]:
    try:
        return open_one(), line
    except OutputError as error:
        raise OutputError("; ".join(part for part in (f"no preview: {error}", hint) if part)) from error


def models_here() -> list[str]:
    """Return the sorted names of the models whose weights are installed."""
    from livematte.inference import weights

    found = []
    for name in registry.names("models"):
        with suppress(LivematteError):
            if any(file.path.is_file() for file in weights.find_card(name).files):
                found.append(name)
    return found


class Preview:
    """Shows a session in a view until one of them ends.

    Args:
        view: :meth:`run` closes it at its end.

    Attributes:
        trouble: the error that ended the preview, or an empty string.
    """

    def __init__(
        self, session: PreviewedSession, view: View, panel: Panel, clock: Clock | None = None
    ) -> None:
        self.trouble = ""
        self._session, self._view, self._panel = session, view, panel
        self._clock = clock or SystemClock()
        self._picture: Array | None = None
        self._picture_key: tuple[object, ...] = ()
        self._lines: list[Line] = []
        self._due = self._clock.now()

    def run(self, ended: Callable[[], bool] = lambda: False) -> bool:
        """Show the session until the preview or the session ends.

        Draws in the calling thread. A window requires the main thread.

        Args:
            ended: called before each picture; True ends the preview.

        Returns:
            True if the session must end too, False if only the preview was closed or failed.

        Raises:
            LivematteError: the session ended because no sink is left.
        """
        try:
            while not ended() and not self._session.wait(1 / self._view.fps):
                try:
                    self.step()
                except Exception as error:
                    self.trouble = f"the preview failed: {type(error).__name__}: {error}"
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
        """Process the keys and draw once."""
        keys = self._view.keys()
        for key in keys:
            self._panel.press(key)
        now = self._clock.now()
        if keys or now >= self._due:
            self._due = now + _STATS_SECONDS
            self._lines = self._panel.lines(self._session.stats())
        shown, size = self._session.shown, self._view.max_picture_size(len(self._lines))
        if shown is not None:
            picture_key = (shown.frame.planes[0], self._panel.view, size)
            if not _same(picture_key, self._picture_key):
                self._picture, self._picture_key = preview_picture(shown, self._panel.view, size), picture_key
        self._view.show(self._picture, self._lines)


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Return True if the first items are the same object and the other items are equal."""
    return bool(other) and one[0] is other[0] and one[1:] == other[1:]
