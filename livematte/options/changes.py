"""Options that can be changed while a live session runs, and the conversion of their values.

``livematte ctl``, the panel and other programs give a value in its form on the command line, as text or as
JSON; attributes of :class:`livematte.streaming.session.Session` have the Python form.
"""

from __future__ import annotations

import os
from typing import Any, get_args

from livematte.errors import UsageError
from livematte.options.declaration import Declared, declared, keywords
from livematte.options.live import LiveOptions

CHANGES = {each.name: each for each in declared(LiveOptions) if each.option.change is not None}
"""Options that can be changed while a live session runs."""

DEFAULT = "default"
"""Text for an option without a value."""
_SWITCH = {"on": True, "true": True, "off": False, "false": False}


def read_change(name: str, value: object) -> Any:
    """Convert a value on the command line, as text or as JSON, to the value in Python.

    Raises:
        UsageError: a value of a wrong type, or out of range.
    """
    each = CHANGES[name]
    return keywords(LiveOptions, {each.command_name: _command_value(each, value)})[name]


def _command_value(each: Declared, value: object) -> Any:
    kind = each.command_type
    kinds = get_args(kind) or (kind,)
    word = value.strip().lower() if isinstance(value, str) else None
    change = each.option.change
    if change is not None and change.optional and (value is None or word == DEFAULT):
        return None
    if bool in kinds:
        if isinstance(value, bool):
            return value
        if word in _SWITCH:
            return _SWITCH[word]
        raise _invalid(each, value, "on or off")
    if int in kinds or float in kinds:
        number = _number(value, whole=float not in kinds)
        if number is None:
            raise _invalid(each, value, "a whole number" if float not in kinds else "a number")
        return number
    if list[str] in kinds and isinstance(value, (list, tuple)) and value:
        return [_text(each, item) for item in value]
    text = _text(each, value)
    return [text] if list[str] in kinds else text


def _number(value: object, *, whole: bool) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not abs(number) < 1e18 or (whole and not number.is_integer()):
        return None
    return int(number) if number.is_integer() else number


def _text(each: Declared, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise _invalid(each, value, "text")
    return value


def _invalid(each: Declared, value: object, allowed: str) -> UsageError:
    shown = repr(value)
    shown = shown if len(shown) <= 200 else f"{shown[:200]}…"
    return UsageError(f"{each.command_name.replace('_', ' ')} {shown} is invalid: use {allowed}")


def show_change(name: str, value: Any) -> Any:
    """Convert a value in Python to its form on the command line, as JSON; an object to its class name."""
    each = CHANGES[name]
    form = each.option.form
    if form is not None and form.show is not None:
        return form.show(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value) if isinstance(value, (str, os.PathLike)) else type(value).__name__
