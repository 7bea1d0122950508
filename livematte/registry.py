"""Find models and plug-ins by name: the only way from ``livematte`` to ``models/`` and ``plugins/``.

Groups are entry points: ``livematte.models`` (name → factory of :class:`~livematte.protocols.Model`),
``livematte.refiners`` (factory of :class:`~livematte.protocols.TrimapModel`) and ``livematte.sinks``.
Third-party packages register by declaring the same entry points.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from livematte.errors import ModelError, UsageError


def names(group: str) -> list[str]:
    """Return all names registered under ``livematte.<group>``, sorted."""
    return sorted({entry.name for entry in entry_points(group=f"livematte.{group}")})


def entry(group: str, name: str) -> EntryPoint:
    """Return the entry point called ``name``.

    Raises:
        UsageError: no entry point has that name; the message lists the known ones.
    """
    found = list(entry_points(group=f"livematte.{group}", name=name))
    if not found:
        known = names(group)
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"unknown {group[:-1]} {name!r}: {hint}known are {', '.join(known) or 'none'}")
    return found[0]


def load(group: str, name: str) -> Any:
    """Load and return the object that is registered as ``name``.

    Raises:
        UsageError: the name is unknown.
        ModelError: it is registered but cannot be imported.
    """
    try:
        return entry(group, name).load()
    except ImportError as error:
        raise ModelError(f"{name!r} is installed but cannot be loaded: {error}") from error
