"""Finding models and plug-ins by name: the only way from ``livematte`` to ``models/`` and ``plugins/``.

Groups are entry points: ``livematte.models`` (name → a factory of :class:`~livematte.protocols.Model`),
``livematte.refiners`` (of :class:`~livematte.protocols.TrimapModel`) and ``livematte.sinks``. An installed
third package joins by declaring the same.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from livematte.errors import ModelError, UsageError


def names(group: str) -> list[str]:
    """All names registered under ``livematte.<group>``, sorted."""
    return sorted({entry.name for entry in entry_points(group=f"livematte.{group}")})


def entry(group: str, name: str) -> EntryPoint:
    """The entry point called ``name``.

    Raises:
        UsageError: nothing has that name; the message lists what does.
    """
    found = list(entry_points(group=f"livematte.{group}", name=name))
    if not found:
        known = names(group)
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"unknown {group[:-1]} {name!r}: {hint}known are {', '.join(known) or 'none'}")
    return found[0]


def load(group: str, name: str) -> Any:
    """The object behind ``name``.

    Raises:
        UsageError: unknown name.
        ModelError: it is registered but cannot be imported.
    """
    try:
        return entry(group, name).load()
    except ImportError as error:
        raise ModelError(f"{name!r} is installed but cannot be loaded: {error}") from error
