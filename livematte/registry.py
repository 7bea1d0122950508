"""Find models and plug-ins by name: the only way from ``livematte`` to ``models/`` and ``plugins/``.

Groups are entry points: ``livematte.models`` (name → factory of :class:`~livematte.protocols.Model`),
``livematte.refiners`` (factory of :class:`~livematte.protocols.TrimapModel`) and ``livematte.sinks``.
Third-party packages register by declaring the same entry points. A name of livematte's own stays its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Any

from livematte.errors import ModelError, UsageError

_OWN = "livematte"
_log = logging.getLogger(__name__)


def names(group: str) -> list[str]:
    """Return all names registered under ``livematte.<group>``, sorted."""
    return sorted({entry.name for entry in _entries(group)})


def entry(group: str, name: str) -> EntryPoint:
    """Return the entry point called ``name``.

    If several packages declare it, livematte's own counts, otherwise that of the first package by name; a
    warning names the other ones.

    Raises:
        UsageError: no entry point has that name; the message lists the known ones.
    """
    found = [each for each in _entries(group) if each.name == name]
    if not found:
        known = names(group)
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"unknown {group[:-1]} {name!r}: {hint}known are {', '.join(known) or 'none'}")
    if len(found) > 1:
        found.sort(key=lambda each: (_package(each) != _OWN, _package(each), each.value))
        for other in found[1:]:
            warn_once(
                f"{group[:-1]} {name!r} of the package {_package(other)} is not used: "
                f"{_package(found[0])} has one of that name; uninstall one of the packages to use the other"
            )
    return found[0]


def load(group: str, name: str) -> Any:
    """Load and return the object that is registered as ``name``.

    Raises:
        UsageError: the name is unknown.
        ModelError: it is registered but cannot be imported. Whatever ends the import is such an error, even
            ``SystemExit``; only Ctrl-C stays what it is.
    """
    found = entry(group, name)
    try:
        return found.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ModelError(f"{describe(found)} is installed but cannot be loaded: {reason(error)}") from error


def describe(found: EntryPoint) -> str:
    """The name of an entry point and, unless it is livematte's own, of the package that declares it."""
    package = _package(found)
    return repr(found.name) if package in ("", _OWN) else f"{found.name!r} of the package {package}"


def reason(error: BaseException) -> str:
    """Return the error that ended an import, in one line; an ImportError without its class name."""
    said = " ".join(str(error).split())
    if isinstance(error, ImportError) and said:
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


@lru_cache(maxsize=256)
def warn_once(line: str) -> None:
    """Log a warning, which is a line on stderr unless the program that uses livematte sends it elsewhere."""
    _log.warning("livematte: note: %s", line)


def _entries(group: str) -> Sequence[EntryPoint]:
    try:
        return tuple(entry_points(group=f"livematte.{group}"))
    except Exception:  # a package whose list of entry points is broken breaks it for all packages
        return _entries_of_each_package(f"livematte.{group}")


def _entries_of_each_package(group: str) -> Sequence[EntryPoint]:
    found: dict[str, list[EntryPoint]] = {}
    for each in distributions():
        name = _normalized(each)
        if name in found:  # a package that an earlier one on the path hides
            continue
        try:
            found[name] = [entry for entry in each.entry_points if entry.group == group]
        except Exception as error:
            found[name] = []
            warn_once(f"the entry points of the package {name} cannot be read: {reason(error)}; reinstall it")
    return [entry for entries in found.values() for entry in entries]


def _package(found: EntryPoint) -> str:
    return "" if found.dist is None else _normalized(found.dist)


def _normalized(package: Distribution) -> str:
    try:
        return re.sub(r"[-_.]+", "-", package.metadata["Name"] or "").lower()
    except Exception:  # its metadata is broken, too
        return "without a name"
