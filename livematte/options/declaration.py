"""The declaration of an option, and its readers: defaults, checks and the command line's form.

:mod:`livematte.options` declares; the command line, profiles, Python's keywords, workers and the tables in
``docs/options.md`` are made of what :func:`declared` gives.
"""

from __future__ import annotations

import collections.abc
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from livematte.errors import OptionError, UsageError

REQUIRED: Any = ...
"""The default of an option that has to be given."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Form:
    """An option on the command line and in a profile, where its value differs from Python's.

    Attributes:
        read: turns a value that is not None into Python's keywords. Raises UsageError.
        type: of the value.
        default: the command line's.
        name: with ``_`` for ``-``; empty where it is Python's.
        tables: a profile may give it as tables, such as ``[sink-option.virtualcam]``.
    """

    read: Callable[[Any], Mapping[str, Any]]
    type: Any
    default: Any = None
    name: str = ""
    tables: bool = False


@dataclass(frozen=True)
class Change:
    """A command of ``livematte ctl`` that changes an option of a live session.

    Attributes:
        summary: of the command.
        help: of its argument.
    """

    summary: str
    help: str


@dataclass(frozen=True)
class Option:
    """All there is to say of an option but its name and type.

    Attributes:
        default: Python's; :data:`REQUIRED` where there is none.
        help: one or two sentences, in Rich's markup.
        metavar: the value's name in help; empty shows none.
        panel: the box of the help page.
        flags: spellings on the command line instead of ``--name`` (``--name/--no-name`` of a bool); a short
            one, such as ``-b``, is added to it.
        choices: all values, where they are few. They are checked where they are used.
        examples: values that the shell suggests besides.
        names: groups of :mod:`livematte.registry` whose names the shell suggests.
        path: ``file``, ``address`` (a file or URL) or ``background``: what is relative in a profile begins at
            the profile's folder.
        least: lowest value.
        between, above: range, in ``unit``.
        unit: words before the range in an error.
        wrong: beginning of the error instead of ``NAME {} is not possible``.
        bare: value where the option stands alone.
        output: kind of picture that is written to this path.
        change: how a live session changes it; None where it cannot.
        form: the command line's and profile's, where it is another one.
        command: whether the command line has it.
    """

    default: Any
    help: str
    metavar: str | None = None
    panel: str | None = None
    flags: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    path: str = ""
    least: float | None = None
    between: tuple[float, float] | None = None
    above: float | None = None
    unit: str = ""
    wrong: str = ""
    bare: str | None = None
    output: str = ""
    change: Change | None = None
    form: Form | None = None
    command: bool = True

    def but(self, **changes: Any) -> Option:
        """The same option where a call takes it with another default or help."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Declared:
    """An option with its name and Python's type."""

    name: str
    type: Any
    option: Option

    @property
    def command_name(self) -> str:
        """Name on the command line and in profiles, with ``_`` for ``-``."""
        form = self.option.form
        return form.name if form is not None and form.name else self.name

    @property
    def flag(self) -> str:
        """Name as typed, such as ``--on-demand``."""
        return f"--{self.command_name.replace('_', '-')}"

    @property
    def command_type(self) -> Any:
        """Type on the command line: the one of Python's that text can be turned into."""
        if self.option.form is not None:
            return self.option.form.type
        members = _members(self.type)
        plain = next((kind for kind in (bool, float, int, str) if kind in members), None)
        if plain is None:
            return self.type
        kind: Any = Path if plain is str and self.option.path == "file" else plain
        return kind | None if NoneType in members else kind

    @property
    def command_default(self) -> Any:
        """Default on the command line."""
        return self.option.default if self.option.form is None else self.option.form.default

    def wrong_type(self, value: object) -> str:
        """The kind of value it takes, where ``value`` is none; else empty."""
        members = _members(self.type)
        if any(_fits(value, member) for member in members):
            return ""
        words = [_WORDS[kind] for kind in (bool, int, float, str) if kind in members]
        return " or ".join(words) or getattr(members[0], "__name__", str(members[0]))

    def check(self, value: Any) -> None:
        """Raise OptionError for a value of another type, UsageError for one out of range."""
        if meant := self.wrong_type(value):
            raise OptionError(f"{self.name} {value!r}: give {meant}")
        if value is not None:
            self.check_range(value)

    def check_range(self, value: Any) -> None:
        """Raise UsageError for a number out of range."""
        option = self.option
        if option.least is not None and not value >= option.least:
            allowed = f"{option.least:g} or more"
        elif option.above is not None and not option.above < value < float("inf"):
            allowed = f"more than {option.above:g}"
        elif option.between is not None and not option.between[0] <= value <= option.between[1]:
            allowed = f"{option.between[0]:g} to {option.between[1]:g}"
        else:
            return
        shown = str(value) if isinstance(value, int) else f"{float(value):g}"
        words = (option.wrong or f"{self.name.replace('_', ' ')} {{}} is not possible").format(shown)
        raise UsageError(f"{words}: give {option.unit}{', ' if option.unit else ''}{allowed}")


_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


def _members(kind: Any) -> tuple[Any, ...]:
    """The types of a union; of another type, itself."""
    origin = get_origin(kind)
    return get_args(kind) if origin is not None and "Union" in str(origin) else (kind,)


def _fits(value: object, kind: Any) -> bool:
    """True also for types that are not looked into."""
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
    """The options of a group, a ``TypedDict`` of :mod:`livematte.options`, in order."""
    hints = get_type_hints(group, include_extras=True)
    return tuple(Declared(name, *get_args(hint)) for name, hint in hints.items())


def names(group: type) -> frozenset[str]:
    """The names of a group's options."""
    return frozenset(each.name for each in declared(group))


def defaults(group: type) -> dict[str, Any]:
    """The defaults of a group's options, less those that have to be given."""
    return {each.name: each.option.default for each in declared(group) if each.option.default is not REQUIRED}


def pick(group: type[T], given: Mapping[str, Any]) -> T:
    """The options of ``given`` that are the group's."""
    kind: Any = group
    picked: Any = {each.name: given[each.name] for each in declared(kind) if each.name in given}
    return picked  # type: ignore[no-any-return]


def input_files(group: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the options of a group that name files to read; a value that is no path names no file."""
    read = (each for each in declared(group) if each.option.path and not each.option.output)
    return {each.name: given[each.name] for each in read if each.name in given}


def complete(group: type[T], given: T) -> T:
    """All options of a call: ``given``, and defaults for the rest.

    Raises:
        OptionError: a name that the group has not, or a value of another type.
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
    """A line that says that there is no option ``name``, with the nearest that there is."""
    allowed = sorted(known)
    close = get_close_matches(name, allowed, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown option {name!r}: {hint}known are {', '.join(allowed)}"


def keywords(group: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Python's keywords for values of the command line or a profile, under their names there.

    Raises:
        UsageError: a value that has no meaning, or is out of range.
    """
    made: dict[str, Any] = {}
    for each in declared(group):
        if not each.option.command or each.command_name not in values:
            continue
        value, form = values[each.command_name], each.option.form
        if form is not None:
            made |= {} if value is None else form.read(value)
        else:
            if value is not None:
                each.check_range(value)
            made[each.name] = value
    return made


def documented(group: type) -> Callable[[F], F]:
    """Give a function with ``**options: Unpack[group]`` a docstring and a signature that name them."""

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
    """Help text with ``bold`` around what is in bold instead of Rich's markup."""
    return help.replace("[b]", bold).replace("[/b]", bold).replace("{outputs}", "an output's name")
