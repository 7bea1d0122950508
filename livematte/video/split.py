"""Divide a video into segments that several workers render in parallel."""

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

from livematte.video.clock_repair import scan_clock
from livematte.video.container import open_container, video_stream
from livematte.video.timestamps import container_start_time, declared_end, exact_seconds, frame_rate

SEGMENT_SECONDS = 20
"""Approximate segment length in seconds.

Short segments keep all workers busy to the end and lose little on interruption; long segments reduce the
share of frames that two segments process.
"""

_LOOKAHEAD_PACKETS = 40
"""Number of packets to read after a target time, because packets are in decoding order."""

_SEEK_MARGINS = (0, 2, 20)
"""Further seconds to seek back, for formats that do not seek to key frames."""


@dataclass(frozen=True)
class Segment:
    """A part of a video.

    Attributes:
        read: seconds from the start of the file at which reading starts: some frames before ``first``, for
            temporal filters; None is the start of the file.
        first: pts of the first output frame; None is the first frame.
        end: seconds from the start of the file at which the next segment starts; None is the end of the file.
    """

    read: Fraction | None = None
    first: int | None = None
    end: Fraction | None = None


def split_video(
    path: str | Path,
    workers: int,
    overlap: int,
    *,
    start: float | Fraction | None = None,
    end: float | Fraction | None = None,
    seconds: float = SEGMENT_SECONDS,
) -> list[Segment]:
    """Divide a video into segments, at key frames if there are any nearby: decoding starts there.

    Args:
        path: as for :func:`livematte.video.reader.open_video`.
        workers: minimum number of segments, if the video is long enough.
        overlap: number of frames that each segment reads before its first output frame.
        start, end: seconds from the start of the file; frames outside this range are excluded.
        seconds: approximate length of a segment.

    Returns:
        Segments in order that cover every frame exactly once. One segment if the video is too short, has no
        declared duration, has frames without timestamps, or its clock jumps.
    """
    container = open_container(path)
    try:
        stream = video_stream(container, path)
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        return list(
            _segments(
                path, container, stream, frame_rate(path, stream), workers, overlap, seconds, start, end
            )
        )
    finally:
        container.close()


def _segments(
    path: str | Path, container: InputContainer, stream: VideoStream, rate: Fraction | None, workers: int,
    overlap: int, seconds: float, start: float | Fraction | None, end: float | Fraction | None,
) -> Iterator[Segment]:  # fmt: skip
    origin = container_start_time(container, stream)
    begins = origin if start is None else origin + exact_seconds(start)
    ends = declared_end(container, stream)
    if ends is None and container.duration:
        ends = origin + Fraction(container.duration, 1_000_000)
    if end is not None:
        ends = min(ends, origin + exact_seconds(end)) if ends is not None else None
    read = None if start is None else exact_seconds(start)
    first: int | None = None
    if ends is not None and rate and stream.time_base:
        length, least = ends - begins, 2 * (overlap + 1) / rate
        count = min(max(workers, round(float(length) / seconds)), int(length / least))
        if count > 1 and scan_clock(path).jumps:
            count = 1
        for number in range(1, count):
            target = begins + length * number / count
            found = _find_cut(container, stream, target, overlap / rate, overlap, length / count / 2)
            if found is None:
                continue
            reads, cut = (time * stream.time_base - origin for time in found)
            if cut <= (begins - origin if first is None else first * stream.time_base - origin):
                continue
            yield Segment(read, first, cut)
            read, first = max(reads, read or Fraction(0)), found[1]
    yield Segment(read, first, None if end is None else exact_seconds(end))


def _find_cut(
    container: InputContainer,
    stream: VideoStream,
    target: Fraction,
    preroll: Fraction,
    overlap: int,
    max_distance: Fraction,
) -> tuple[int, int] | None:
    """Return the pts to read from and the pts of the first output frame near ``target`` seconds, or None."""
    assert stream.time_base
    for margin in _SEEK_MARGINS:
        try:
            container.seek(int((target - preroll - margin) / stream.time_base), stream=stream)
            times = _read_times(container.demux(stream), int(target / stream.time_base))
        except av.error.FFmpegError:
            return None
        if times is not None:
            break
    else:
        return None
    key, rest = times
    if target - key * stream.time_base < max_distance + preroll:
        place = overlap  # reading starts at the key frame
    else:
        place = next((n for n, time in enumerate(rest) if time * stream.time_base >= target), len(rest))
    if place >= len(rest):
        return None
    return rest[max(0, place - overlap)], rest[place]


def _read_times(packets: Iterator[Packet[VideoStream]], target: int) -> tuple[int, list[int]] | None:
    """Return the pts of the first key frame, and the sorted pts from it to some pictures after ``target``.

    Return None if there is no key frame or a picture has no pts.
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
        if after > _LOOKAHEAD_PACKETS:
            break
    if key is None:
        return None
    return key, sorted({time for time in times if time >= key})
