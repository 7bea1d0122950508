"""Timecode (SMPTE ST 12-1): the label ``hh:mm:ss:ff`` of a picture, also in drop-frame count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from av.container.input import InputContainer
from av.stream import Stream

from livematte.protocols import SourceInfo
from livematte.video.mp4_boxes import timecode_count

TAG = "timecode"
"""Metadata key of the timecode of the first picture, in any spelling of case."""

_TIMECODE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.])(\d{2,3})")
_NTSC = 30
"""Drop-frame count exists for multiples of this many frames a second, at a real rate that is 0.1 % lower."""


def read_timecode(tags: Iterable[Mapping[str, str]]) -> str | None:
    """Return the first timecode in metadata of streams or of a file; None if there is none."""
    for metadata in tags:
        for key, value in metadata.items():
            if key.lower() == TAG and value.strip():
                return value.strip()
    return None


def add_seconds(timecode: str, seconds: Fraction, rate: Fraction | None) -> str | None:
    """Return the timecode of the picture that is shown ``seconds`` after the one with ``timecode``.

    Args:
        timecode: ``hh:mm:ss:ff``; another separator before the frames means drop-frame count: labels are
            left out (2 of 30 frames at each minute that is no multiple of 10), so that it follows the clock.
        seconds: may be negative.
        rate: pictures per second, such as 30000/1001.

    Returns:
        None if ``timecode`` is no timecode, or cannot be moved because the rate is unknown. The labels begin
        again after 24 hours.
    """
    match = _TIMECODE.fullmatch(timecode)
    if match is None:
        return None
    if rate is None:
        return timecode if seconds == 0 else None
    frames = round(seconds * rate)
    if frames == 0:
        return timecode
    hours, minutes, whole, separator, part = (*map(int, match.group(1, 2, 3)), match[4], int(match[5]))
    per_second = round(rate)
    per_minute = per_second * 60
    left_out = per_second // _NTSC * 2 if separator != ":" and per_second % _NTSC == 0 else 0
    before = hours * 60 + minutes
    count = before * per_minute + whole * per_second + part - left_out * (before - before // 10)
    per_ten = 10 * per_minute - 9 * left_out
    count = (count + frames) % (6 * 24 * per_ten)
    tens, rest = divmod(count, per_ten)
    # The first minute of ten has all labels, the other nine lack some at their beginning.
    later = max(0, (rest - per_minute) // (per_minute - left_out) + 1)
    number = tens * 10 * per_minute + rest + left_out * later
    whole, part = divmod(number, per_second)
    mark = separator if left_out else ":"
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{mark}{part:02}"


def count_at(timecode: str, count: int | None, rate: Fraction | None) -> str:
    """Return ``timecode``, which counts ``count`` frames a second, as one that counts every picture.

    Cameras with 50 pictures a second count pairs of them, from 0 to 24 (SMPTE ST 12-1, 12.1). Files are
    written with a count of every picture.
    """
    match = _TIMECODE.fullmatch(timecode)
    if match is None or not count or rate is None or round(rate) % count or round(rate) == count:
        return timecode
    part = int(match[5]) * (round(rate) // count)
    return f"{match[1]}:{match[2]}:{match[3]}{match[4]}{part:02}"


def with_timecode(
    info: SourceInfo,
    container: InputContainer,
    stream: Stream,
    first: int | None,
    note: Callable[[str], None],
) -> SourceInfo:
    """Return ``info`` with the timecode of the first frame that is read in ``details``, if the file has one.

    Args:
        first: pts of that frame in ticks of ``stream``.
        note: called with a line if the timecode has to be dropped.
    """
    timecode = read_timecode((stream.metadata, container.metadata))
    if timecode is None:
        return info
    path = info.details.get("path")
    if container.format.name.startswith("mov") and path is not None and Path(path).is_file():
        with open(path, "rb") as file:
            given, timecode = timecode, count_at(timecode, timecode_count(file), info.average_rate)
        if given != timecode:
            note(f"the timecode {given} counts pairs of pictures: it becomes {timecode}, which counts each")
    skipped = 0 if first is None or stream.start_time is None else first - stream.start_time
    moved = add_seconds(timecode, skipped * info.time_base, info.average_rate)
    if moved is None and skipped > 0:
        note(f"the timecode {timecode} is dropped: it cannot be moved to the first frame")
        return info
    return replace(info, details={**info.details, TAG: moved or timecode})
