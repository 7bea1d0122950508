"""Sinks of a live session by name: lookup, checks, opening."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Any

from livematte import registry
from livematte.errors import OptionError, OutputError, UsageError
from livematte.matting.contracts import check_part, describe
from livematte.options.values import short
from livematte.parts import named_errors, title
from livematte.protocols import LiveFormat, LiveSink
from livematte.streaming.null_sink import NULL_SINK, NullSink

SinkFactory = Callable[..., LiveSink]


def resolve_sinks(to: str | SinkFactory | Sequence[str | SinkFactory]) -> list[tuple[str, SinkFactory]]:
    """Return name and factory of each sink. Raises UsageError for an empty list or an unknown sink."""
    selected = [to] if isinstance(to, str) or callable(to) else list(to)
    if not selected:
        raise UsageError(f"no output is selected: name one with --to ({_sink_names()})")
    for each in selected:
        if not (isinstance(each, str) or callable(each)):
            raise OptionError(f"output {short(each)} is invalid: use the name of a sink, or a factory of one")
    names = [each if isinstance(each, str) else getattr(each, "__name__", "sink") for each in selected]
    return [
        (name, _factory(each) if isinstance(each, str) else each)
        for name, each in zip(names, selected, strict=True)
    ]


def _factory(name: str) -> SinkFactory:
    if name == NULL_SINK:
        return NullSink
    try:
        factory: SinkFactory = registry.load("sinks", name)
    except UsageError as error:
        raise _unknown(name) from error
    return factory


def check_sink(name: str) -> None:
    """Raise UsageError unless ``name`` is the name of a sink."""
    if name not in (NULL_SINK, *registry.names("sinks")):
        raise _unknown(name)


def _unknown(name: str) -> UsageError:
    close = get_close_matches(name, registry.names("sinks"), 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return UsageError(f"unknown output {name!r}: {hint}known are {_sink_names()}")


def _sink_names() -> str:
    return ", ".join([*registry.names("sinks"), f"{NULL_SINK} for only a preview"])


def open_live_sink(
    name: str, factory: SinkFactory, format: LiveFormat, options: Mapping[str, Any]
) -> LiveSink:
    """Open a sink.

    Raises:
        UsageError: an option that the sink does not have.
        OutputError: the factory fails or does not return a sink.
    """
    if options:
        taken = signature(factory).parameters.values()
        known = [each.name for each in taken if each.kind is Parameter.KEYWORD_ONLY]
        unknown = [option for option in options if option not in known]
        if unknown and not any(each.kind is Parameter.VAR_KEYWORD for each in taken):
            allowed = f"use one of {', '.join(known)}" if known else "it has no options"
            raise UsageError(f"output {name} has no option {unknown[0]!r}: {allowed}")
    with named_errors("output", factory, OutputError):
        sink = factory(format, **options)
    check_part(sink, LiveSink, "output", OutputError)
    if not (isinstance(sink.name, str) and isinstance(sink.notes, list)):
        raise OutputError(
            f"{title('output', sink)} has the name {describe(sink.name)} and notes {describe(sink.notes)}, "
            "expected a text and a list of lines"
        )
    return sink
