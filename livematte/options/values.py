"""Checks of values that a caller gives, before anything trusts them: paths, functions, events.

An object can raise anything from the smallest question about it (``hasattr``, ``repr``, ``os.fspath``).
Here it becomes one line.
"""

from __future__ import annotations

import errno
import math
import numbers
import os
from typing import Any

from livematte.errors import OptionError, UsageError
from livematte.printable import quoted


def short(value: object, limit: int = 60) -> str:
    """Return a value for an error message, in one line of at most ``limit`` characters.

    Of an array, a tensor or another object whose text is long, only the type and the shape.
    """
    name = f"of type {type(value).__name__[:limit]}"
    try:
        shape = getattr(value, "shape", ())
        if isinstance(shape, tuple) and shape:
            return f"{name} with shape {shape}"
        if isinstance(value, (str, bytes)) and len(value) > limit:
            return f"{quoted(value[: limit - 1])}…"
        text = quoted(value) if isinstance(value, str) else repr(value)
    except Exception:  # e.g. a number of thousands of digits
        return name
    return text if text and len(text) <= limit and "\n" not in text else name


def path_text(name: str, value: object) -> str:
    """Return a path as text.

    Args:
        name: what the path is, for the message: ``input``.

    Raises:
        OptionError: another type.
        UsageError: text that no path can be: empty, too long, with a null character, or not encodable.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise OptionError(f"{name} {short(value)} is invalid: use a path")
    try:
        text = os.fspath(value)
    except Exception as error:  # of the caller's own class
        raise OptionError(f"{name} {short(value)} is invalid: {type(error).__name__}: {error}") from error
    if not isinstance(text, str):
        raise OptionError(f"{name} {short(text)} is invalid: use a path as text, not as bytes")
    if not text:
        raise UsageError(f"{name} is empty: use a path")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise UsageError(f"{name} {short(text)} is invalid: no file name can have this text") from None
    if "\0" in text:
        raise UsageError(f"{name} {short(text)} is invalid: a path has no null character")
    if "://" not in text and _too_long(text):
        raise UsageError(f"{name} {short(text)} is invalid: the name is too long for the file system")
    return text


def _too_long(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def check_calls(*, progress: object = None, stop: object = None, **functions: object) -> None:
    """Check what a call is given to call back: functions, and ``stop``, a :class:`threading.Event`.

    Raises:
        OptionError: another type.
    """
    for name, function in {"progress": progress, **functions}.items():
        if function is not None and not callable(function):
            raise OptionError(f"{name} {short(function)} is invalid: use a function")
    if stop is not None and not has_member(stop, "is_set"):
        raise OptionError(f"stop {short(stop)} is invalid: use a threading.Event")


def check_bool(name: str, value: object) -> None:
    """Raise OptionError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} {short(value)} is invalid: use True or False")


def check_number(name: str, value: object) -> None:
    """Raise OptionError unless ``value`` is a finite number."""
    try:
        good = not isinstance(value, bool) and isinstance(value, numbers.Real) and math.isfinite(value)
    except OverflowError:
        good = False
    if not good:
        raise OptionError(f"{name} {short(value)} is invalid: use a number")


def has_member(value: object, name: str) -> bool:
    """Return True if ``value`` has an attribute, also if asking for it raises anything."""
    try:
        return hasattr(value, name)
    except Exception:
        return False


def is_like(value: object, protocol: Any) -> bool:
    """Return ``isinstance(value, protocol)``; False also if asking for it raises anything."""
    try:
        return isinstance(value, protocol)
    except Exception:
        return False
