"""Where a video is divided, so that several workers can render it side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av.error
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from livematte.video.opening import open_container, video_stream
from livematte.video.timing import announced_end, exactly, origin_of

SEGMENT_SECONDS = 20
"""How long a segment is about: short enough that no worker is idle for long at the end and that what is whole
after an interruption is most of what was done, long enough that the frames that two share do not count.
"""

_AROUND = 40
"""Packets after a wanted time to look at: pictures come in the order of decoding, not of showing."""

_STEPS_BACK = (0, 2, 20)
"""Seconds further back to seek, in a format that does not find key frames by itself."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a video.

    Attributes:
        read: where to begin reading, in seconds from the file's beginning: some frames earlier than the
            first one wanted, for what remembers earlier frames; None is the beginning of all.
        first: pts of the first frame wanted; None is the first one there is.
        end: where the next segment begins, in seconds from the file's beginning; None is the end of all.
    """

    read: Fraction | None = None
    first: int | None = None
    end: Fraction | None = None


def cut(
    path: str | Path, workers: int, shared: int, *, start: float | None = None, end: float | None = None
) -> list[Segment]:
    """Divide a video, at key frames where there are any near: a reader begins to decode there.

    Args:
        path: as for :func:`livematte.video.reader.open_video`.
        workers: at least so many segments, where it is long enough.
        shared: how many frames before its first one each segment begins to read.
        start, end: seconds from the beginning of the file; what lies outside is not wanted.

    Returns:
        Segments in order that together hold every frame once. A single one where the video is too short,
        does not say how long it is, or has pictures without times.
    """
    container = open_container(path)
    try:
        stream = video_stream(container, path)
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        return list(_segments(container, stream, workers, shared, start, end))
    finally:
        container.close()


def _segments(
    container: InputContainer, stream: VideoStream, workers: int, shared: int,
    start: float | None, end: float | None,
) -> Iterator[Segment]:  # fmt: skip
    origin = origin_of(container, stream)
    begins = origin if start is None else origin + exactly(start)
    ends = announced_end(container, stream)
    if ends is None and container.duration:
        ends = origin + Fraction(container.duration, 1_000_000)
    if end is not None:
        ends = min(ends, origin + exactly(end)) if ends is not None else None
    rate = stream.average_rate or stream.guessed_rate
    read = None if start is None else exactly(start)
    first: int | None = None
    if ends is not None and rate and stream.time_base is not None:
        length, least = ends - begins, 2 * (shared + 1) / rate
        count = min(max(workers, round(length / SEGMENT_SECONDS)), int(length / least))
        for number in range(1, count):
            target = begins + length * number / count
            found = _seam(container, stream, target, shared / rate, shared, length / count / 2)
            if found is None:
                continue
            reads, there = (time * stream.time_base - origin for time in found)
            if there <= (begins - origin if first is None else first * stream.time_base - origin):
                continue
            yield Segment(read, first, there)
            read, first = max(reads, read or Fraction(0)), found[1]
    yield Segment(read, first, None if end is None else exactly(end))


def _seam(
    container: InputContainer,
    stream: VideoStream,
    target: Fraction,
    lead: Fraction,
    shared: int,
    far: Fraction,
) -> tuple[int, int] | None:
    """Times in ticks of where to begin reading and of the first frame wanted, near ``target`` seconds."""
    assert stream.time_base is not None
    for back in _STEPS_BACK:
        try:
            container.seek(int((target - lead - back) / stream.time_base), stream=stream)
            times = _times_after(container.demux(stream), int(target / stream.time_base))
        except av.error.FFmpegError:
            return None
        if times is not None:
            break
    else:
        return None
    key, rest = times
    if target - key * stream.time_base < far + lead:
        place = shared  # reading begins at the key frame itself
    else:
        place = next((n for n, time in enumerate(rest) if time * stream.time_base >= target), len(rest))
    if place >= len(rest):
        return None
    return rest[max(0, place - shared)], rest[place]


def _times_after(packets: Iterator[Packet[VideoStream]], target: int) -> tuple[int, list[int]] | None:
    """Time of the key frame that ``packets`` begin with, and from it on the times of pictures in order, to
    some after ``target``; None where there is none, or one has no time.
    """
    key: int | None = None
    times: list[int] = []
    after = 0
    for packet in packets:
        if not packet.size or packet.is_discard:
            continue
        if packet.pts is None:
            return None
        if key is None:
            if not packet.is_keyframe:
                continue
            key = packet.pts
        times.append(packet.pts)
        after += packet.pts > target
        if after > _AROUND:
            break
    if key is None:
        return None
    return key, sorted({time for time in times if time >= key})
