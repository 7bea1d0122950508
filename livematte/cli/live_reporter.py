"""Print the notes, statistics and events of a live session while it runs."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from livematte.cli import terminal

if TYPE_CHECKING:
    from livematte.streaming.session import Session
    from livematte.streaming.stats import LiveStats

LOOK = 0.25
"""Interval between two updates, in seconds."""
_NOTE_SECONDS = 10.0
"""Shortest time between two notes about the placeholder, in seconds: a slow machine changes often."""


class LiveReporter:
    """Reports changes of a session: as notes on standard error, and as events with ``--json``."""

    def __init__(self, session: Session, *, stats: bool, seconds: float | None) -> None:
        self._session, self._stats, self._seconds = session, stats, seconds
        self._seen_notes: set[str] = set()
        self._showing = ""
        self._held_notes: list[str] | None = None
        self._start = self._last_update = time.monotonic()
        self._due = self._start + 1
        self._placeholder_pending, self._next_note = False, self._start
        self._in_place = stats and sys.stderr.isatty() and not terminal.is_json()
        self._line_length = 0  # of the statistics line that is rewritten in place
        format = session.format
        terminal.event_if_json("start", width=format.width, height=format.height, rate=format.rate)

    @contextmanager
    def holding_back(self) -> Iterator[None]:
        """Delay notes while something else is drawn on the terminal."""
        held = self._held_notes = []
        try:
            yield
        finally:
            self._held_notes = None
            for line in held:
                terminal.note(line)

    def look(self) -> bool:
        """Report changes, at most a few times per second; return True when ``seconds`` have passed."""
        now = time.monotonic()
        if now - self._last_update < LOOK / 2:
            return False
        self._last_update = now
        state = self._session.stats()
        for note in state.notes:
            if note not in self._seen_notes:
                self._seen_notes.add(note)
                self._note(note)
                terminal.event_if_json("note", message=note)
        if state.showing != self._showing:
            self._showing, self._placeholder_pending = state.showing, state.showing != "picture"
            terminal.event_if_json("showing", showing=state.showing)
        if self._placeholder_pending and not self._in_place and now >= self._next_note:
            self._placeholder_pending = False
            if state.showing != "starting":  # "starting" is short; do not delay the note that follows it
                self._next_note = now + _NOTE_SECONDS
            self._note(f"viewers see {state.visible}")
        if self._stats and now >= self._due:
            self._due = now + 1
            terminal.event_if_json("stats", **vars(state))
            if not terminal.is_json() and self._held_notes is None:
                self._print_statistics(format_line(state))
        return self._seconds is not None and now - self._start >= self._seconds

    def wipe(self) -> None:
        """Erase the statistics line before other output."""
        if self._line_length:
            print(f"\r{'':{self._line_length}}\r", end="", file=sys.stderr, flush=True)
            self._line_length = 0

    def _print_statistics(self, line: str) -> None:
        if self._in_place:
            self.wipe()
            # A longer line would wrap and could not be erased.
            line = line[: shutil.get_terminal_size().columns - 1]
            self._line_length = len(line)
        print(line, end="" if self._in_place else "\n", file=sys.stderr, flush=True)

    def _note(self, line: str) -> None:
        if self._held_notes is None:
            self.wipe()
            terminal.note(line)
        else:
            self._held_notes.append(line)


def format_line(state: LiveStats) -> str:
    """Return the statistics of a session in one line."""
    size = f", network {state.size[1]}x{state.size[0]}" if state.size else ""
    busy = " ".join(f"{name} {p95:.0f}" for name, (_, p95) in state.stages.items())
    return (
        f"{state.fps:.1f} fps, latency p50 {state.latency_p50:.0f} p95 {state.latency_p95:.0f} ms, "
        f"dropped {state.dropped}, repeated {state.repeats}, placeholder {state.placeholders}{size}; "
        f"{busy} ms"
    )


def format_viewers(state: LiveStats) -> str:
    """Return what viewers see now, in one line."""
    if state.watched is False:
        return f"nobody watches: no program reads the output; a viewer would see {state.visible}"
    return f"viewers see {state.visible}"


def summary(state: LiveStats) -> str:
    """Return the final statistics of a session in one line."""
    first = "no picture" if state.first_good is None else f"first picture after {state.first_good:.1f} s"
    return (
        f"{state.sent} frames in {state.seconds:.1f} s: {first}, {state.repeats} repeats, "
        f"{state.placeholders} placeholders, {state.dropped} of {state.captured} camera frames dropped"
    )
