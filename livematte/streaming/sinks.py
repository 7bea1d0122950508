"""The outputs of a live session, by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Any

from livematte import registry
from livematte.errors import OutputError, UsageError
from livematte.matting.contracts import check_part, describe, title
from livematte.protocols import LiveFormat, LiveSink
from livematte.streaming.null_sink import NULL_SINK, NullSink

SinkFactory = Callable[..., LiveSink]


def resolve_sinks(to: str | SinkFactory | Sequence[str | SinkFactory]) -> list[tuple[str, SinkFactory]]:
    """Each output's name and what opens it. Raises UsageError for none, or one that there is not."""
    wanted = [to] if isinstance(to, str) or callable(to) else list(to)
    if not wanted:
        raise UsageError(f"no output: name one with --to ({_outputs()})")
    names = [each if isinstance(each, str) else getattr(each, "__name__", "sink") for each in wanted]
    return [
        (name, _factory(each) if isinstance(each, str) else each)
        for name, each in zip(names, wanted, strict=True)
    ]


def _factory(name: str) -> SinkFactory:
    if name == NULL_SINK:
        return NullSink
    try:
        factory: SinkFactory = registry.load("sinks", name)
    except UsageError as error:
        raise _unknown(name) from error
    return factory


def check_output(name: str) -> None:
    """Raise UsageError unless there is an output of that name."""
    if name not in (NULL_SINK, *registry.names("sinks")):
        raise _unknown(name)


def _unknown(name: str) -> UsageError:
    close = get_close_matches(name, registry.names("sinks"), 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return UsageError(f"unknown output {name!r}: {hint}known are {_outputs()}")


def _outputs() -> str:
    return ", ".join([*registry.names("sinks"), f"{NULL_SINK} for a preview alone"])


def open_output(name: str, factory: SinkFactory, format: LiveFormat, options: Mapping[str, Any]) -> LiveSink:
    """An output. Raises UsageError for an option that it has not, OutputError for what is no output, and as
    the output's factory does.
    """
    if options:
        taken = signature(factory).parameters.values()
        known = [each.name for each in taken if each.kind is Parameter.KEYWORD_ONLY]
        odd = [option for option in options if option not in known]
        if odd and not any(each.kind is Parameter.VAR_KEYWORD for each in taken):
            allowed = f"allowed are {', '.join(known)}" if known else "it takes no options"
            raise UsageError(f"output {name} has no option {odd[0]!r}: {allowed}")
    sink = factory(format, **options)
    check_part(sink, LiveSink, "output", OutputError)
    if not (isinstance(sink.name, str) and isinstance(sink.notes, list)):
        raise OutputError(
            f"{title('output', sink)} has the name {describe(sink.name)} and notes {describe(sink.notes)}, "
            "expected a text and a list of lines"
        )
    return sink
