"""Checks of a source and a sink that the caller of a Python function made."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

from livematte.errors import OptionError, OutputError, UsageError
from livematte.matting.contracts import check_part, check_source
from livematte.options import DecoderOption, EncodingOptions, SectionOptions, SequenceOption
from livematte.options.declaration import names
from livematte.options.values import has_member, path_text, short
from livematte.protocols import Sink, Source


def own_parts(input: object, output: object, options: Mapping[str, Any]) -> tuple[Source | None, Sink | None]:
    """Return the caller's source and sink; None where a path is given.

    Raises:
        OptionError: neither a path nor a source, or a sink.
        InputError, OutputError: an incomplete source or sink.
        UsageError: an option that has no effect with them.
    """
    source: Any = None
    sink: Any = None
    if isinstance(input, (str, os.PathLike)):
        path_text("input", input)
    else:
        if not _resembles(input, Source):
            raise OptionError(f"input {short(input)} is invalid: {_PATH_OR}Source")
        check_source(input)
        refuse_options(SectionOptions, options, "a video file as input")
        refuse_options(DecoderOption, options, "a video file as input")
        refuse_options(SequenceOption, options, "a sequence of pictures as input")
        source = input
    if isinstance(output, (str, os.PathLike)):
        path_text("output", output)
    elif output is not None:
        if not _resembles(output, Sink):
            raise OptionError(f"output {short(output)} is invalid: {_PATH_OR}Sink")
        check_part(output, Sink, "sink", OutputError)
        refuse_options(EncodingOptions, options, "a file as output")
        sink = output
    if (source or sink) and "," in options.get("device", ""):
        raise UsageError("several devices need files as input and output: each device opens them")
    return source, sink


_PATH_OR = "use a path, or an object with the methods of livematte.protocols."


def _resembles(part: object, protocol: type) -> bool:
    """True for an object that has at least one member of the protocol: what it lacks can be named."""
    names = [*inspect.get_annotations(protocol), *vars(protocol)]
    return any(has_member(part, name) for name in names if not name.startswith("_"))


def refuse_options(group: type, options: Mapping[str, Any], needed: str) -> None:
    """Raise UsageError if an option of ``group`` is given, which needs a file.

    Args:
        needed: what it needs, for the message.
    """
    given = [name for name in options if name in names(group) and options[name] is not None]
    if given:
        raise UsageError(f"{given[0]} needs {needed}: remove it")
