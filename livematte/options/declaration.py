"""The declaration of an option, and functions that read it: defaults, checks, command-line form.

:mod:`livematte.options` contains the declarations. The command line, profiles, Python keywords, workers and
the tables in ``docs/options.md`` are generated from the result of :func:`declared`.
"""

from __future__ import annotations

import collections.abc
import numbers
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from livematte.errors import OptionError, UsageError
from livematte.options.values import path_text, short

REQUIRED: Any = ...
"""Default of a required option."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Form:
    """Form of an option on the command line and in a profile, if it differs from the Python keyword.

    Attributes:
        read: converts a value that is not None to Python keywords. Raises UsageError.
        type: type of the value.
        default: default on the command line.
        name: name with ``_`` for ``-``; empty if it is the Python name.
        numbers: True if a profile may contain the text as a number.
        tables: True if a profile may contain the value as tables, such as ``[sink-option.virtualcam]``.
        show: converts the value of the Python keyword back, for an option that a live session can change.
    """

    read: Callable[[Any], Mapping[str, Any]]
    type: Any
    default: Any = None
    name: str = ""
    tables: bool = False
    numbers: bool = False
    show: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Change:
    """A command of ``livematte ctl`` that changes an option of a live session.

    Attributes:
        summary: summary of the command.
        help: help text of its argument.
        optional: True if the value may be None, ``default`` on the command line.
    """

    summary: str
    help: str
    optional: bool = False


@dataclass(frozen=True)
class Option:
    """Declaration of an option, without its name and type.

    Attributes:
        default: default in Python; :data:`REQUIRED` if there is none.
        help: one or two sentences with Rich markup.
        metavar: name of the value in help; empty shows none.
        panel: title of the panel on the help page.
        flags: spellings on the command line that replace ``--name`` (``--name/--no-name`` for a bool); a
            short flag, such as ``-b``, is added to ``--name``.
        examples: additional values that the shell suggests.
        names: groups of :mod:`livematte.registry` whose names the shell suggests.
        path: ``file``, ``address`` (a file or URL) or ``background``: a relative path in a profile is
            relative to the folder of the profile.
        least: minimum.
        between, above: range, in ``unit``.
        unit: unit after the range in an error message.
        bare: value if the option is given without a value.
        output: kind of picture that is written to this path.
        change: command that changes the option of a live session; None if it cannot be changed.
        form: form on the command line and in profiles, if it differs from the Python keyword.
        command: True if the command line has the option.
    """

    default: Any
    help: str
    metavar: str | None = None
    panel: str | None = None
    flags: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    path: str = ""
    least: float | None = None
    between: tuple[float, float] | None = None
    above: float | None = None
    unit: str = ""
    bare: str | None = None
    output: str = ""
    change: Change | None = None
    form: Form | None = None
    command: bool = True

    def with_changes(self, **changes: Any) -> Option:
        """Return a copy with another default or help, for one call."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Declared:
    """An option with its name and Python type. A ``Literal`` type lists all allowed values."""

    name: str
    type: Any
    option: Option

    @property
    def choices(self) -> tuple[str, ...]:
        """All allowed values, if the type is a ``Literal``."""
        literals = (each for each in _members(self.type) if get_origin(each) is Literal)
        return tuple(value for each in literals for value in get_args(each))

    @property
    def command_name(self) -> str:
        """Name on the command line and in profiles, with ``_`` for ``-``."""
        form = self.option.form
        return form.name if form is not None and form.name else self.name

    @property
    def flag(self) -> str:
        """Name as typed on the command line, such as ``--on-demand``."""
        return f"--{self.command_name.replace('_', '-')}"

    @property
    def command_type(self) -> Any:
        """Type on the command line: the member of the Python type that can be parsed from text."""
        if self.option.form is not None:
            return self.option.form.type
        members = self._plain_members()
        plain = next((kind for kind in (bool, float, int, str) if kind in members), None)
        if plain is None:
            return self.type
        kind: Any = Path if plain is str and self.option.path == "file" else plain
        return kind | None if NoneType in members else kind

    @property
    def command_default(self) -> Any:
        """Default on the command line."""
        return self.option.default if self.option.form is None else self.option.form.default

    @property
    def is_path(self) -> bool:
        """True if text is the path of a file, at least if it is nothing else, such as a colour."""
        return bool(self.option.path or self.option.output)

    def wrong_type(self, value: object) -> str:
        """Return the expected kind of value if ``value`` has a wrong type, else an empty text."""
        members = self._plain_members()
        if any(_fits(value, member) for member in members):
            return ""
        if self.choices:
            return _either(self.choices)
        words = [_WORDS[kind] for kind in (bool, int, float, str) if kind in members]
        return " or ".join(words) or getattr(members[0], "__name__", str(members[0]))

    def _plain_members(self) -> tuple[Any, ...]:
        """The members of the type, with text for a ``Literal``."""
        return tuple(str if get_origin(each) is Literal else each for each in _members(self.type))

    def check(self, value: Any) -> None:
        """Raise OptionError for a value of a wrong type, UsageError for one that is not allowed."""
        if expected := self.wrong_type(value):
            raise OptionError(f"{self.name} {short(value)} is invalid: use {expected}")
        if isinstance(value, int) and abs(value) >> 63:
            raise UsageError(f"{self.name} {short(value)} is invalid: use a smaller number")
        if value is not None:
            if self.is_path and isinstance(value, (str, os.PathLike)):
                path_text(self.name, value)
            self.check_allowed(value)

    def check_allowed(self, value: Any) -> None:
        """Raise UsageError for a number out of range, or text that is not one of the choices."""
        option, choices = self.option, self.choices
        if choices and value not in choices:
            close = get_close_matches(str(value), choices, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            name = self.name.replace("_", " ")
            raise UsageError(f"{name} {short(value)} is invalid: {hint}use {_either(choices)}")
        if option.least is not None and not value >= option.least:
            allowed = f"{option.least:g} or more"
        elif option.above is not None and not option.above < value < float("inf"):
            allowed = f"more than {option.above:g}"
        elif option.between is not None and not option.between[0] <= value <= option.between[1]:
            allowed = f"{option.between[0]:.9g} to {option.between[1]:.9g}"
        else:
            return
        shown = short(value) if isinstance(value, int) else f"{float(value):g}"
        unit = f" {option.unit}" if option.unit else ""
        raise UsageError(f"{self.name.replace('_', ' ')} {shown} is invalid: use {allowed}{unit}")


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


def _members(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union type, or the type itself."""
    origin = get_origin(kind)
    return get_args(kind) if origin is not None and "Union" in str(origin) else (kind,)


def _fits(value: object, kind: Any) -> bool:
    """Return True if ``value`` has type ``kind``, or if ``kind`` cannot be checked."""
    if kind is bool:
        return isinstance(value, bool)
    if kind in (int, float):
        number = numbers.Integral if kind is int else numbers.Real
        return isinstance(value, number) and not isinstance(value, bool)
    origin = get_origin(kind) or kind
    if origin is collections.abc.Sequence and isinstance(value, str):
        return False
    return isinstance(value, origin) if isinstance(origin, type) else True


@cache
def declared(group: type) -> tuple[Declared, ...]:
    """Return the options of a group, a ``TypedDict`` of :mod:`livematte.options`, in order."""
    hints = get_type_hints(group, include_extras=True)
    return tuple(Declared(name, *get_args(hint)) for name, hint in hints.items())


def names(group: type) -> frozenset[str]:
    """Return the names of the options of a group."""
    return frozenset(each.name for each in declared(group))


def defaults(group: type) -> dict[str, Any]:
    """Return the defaults of the options of a group, without required options."""
    return {each.name: each.option.default for each in declared(group) if each.option.default is not REQUIRED}


def pick(group: type[T], given: Mapping[str, Any]) -> T:
    """Return the options in ``given`` that belong to the group."""
    kind: Any = group
    picked: Any = {each.name: given[each.name] for each in declared(kind) if each.name in given}
    return picked  # type: ignore[no-any-return]


def input_files(group: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of options that can name files to read. Some values are no paths, e.g. a colour."""
    read = (each for each in declared(group) if each.option.path and not each.option.output)
    return {each.name: given[each.name] for each in read if each.name in given}


def complete(group: type[T], given: T) -> T:
    """Return all options of a call: ``given``, with defaults for the others.

    Raises:
        OptionError: an unknown name, or a value of a wrong type.
        UsageError: a number out of range.
    """
    kind: Any = group
    options: Any = given
    known = {each.name: each for each in declared(kind)}
    for name, value in options.items():
        if name not in known:
            raise OptionError(unknown_option(name, known))
        known[name].check(value)
    filled: Any = {**defaults(kind), **options}
    return filled  # type: ignore[no-any-return]


def unknown_option(name: str, known: collections.abc.Iterable[str]) -> str:
    """Return an error message for an unknown option, with the most similar known name."""
    allowed = sorted(known)
    close = get_close_matches(name, allowed, 1)
    if close:
        return f"unknown option {name!r}: did you mean {close[0]!r}?"
    return f"unknown option {name!r}: known are {', '.join(allowed)}"


def keywords(group: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert values from the command line or a profile, by their names there, to Python keywords.

    Raises:
        UsageError: a value that cannot be parsed, or is out of range.
    """
    converted: dict[str, Any] = {}
    for each in declared(group):
        if not each.option.command or each.command_name not in values:
            continue
        value, form = values[each.command_name], each.option.form
        if form is not None:
            converted |= {} if value is None else form.read(value)
        else:
            if value is not None:
                each.check_allowed(value)
            converted[each.name] = value
    return converted


def documented(group: type) -> Callable[[F], F]:
    """Decorator: add the options of ``**options: Unpack[group]`` to the docstring and signature."""

    def decorate(function: F) -> F:
        lines = [f"        {each.name}: {plain(each.option.help)}" for each in declared(group)]
        before, raises, after = (function.__doc__ or "").partition("\n    Raises:")
        listed = "\n".join(["", "    Options:", *lines, ""])
        function.__doc__ = f"{before.rstrip()}\n{listed}{raises}{after}"
        own = signature(function).parameters.values()
        fixed = [each for each in own if each.kind is not Parameter.VAR_KEYWORD]
        named = [
            Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.option.default, annotation=each.type)
            for each in declared(group)
        ]
        function.__signature__ = Signature([*fixed, *named])  # type: ignore[attr-defined]
        return function

    return decorate


def plain(help: str, bold: str = "") -> str:
    """Return a help text with the Rich markup for bold replaced by ``bold``."""
    return help.replace("[b]", bold).replace("[/b]", bold).replace("{outputs}", "the name of a sink")
