"""Profiles: options of a command in a TOML file, with the same names as on the command line.

::

    # meeting.toml:  livematte live --profile meeting.toml
    camera = "HD Webcam"
    background = "office.jpg"     # relative to the folder of this file
    on-demand = true              # on_demand is also accepted

    [virtualcam]                  # or [sink-option.virtualcam], or sink-option = ["virtualcam.device=…"]
    device = "/dev/video10"

Values have the same meaning as on the command line: ``delay`` is in milliseconds. A relative path is relative
to the folder of the profile; ``~`` is the home folder. Options on the command line override the profile.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from livematte import registry
from livematte.errors import InputError, UsageError
from livematte.kernels.color.css import parse_color
from livematte.options import LiveOptions
from livematte.options.commands import COMMANDS, PROFILES
from livematte.options.declaration import Declared, declared, keywords, pick
from livematte.text_files import read_toml

_LIMIT = 10**18
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def resolve_path(path: str, folder: Path) -> str:
    """Return ``path`` joined to ``folder``, or unchanged if it is absolute or a URL (``rtsp://…``)."""
    if not path or _ADDRESS.match(path):
        return path
    closing = "/" if path.endswith(("/", os.sep)) else ""  # marks a folder
    with suppress(RuntimeError):  # unknown home folder
        return f"{folder / Path(path).expanduser()}{closing}"
    return f"{folder / path}{closing}"


def resolve_background_path(spec: str, folder: Path) -> str:
    """Resolve a background path; a colour, ``blur``, ``blur:N`` and ``transparent`` stay unchanged."""
    word = spec.strip().lower().partition(":")[0]
    is_keyword = parse_color(spec.strip()) is not None or word in ("blur", "transparent")
    return spec if is_keyword else resolve_path(spec, folder)


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("text in quotes, without the character NUL")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _LIMIT:
        raise ValueError("a whole number of at most 18 digits")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_LIMIT < value < _LIMIT:
        raise ValueError("a number of at most 18 digits")
    return value


def _texts(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) and "\0" not in each for each in listed):
        raise ValueError('text in quotes, or several: ["…", "…"]')
    return listed


def _tables(value: Any) -> list[str]:
    if not isinstance(value, dict):
        return _texts(value)
    if not all(isinstance(own, dict) for own in value.values()):
        raise ValueError("a table for each sink, such as [sink-option.virtualcam]")
    return [
        _text(f"{name}.{option}={_plain(it)}") for name, own in value.items() for option, it in own.items()
    ]


def _plain(value: Any) -> str:
    if isinstance(value, dict):  # options of an option, such as a background for each scene
        return json.dumps(_texts_within(value), ensure_ascii=False)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(_number(value))
    plain = _text(value) if isinstance(value, str) else str(value)
    return plain.lower() if isinstance(value, bool) else plain


def _texts_within(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _texts_within(own) for key, own in value.items()}
    return _plain(value)


_READERS: Mapping[Any, Callable[[Any], Any]] = {
    bool: _flag, int: _whole, float: _number, str: _text, Path: _text, list[str]: _texts,
}  # fmt: skip
"""Reader for each type on the command line. The text of its ValueError is the expected kind of value."""

_ROOTS: Mapping[str, Callable[[str, Path], str]] = {
    "file": resolve_path,
    "address": resolve_path,
    "background": resolve_background_path,
}


def read_value(option: Declared, value: Any, folder: Path) -> Any:
    """Convert a TOML value to a command-line value; relative paths are relative to ``folder``.

    Raises:
        ValueError: a value of a wrong type; the text is the expected type.
    """
    kind, form = option.command_type, option.option.form
    plain = next((each for each in (get_args(kind) or (kind,)) if each is not NoneType), str)
    several = kind == list[str] or list[str] in get_args(kind)
    if option.option.bare is not None and isinstance(value, bool):
        return option.option.bare if value else None
    if form is not None and form.tables:
        return _tables(value)
    if form is not None and form.numbers and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if several and option.option.path and isinstance(value, str):
        value = value.split(",")
    read = _READERS[list[str] if several else plain](value)
    root = _ROOTS.get(option.option.path)
    if root is None:
        return read
    return [root(each.strip(), folder) for each in read] if several else root(read, folder)


def known_options(command: str) -> dict[str, Declared]:
    """Return the options that a profile of a command may contain, by their names in the profile."""
    return {each.command_name: each for each in declared(COMMANDS[command]) if each.option.command}


def read_profile(path: str | os.PathLike[str], command: str) -> dict[str, Any]:
    """Read and check a profile; return its options by name, with ``_`` for ``-``.

    Args:
        command: one of :data:`livematte.options.commands.PROFILES`.

    Raises:
        InputError: the file cannot be read or is not valid TOML.
        UsageError: an option is unknown, given twice, or has a value of a wrong type.
    """
    path = Path(path)
    known, options = known_options(command), dict[str, Any]()
    given = _sink_tables(path, read_toml(path, "profile", InputError), known)
    folder = path.absolute().parent
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(f"profile {path}: {_unknown(key, name, command)}")
        if name in options:
            raise UsageError(f"profile {path}: {key!r} is given twice, with - and with _: remove one")
        try:
            options[name] = read_value(known[name], value, folder)
        except ValueError as error:
            raise UsageError(f"profile {path}: {key} = {_shown(value)} is invalid: use {error}") from None
    return options


def _sink_tables(path: Path, given: Mapping[str, Any], known: Mapping[str, Declared]) -> dict[str, Any]:
    """Move tables with the name of a sink, ``[NAME]``, to ``[sink-option.NAME]``."""
    tables = {key: value for key, value in given.items() if isinstance(value, dict) and key not in known}
    if "sink_option" not in known or not tables:
        return dict(given)
    sinks = {key: value for key, value in tables.items() if key in registry.names("sinks")}
    rest = {key: value for key, value in given.items() if key not in sinks}
    if not sinks:
        return rest
    present = rest.setdefault("sink-option", rest.pop("sink_option", {}))
    if not isinstance(present, dict) or (twice := sinks.keys() & present.keys()):
        name = min(sinks if not isinstance(present, dict) else twice)
        raise UsageError(f"profile {path}: [{name}] and sink-option are both given: use one of them")
    rest["sink-option"] = {**present, **sinks}
    return rest


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number"
    return text if len(text) <= 200 else f"{text[:200]}…"


def _unknown(key: str, name: str, command: str) -> str:
    known = [each.replace("_", "-") for each in sorted(known_options(command))]
    others = [other for other in PROFILES if name in known_options(other)]
    if others:
        return f"{key!r} is an option of livematte {others[0]}, not of livematte {command}"
    close = get_close_matches(name.replace("_", "-"), known, 1)
    if close:
        return f"unknown option {key!r}: did you mean {close[0]!r}?"
    return f"unknown option {key!r}: known are {', '.join(known)}"


def live_options(path: str | os.PathLike[str]) -> LiveOptions:
    """Return a profile as keyword arguments: ``livematte.live(**live_options("meeting.toml"))``.

    Options that only the command has (``name``, ``seconds``, ``stats`` …) are omitted.

    Raises:
        InputError, UsageError: as :func:`read_profile`.
    """
    return pick(LiveOptions, keywords(LiveOptions, read_profile(path, "live")))
