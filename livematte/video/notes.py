"""Lines about what was repaired, changed or left out, each once."""

from __future__ import annotations


def add_note(notes: list[str], line: str) -> None:
    """Append a line unless it is already there."""
    if line not in notes:
        notes.append(line)


def replace_note(notes: list[str], old: str, new: str) -> None:
    """Put the line ``new`` in the place of ``old``, or at the end."""
    if old in notes:
        notes[notes.index(old)] = new
    else:
        add_note(notes, new)
