"""The part of a file to read, from the options ``start`` and ``end`` of a call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypedDict

from livematte.options.times import FrameLabel, parse_time
from livematte.video.container import open_container, video_stream
from livematte.video.timestamps import frame_rate


class TimeSection(TypedDict):
    """The part of a file to read, in seconds from its start."""

    start: float | Fraction | None
    end: float | Fraction | None


def check_section(given: Mapping[str, Any]) -> None:
    """Raise UsageError if an option ``start`` or ``end`` of a call is no time. Opens no file."""
    for name in ("start", "end"):
        if given.get(name) is not None:
            parse_time(name, given[name])


def read_section(path: str | os.PathLike[str], given: Mapping[str, Any]) -> TimeSection:
    """Return the options ``start`` and ``end`` of a call in seconds; frames are counted at the file's rate.

    Raises:
        UsageError: a value is no time.
        InputError: the file cannot be opened; it is opened only if frames are to be counted.
    """
    path = os.fspath(path)

    def seconds(name: str) -> float | Fraction | None:
        value = given.get(name)
        time = None if value is None else parse_time(name, value)
        if not isinstance(time, FrameLabel):
            return time
        with open_container(path) as container:
            return time.in_seconds(name, frame_rate(path, video_stream(container, path)))

    return TimeSection(start=seconds("start"), end=seconds("end"))
