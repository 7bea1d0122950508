"""What a live session says while it runs: notes, figures, events."""

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
"""Seconds between two looks at what there is to tell."""
_AGAIN = 10.0
"""Seconds between two notes that viewers see the placeholder: a machine that is too slow goes to and fro."""


class Teller:
    """Says what changes in a session: as notes on standard error, and as events with ``--json``."""

    def __init__(self, session: Session, *, stats: bool, seconds: float | None) -> None:
        self._session, self._stats, self._seconds = session, stats, seconds
        self._told: set[str] = set()
        self._showing = ""
        self._held: list[str] | None = None
        self._began = self._looked = time.monotonic()
        self._due = self._began + 1
        self._untold, self._said_again = False, self._began
        self._rewritten = stats and sys.stderr.isatty() and not terminal.is_json()
        self._line = 0  # how long the line is that is written again and again
        format = session.format
        terminal.event_if_json("start", width=format.width, height=format.height, rate=format.rate)

    @contextmanager
    def holding_back(self) -> Iterator[None]:
        """Keep notes back while something else is on the terminal."""
        held = self._held = []
        try:
            yield
        finally:
            self._held = None
            for line in held:
                terminal.note(line)

    def look(self) -> bool:
        """Tell what is new, a few times a second however often it is called; whether the time is up."""
        now = time.monotonic()
        if now - self._looked < LOOK / 2:
            return False
        self._looked = now
        state = self._session.stats()
        for note in state.notes:
            if note not in self._told:
                self._told.add(note)
                self._note(note)
                terminal.event_if_json("note", message=note)
        if state.showing != self._showing:
            self._showing, self._untold = state.showing, state.showing != "picture"
            terminal.event_if_json("showing", showing=state.showing)
        if self._untold and not self._rewritten and now >= self._said_again:
            self._untold = False
            if state.showing != "starting":  # it does not last: what comes after it is of interest
                self._said_again = now + _AGAIN
            self._note(f"viewers see the placeholder: {state.showing}")
        if self._stats and now >= self._due:
            self._due = now + 1
            terminal.event_if_json("stats", **vars(state))
            if not terminal.is_json() and self._held is None:
                self._figures(line_of(state))
        return self._seconds is not None and now - self._began >= self._seconds

    def wipe(self) -> None:
        """Take away the line that is written again and again: something else is going to be said."""
        if self._line:
            print(f"\r{'':{self._line}}\r", end="", file=sys.stderr, flush=True)
            self._line = 0

    def _figures(self, line: str) -> None:
        if self._rewritten:
            self.wipe()
            line = line[: shutil.get_terminal_size().columns - 1]  # a longer one would be two, and stay
            self._line = len(line)
        print(line, end="" if self._rewritten else "\n", file=sys.stderr, flush=True)

    def _note(self, line: str) -> None:
        if self._held is None:
            self.wipe()
            terminal.note(line)
        else:
            self._held.append(line)


def line_of(state: LiveStats) -> str:
    """How it goes, in one line."""
    size = f", network {state.size[1]}x{state.size[0]}" if state.size else ""
    busy = " ".join(f"{name} {p95:.0f}" for name, (_, p95) in state.stages.items())
    return (
        f"{state.fps:.1f} fps, latency p50 {state.latency_p50:.0f} p95 {state.latency_p95:.0f} ms, "
        f"dropped {state.dropped}, repeated {state.repeats}, placeholder {state.placeholders}{size}; "
        f"{busy} ms"
    )


def summary(state: LiveStats) -> str:
    """What a session did."""
    first = "no picture" if state.first_good is None else f"first picture after {state.first_good:.1f} s"
    return (
        f"{state.sent} frames in {state.seconds:.1f} s: {first}, {state.repeats} repeats, "
        f"{state.placeholders} placeholders, {state.dropped} of {state.captured} camera frames dropped"
    )
