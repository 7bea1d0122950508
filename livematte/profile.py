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
from typing import Any

from livematte.errors import InputError, UsageError
from livematte.kernels.css import parse_color

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Reader = Callable[[Any, Path], Any]
"""Makes an option's value of a TOML value and the profile's folder; its ValueError says what is meant."""

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


def _text(value: Any, folder: Path) -> str:
    if not isinstance(value, str):
        raise ValueError("text in quotes")
    return value


def _path(value: Any, folder: Path) -> str:
    return rooted(_text(value, folder), folder)


def _background(value: Any, folder: Path) -> str:
    return rooted_background(_text(value, folder), folder)


def _backgrounds(value: Any, folder: Path) -> list[str]:
    listed = value.split(",") if isinstance(value, str) else _texts(value, folder)
    return [rooted_background(each.strip(), folder) for each in listed]


def _preview(value: Any, folder: Path) -> str | None:
    """``true`` is what ``--preview`` alone means."""
    if isinstance(value, bool):
        return "auto" if value else None
    return _text(value, folder)


def _flag(value: Any, folder: Path) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _whole(value: Any, folder: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number")
    return value


def _number(value: Any, folder: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a number")
    return value


def _texts(value: Any, folder: Path) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in listed):
        raise ValueError('text in quotes, or several: ["…", "…"]')
    return listed


def _sink_options(value: Any, folder: Path) -> list[str]:
    if not isinstance(value, dict):
        return _texts(value, folder)
    if not all(isinstance(own, dict) for own in value.values()):
        raise ValueError("a table for each output, like [sink-option.virtualcam]")
    return [f"{name}.{option}={_plain(it)}" for name, own in value.items() for option, it in own.items()]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_SHARED: dict[str, Reader] = {
    "background": _background,
    "fit": _text,
    "model": _text,
    "weights": _path,
    "size": _whole,
    "temporal": _text,
    "keep_islands": _flag,
    "refine": _text,
    "refine_weights": _path,
    "refine_size": _whole,
    "refine_budget": _number,
    "foreground": _flag,
    "device": _text,
    "runtime": _text,
    "precision": _text,
    "threads": _whole,
    "json": _flag,
    "quiet": _flag,
}

OPTIONS: Mapping[str, Mapping[str, Reader]] = {
    "live": {
        **_SHARED,
        "camera": _text,
        "input": _path,
        "pixel_format": _text,
        "mirror": _flag,
        "to": _texts,
        "sink_option": _sink_options,
        "resolution": _text,
        "rate": _number,
        "placeholder": _background,
        "on_demand": _flag,
        "delay": _number,
        "lag_ok": _flag,
        "govern": _flag,
        "seconds": _number,
        "name": _text,
        "preview": _preview,
        "preview_backgrounds": _backgrounds,
        "stats": _flag,
    },
    "render": {
        **_SHARED,
        "hwaccel": _text,
        "refine_tta": _flag,
        "alpha_out": _path,
        "foreground_out": _path,
        "debug_view": _path,
        "overwrite": _flag,
        "codec": _text,
        "crf": _whole,
        "preset": _text,
        "start": _number,
        "end": _number,
    },
}
"""What a profile may hold, by command."""


def read_profile(path: str | os.PathLike[str], command: str) -> dict[str, Any]:
    """The options of a profile, checked, under their names with ``_`` for ``-``.

    Args:
        command: a key of :data:`OPTIONS`.

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
    known, options = OPTIONS[command], dict[str, Any]()
    folder = path.absolute().parent
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(f"profile {path}: {_unknown(key, name, command)}")
        if name in options:
            raise UsageError(f"profile {path}: {key!r} is there twice, with - and with _")
        try:
            options[name] = known[name](value, folder)
        except ValueError as error:
            raise UsageError(f"profile {path}: {key} = {value!r}: give {error}") from None
    return options


def _unknown(key: str, name: str, command: str) -> str:
    known = [each.replace("_", "-") for each in sorted(OPTIONS[command])]
    others = [other for other, theirs in OPTIONS.items() if name in theirs]
    if others:
        return f"{key!r} is an option of livematte {others[0]}, not of livematte {command}"
    close = get_close_matches(name.replace("_", "-"), known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown option {key!r}: {hint}known are {', '.join(known)}"


def live_options(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A profile as keyword arguments: ``livematte.live(**live_options("meeting.toml"))``.

    What only the command does (``name``, ``seconds``, ``stats`` …) is left out.

    Raises:
        InputError, UsageError: as :func:`read_profile`.
    """
    options = read_profile(path, "live")
    for name in ("json", "name", "preview", "preview_backgrounds", "quiet", "seconds", "stats"):
        options.pop(name, None)
    if "delay" in options:
        options["delay"] /= 1000
    if "resolution" in options:
        options["width"], options["height"] = size_of(options.pop("resolution"))
    if "sink_option" in options:
        options["sink_options"] = sink_options_of(options.pop("sink_option"))
    return options


def size_of(text: str) -> tuple[int, int]:
    """``1280x720`` as (width, height). Raises UsageError."""
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise UsageError(f"resolution {text!r}: give width and height, like 1280x720")
    return int(width), int(height)


def sink_options_of(given: list[str]) -> dict[str, dict[str, str]]:
    """``NAME.OPTION=VALUE`` each, as options by name, with ``_`` for ``-``. Raises UsageError."""
    parsed: dict[str, dict[str, str]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        name, dot, option = key.partition(".")
        if not (equals and dot and name and option):
            raise UsageError(f"sink-option {text!r}: give NAME.OPTION=VALUE")
        parsed.setdefault(name, {})[option.replace("-", "_")] = value
    return parsed
