"""A profile: options of a command in a TOML file, under the names they have on the command line.

::

    # meeting.toml:  livematte live --profile meeting.toml
    camera = "HD Webcam"
    background = "office.jpg"     # beside this file, wherever the command is started
    on-demand = true              # on_demand, as in Python, is the same

    [sink-option.virtualcam]      # or sink-option = ["virtualcam.device=/dev/video10"]
    device = "/dev/video10"

Values mean what they mean on the command line: ``delay`` is in milliseconds. A relative path is one from the
profile's own folder; ``~`` is the home folder. What is said on the command line comes before the profile.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from livematte.errors import InputError, UsageError
from livematte.kernels.color.css import parse_color
from livematte.options import LiveOptions
from livematte.options.commands import COMMANDS, PROFILES
from livematte.options.declaration import Declared, declared, keywords, pick

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def rooted(path: str, folder: Path) -> str:
    """``path`` as seen from ``folder``, unless it is whole or an address (``rtsp://…``)."""
    if not path or _ADDRESS.match(path):
        return path
    closing = "/" if path.endswith(("/", os.sep)) else ""  # says that a folder is meant
    with suppress(RuntimeError):  # nobody's home
        return f"{folder / Path(path).expanduser()}{closing}"
    return f"{folder / path}{closing}"


def rooted_background(spec: str, folder: Path) -> str:
    """The same for a background, which may be a colour, ``blur``, ``blur:N`` or ``transparent`` instead."""
    word = spec.strip().lower().partition(":")[0]
    named = parse_color(spec.strip()) is not None or word in ("blur", "transparent")
    return spec if named else rooted(spec, folder)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text in quotes")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a number")
    return value


def _texts(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in listed):
        raise ValueError('text in quotes, or several: ["…", "…"]')
    return listed


def _tables(value: Any) -> list[str]:
    if not isinstance(value, dict):
        return _texts(value)
    if not all(isinstance(own, dict) for own in value.values()):
        raise ValueError("a table for each output, like [sink-option.virtualcam]")
    return [f"{name}.{option}={_plain(it)}" for name, own in value.items() for option, it in own.items()]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_READERS: Mapping[Any, Callable[[Any], Any]] = {
    bool: _flag, int: _whole, float: _number, str: _text, Path: _text, list[str]: _texts,
}  # fmt: skip
"""By type on the command line. Their ValueError says what is meant."""

_ROOTS: Mapping[str, Callable[[str, Path], str]] = {
    "file": rooted,
    "address": rooted,
    "background": rooted_background,
}


def read_value(option: Declared, value: Any, folder: Path) -> Any:
    """An option's value on the command line for a TOML value, its path beginning at ``folder``.

    Raises:
        ValueError: another kind of value; says which is meant.
    """
    kind, form = option.command_type, option.option.form
    plain = next((each for each in (get_args(kind) or (kind,)) if each is not NoneType), str)
    several = kind == list[str] or list[str] in get_args(kind)
    if option.option.bare is not None and isinstance(value, bool):
        return option.option.bare if value else None
    if form is not None and form.tables:
        return _tables(value)
    if several and option.option.path and isinstance(value, str):
        value = value.split(",")
    read = _READERS[list[str] if several else plain](value)
    root = _ROOTS.get(option.option.path)
    if root is None:
        return read
    return [root(each.strip(), folder) for each in read] if several else root(read, folder)


def known_options(command: str) -> dict[str, Declared]:
    """The options that a profile of a command may hold, under their names there."""
    return {each.command_name: each for each in declared(COMMANDS[command]) if each.option.command}


def read_profile(path: str | os.PathLike[str], command: str) -> dict[str, Any]:
    """The options of a profile, checked, under their names with ``_`` for ``-``.

    Args:
        command: one of :data:`livematte.options.commands.PROFILES`.

    Raises:
        InputError: it cannot be read or is no TOML.
        UsageError: it names an option that there is not, twice, or with a value of another kind.
    """
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"profile {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"profile {path} is no TOML: {error}") from error
    known, options = known_options(command), dict[str, Any]()
    folder = path.absolute().parent
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(f"profile {path}: {_unknown(key, name, command)}")
        if name in options:
            raise UsageError(f"profile {path}: {key!r} is there twice, with - and with _")
        try:
            options[name] = read_value(known[name], value, folder)
        except ValueError as error:
            raise UsageError(f"profile {path}: {key} = {value!r}: give {error}") from None
    return options


def _unknown(key: str, name: str, command: str) -> str:
    known = [each.replace("_", "-") for each in sorted(known_options(command))]
    others = [other for other in PROFILES if name in known_options(other)]
    if others:
        return f"{key!r} is an option of livematte {others[0]}, not of livematte {command}"
    close = get_close_matches(name.replace("_", "-"), known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown option {key!r}: {hint}known are {', '.join(known)}"


def live_options(path: str | os.PathLike[str]) -> LiveOptions:
    """A profile as keyword arguments: ``livematte.live(**live_options("meeting.toml"))``.

    What only the command does (``name``, ``seconds``, ``stats`` …) is left out.

    Raises:
        InputError, UsageError: as :func:`read_profile`.
    """
    return pick(LiveOptions, keywords(LiveOptions, read_profile(path, "live")))
