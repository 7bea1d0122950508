"""Output of the commands: errors, notes, results, and progress as a bar, as plain lines or as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from livematte.printable import error_line, one_line, printable
from livematte.sudden_end import before_sudden_end

if TYPE_CHECKING:
    from rich.text import Text

    from livematte.progress import Progress

PLAIN_SECONDS = 5.0
"""Interval between two progress lines if the output is not a terminal, in seconds."""

MAX_FILES = 12
"""Number of files whose progress is shown, the longest ones."""

_state = {"json": False, "quiet": False}
_began: list[float] = []


def configure(*, as_json: bool, quiet: bool) -> None:
    """Set the output mode of this process.

    Args:
        as_json: print events as JSON instead of text.
        quiet: print neither results nor notes.
    """
    _state.update(json=as_json, quiet=quiet)


def set_command_began(when: float) -> None:
    """Register when the process began its one command: seconds of ``time.monotonic``."""
    _began.append(when)


def command_began() -> float | None:
    """Return when the process began its command; None where it runs several."""
    return _began[0] if _began else None


def is_json() -> bool:
    """Return True if the output is JSON."""
    return _state["json"]


def for_people() -> bool:
    """True where results are printed as text."""
    return not (_state["json"] or _state["quiet"])


def can_ask() -> bool:
    """True if there is somebody to answer a question: text in and out of a terminal."""
    return for_people() and all(each is not None and each.isatty() for each in (sys.stdin, sys.stderr))


def cell(text: str, style: str = "") -> Text:
    """Return ``text`` for rich, without markup. Line breaks are its only control characters."""
    from rich.text import Text

    return Text(printable(text, keep="\n"), style=style)


def error(message: str, *, kind: str = "UsageError", notes: Iterable[str] = ()) -> None:
    """Print an error and its notes on stderr, one line each; with ``--json`` also an event."""
    notes = list(notes)
    if _state["json"]:
        event("error", kind=kind, message=message, notes=notes)
    print(f"livematte: error: {error_line(message)}", file=sys.stderr)
    for note in notes:
        print(f"livematte: note: {one_line(note)}", file=sys.stderr)


def note(message: str) -> None:
    """Print a note, which is not an error, on stderr."""
    if for_people():
        print(f"livematte: note: {one_line(message)}", file=sys.stderr)


def say(message: str = "") -> None:
    """Print a line of the result on stdout."""
    if for_people():
        print(printable(message))


def event(name: str, /, **facts: Any) -> None:
    """Print an event on stdout: one JSON object on one line."""
    print(json.dumps({"event": name, **jsonable(facts)}), flush=True)


def event_if_json(name: str, /, **facts: Any) -> None:
    """Print an event if the output is JSON."""
    if _state["json"]:
        event(name, **facts)


def jsonable(value: Any) -> Any:
    """Convert ``value`` to types that JSON supports: fractions and paths to text, tuples to lists."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if isinstance(value, (Fraction, Path)):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    return str(value)


def duration(seconds: float) -> str:
    """Format seconds as a clock: ``75.2`` becomes ``1:15``."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display(Protocol):
    """Shows the progress of a job."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, progress: Progress) -> None:
        """Show ``progress``."""
        ...


class _Silent:
    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, progress: Progress) -> None:
        pass


class _Events(_Silent):
    def __call__(self, progress: Progress) -> None:
        files = {"files": progress.files} if progress.files else {}
        facts = {"done": progress.done, "total": progress.total, "fps": progress.fps, "eta": progress.eta}
        event("progress", **facts, **files)


class _Lines(_Silent):
    """Prints a line every :data:`PLAIN_SECONDS`, for log files."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._last_line = ""

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        finished = progress.total is not None and progress.done >= progress.total
        if now - self._last < PLAIN_SECONDS and not finished:
            return
        self._last = now
        total = f"/{progress.total}" if progress.total is not None else ""
        left = f", {duration(progress.eta)} left" if progress.eta is not None and not finished else ""
        line = f"frame {progress.done}{total}, {progress.fps:.1f} fps{left}"
        if line != self._last_line:
            print(line, file=sys.stderr, flush=True)
        self._last_line = line


def _restore_line() -> None:
    """Erase the bar and show the cursor. Not with rich, which could wait for a lock."""
    os.write(sys.stderr.fileno(), b"\r\x1b[2K\x1b[?25h")


class _Bar:
    """Shows a progress bar in a terminal."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}", style="cyan"),
            console=Console(stderr=True),
            expand=True,
            transient=True,
        )
        self._task = self._bar.add_task(printable(title), total=None, rate="starting", left="")
        self._files: dict[str, Any] = {}

    def __enter__(self) -> Display:
        self._forget = before_sudden_end(_restore_line)
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        self._forget()

    def __call__(self, progress: Progress) -> None:
        total = None if progress.total is None else max(progress.total, progress.done)
        left = f"{duration(progress.eta)} left" if progress.eta is not None else ""
        self._bar.update(
            self._task, completed=progress.done, total=total, rate=f"{progress.fps:.1f} fps", left=left
        )
        shown = {each.name: each for each in progress.files[:MAX_FILES]}
        for name in self._files.keys() - shown.keys():
            self._bar.remove_task(self._files.pop(name))
        for name, each in shown.items():
            if name not in self._files:
                self._files[name] = self._bar.add_task(f"  {printable(name)}", total=None, rate="", left="")
            self._bar.update(self._files[name], completed=each.done, total=each.total)


def display(title: str) -> Display:
    """Return the display for the output mode: events, nothing, a bar or plain lines."""
    if _state["json"]:
        return _Events()
    if _state["quiet"]:
        return _Silent()
    return _Bar(title) if sys.stderr.isatty() else _Lines()
