"""One clock for a file whose times jump: recordings that were joined byte by byte, or a clock that was set.

The times of the video decide where the clock jumps. What follows a jump continues where the last picture
ended, and all streams move by the same time, so that sound and subtitles stay in step with the picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import av.error
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from livematte.video.container import open_container, video_stream
from livematte.video.timestamps import as_fraction, container_start_time, has_arbitrary_start, starts_late

_STORED_CLOCK = ("matroska", "webm", "flv", "nut", "asf", "ogg")
"""Formats besides transport and program streams whose packets have times of their own."""

_PERIODS = {
    "mpegts": Fraction(1 << 33, 90_000), "mpeg": Fraction(1 << 33, 90_000), "flv": Fraction(1 << 32, 1000),
}  # fmt: skip
"""Seconds after which the clock of a format starts again at 0; that is no jump."""

_FORWARD = 10.0
"""Seconds from one picture to the next that can be a jump; shorter ones are holes, and kept."""

_BACK, _BACK_DECODED = 1.0, 0.15
"""Seconds by which times go back at a jump. Times of decoding rise, those of presentation are reordered."""

_SOUND_BACK, _SOUND_FORWARD = 0.1, 1.0
"""Seconds by which the time of sound may differ from the end of the sound before it."""

_NEAR = 5.0
"""Seconds within which the streams of a file jump, measured on the repaired clock."""

_FAR = 30.0
"""Seconds between a subtitle and the picture read at the same time, from which on a jump is expected."""

_LEAST_RATE = 64_000
"""Bits a second; where a broadcast has fewer, its declared length is doubted."""

_WAIT_PICTURES, _WAIT_PACKETS = 50, 1000
"""Number of packets to read to find out whether a time belongs to a jump."""

AnyPacket: TypeAlias = "Packet[Any]"


@dataclass
class _Track:
    """State of a stream.

    Attributes:
        end: seconds on the repaired clock at which its last packet ended; None before the first.
        jump: number of jumps before its last packet.
        joining: True if all since the last jump was left out, because the part before it was longer.
    """

    base: Fraction
    is_sound: bool
    end: float | None = None
    jump: int = 0
    joining: bool = False
    held: deque[tuple[int, AnyPacket]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.tick = float(self.base)


def repairs_clock(container: InputContainer) -> bool:
    """Return True if the clock of the format can jump."""
    return has_arbitrary_start(container) or any(
        name in container.format.name.split(",") for name in _STORED_CLOCK
    )


class ClockRepair:
    """Moves the packets of a file to one clock. Two readers of the same packets get the same times.

    Args:
        container: the open file.
        video: the stream whose times decide.
        note: called with (old line, new line) at each jump: the new one replaces the old one.

    Attributes:
        is_active: the clock of the format can jump.
        streams: the streams whose packets :meth:`follow` needs.
        jumps: for each jump, seconds on the repaired clock and by how many seconds the times jumped.
    """

    def __init__(
        self, container: InputContainer, video: VideoStream, note: Callable[[str, str], None] | None = None
    ) -> None:
        self.jumps: list[tuple[float, float]] = []
        self._note, self._line = note, ""
        name = container.format.name
        self.is_active = repairs_clock(container)
        self._decoding_times = has_arbitrary_start(container)
        self._exact_period = _PERIODS.get(name, Fraction(0))
        self._period = float(self._exact_period)
        self._shifts, self._offsets = [Fraction(0)], [0.0]
        self._tracks = {
            stream.index: _Track(Fraction(stream.time_base or 1), stream.type == "audio")
            for stream in container.streams
        }
        self._video = self._tracks[video.index]
        rate = as_fraction(video.average_rate) or Fraction(25)
        self._step = max(1, round(1 / (rate * self._video.base)))
        self._first: int | None = None  # in ticks
        self._last_end: int | None = None  # of the picture that is shown last, in ticks
        self._pictures = 0
        if note is not None and starts_late(container) and not has_arbitrary_start(container):
            begins = float(container_start_time(container))
            line = f"the clock of the file begins at {begins:.1f} s, as that of a running stream"
            note("", f"{line}: outputs begin at 0")
        self.streams = [video, *container.streams.audio] if self.is_active else [video]

    @property
    def length(self) -> Fraction:
        """Seconds of video so far."""
        return ((self._last_end or 0) - (self._first or 0)) * self._video.base

    def follow(self, packets: Iterator[AnyPacket]) -> Iterator[AnyPacket]:
        """Yield ``packets`` with repaired times, of each stream in order.

        Sound that a later part repeats is left out. ``packets`` has those of ``streams`` and any others.
        """
        if not self.is_active:
            yield from packets
            return
        for packet in packets:
            if packet.pts is None and packet.dts is None:
                if not packet.size:  # the mark of the end
                    yield from self._release(last=True)
                yield packet
                continue
            track = self._tracks.get(packet.stream_index)
            if track is None:  # a stream that begins later
                continue
            self._pictures += track is self._video
            track.held.append((self._pictures, packet))
            yield from self._release(last=False)
        yield from self._release(last=True)

    def _time(self, track: _Track, packet: AnyPacket) -> float:
        """Return the seconds by which packets are ordered, on the clock of the file."""
        first, second = (packet.dts, packet.pts) if self._decoding_times else (packet.pts, packet.dts)
        ticks = second if first is None else first
        assert ticks is not None
        return float(ticks * track.tick)

    def _release(self, *, last: bool) -> Iterator[AnyPacket]:
        """Yield the packets whose jump is known."""
        yield from self._release_video(last)
        for track in self._tracks.values():
            while track is not self._video and track.held:
                seen, packet = track.held[0]
                patient = not last and len(track.held) < _WAIT_PACKETS
                jump = self._find_jump(track, packet, patient and self._pictures - seen < _WAIT_PICTURES)
                if jump is None:
                    break
                track.held.popleft()
                track.joining |= jump != track.jump
                track.jump = jump
                if not self._is_repeated(track, packet):
                    track.joining = False
                    self._move(track, packet)
                    yield packet

    def _release_video(self, last: bool) -> Iterator[AnyPacket]:
        track = self._video
        while track.held:
            _, packet = track.held[0]
            delta = self._delta(track, packet)
            back = _BACK_DECODED if self._decoding_times else _BACK
            kind = "still"
            if delta is not None and not -back <= delta <= _FORWARD:
                kind = self._kind(delta, last)
            if kind == "unknown":
                return
            track.held.popleft()
            if kind == "damage":
                packet.pts = packet.dts = None
            else:
                if kind == "jump":
                    self._add_jump(packet, delta or 0.0)
                self._move(track, packet)
            yield packet

    def _delta(self, track: _Track, packet: AnyPacket, jump: int | None = None) -> float | None:
        """Return how many seconds after the end of the one before it a packet is; None without one before."""
        if track.end is None:
            return None
        offset = self._offsets[track.jump if jump is None else jump]
        return self._difference(self._time(track, packet) + offset, track.end)

    def _difference(self, time: float, other: float) -> float:
        difference = time - other
        return difference - self._wraps(difference) * self._period

    def _wraps(self, difference: float) -> int:
        return round(difference / self._period) if self._period else 0

    def _kind(self, delta: float, last: bool) -> Literal["jump", "still", "damage", "unknown"]:
        """Return why the next picture is ``delta`` seconds away; unknown until later packets tell it."""
        track = self._video
        sounds = [each for each in self._tracks.values() if each.is_sound]
        ends = [each.end for each in sounds if each.end is not None]
        assert track.end is not None
        if delta > 0 and any(end > track.end + min(_NEAR, delta / 2) for end in ends):
            return "still"
        final = last or len(track.held) >= _WAIT_PACKETS
        if len(track.held) > 1:
            after = self._delta(track, track.held[1][1])
            if after is not None and -_BACK <= after <= _FORWARD < abs(after - delta):
                return "damage"
        elif not final:
            return "unknown"
        if delta < 0:
            return "jump"
        for each in sounds:
            for _, packet in each.held:
                jumped = self._delta(each, packet)
                if jumped is not None and abs(jumped - delta) < _NEAR:
                    return "jump"
        if ends and not final:
            return "unknown"
        return "jump" if self._decoding_times else "still"

    def _add_jump(self, packet: AnyPacket, delta: float) -> None:
        """Continue with ``packet`` where the last picture ended."""
        ticks = packet.dts if packet.pts is None else packet.pts
        assert self._last_end is not None and ticks is not None
        self._shifts.append((self._last_end - ticks) * self._video.base)
        self._offsets.append(float(self._shifts[-1]))
        self._video.jump = len(self._offsets) - 1
        self._video.end = None  # the first pts, not the first dts, stands where the last picture ended
        self.jumps.append(((self._last_end - (self._first or 0)) * self._video.tick, delta))
        if self._note is not None:
            line = _describe(self.jumps)
            self._note(self._line, line)
            self._line = line

    def _find_jump(self, track: _Track, packet: AnyPacket, patient: bool) -> int | None:
        """Return after how many jumps a packet of sound or text is; None if a jump may be missing."""
        newest = len(self._offsets) - 1
        if track.is_sound:
            delta = self._delta(track, packet)
            if delta is None:
                return self._nearest_to_video(track, packet)[0]
            if -_SOUND_BACK <= delta <= _SOUND_FORWARD:
                return track.jump
            candidates = {
                number: abs(self._delta(track, packet, number) or 0)
                for number in range(track.jump, newest + 1)
            }
            best = min(candidates, key=lambda number: candidates[number])
            if best != track.jump and candidates[best] < _NEAR:
                return best
            return None if patient else track.jump
        best, distance = self._nearest_to_video(track, packet)
        return None if patient and distance > _FAR else best

    def _nearest_to_video(self, track: _Track, packet: AnyPacket) -> tuple[int, float]:
        """Return the jump that brings a packet nearest to the current picture, and the remaining seconds."""
        newest, time = len(self._offsets) - 1, self._time(track, packet)
        if self._video.end is None:
            return newest, 0.0
        distances = {
            number: abs(self._difference(time + self._offsets[number], self._video.end))
            for number in range(max(0, newest - 1), newest + 1)
        }
        best = min(distances, key=lambda number: (distances[number], -number))
        return best, distances[best]

    def _is_repeated(self, track: _Track, packet: AnyPacket) -> bool:
        """Return True for sound that begins before the sound in front of the jump ended."""
        if not track.joining or not track.is_sound:
            return False
        delta, length = self._delta(track, packet), float((packet.duration or 0) * packet.time_base)
        return delta is not None and delta < -max(length / 2, 0.001)

    def _move(self, track: _Track, packet: AnyPacket) -> None:
        """Set the repaired times of a packet."""
        time = self._time(track, packet) + self._offsets[track.jump]
        ends = (each.end for each in (track, *self._tracks.values()) if each.end is not None)
        wraps = self._wraps(time - next(ends, time)) if self._period else 0
        if track.jump or wraps:
            ticks = round((self._shifts[track.jump] - wraps * self._exact_period) / track.base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        length = packet.duration or 0
        end = time - wraps * self._period + length * track.tick
        if track is not self._video:
            track.end = end
            return
        track.end = end if track.end is None else max(track.end, end)
        shown = packet.dts if packet.pts is None else packet.pts
        assert shown is not None
        self._first = shown if self._first is None else self._first
        last = shown + (length or self._step)
        self._last_end = last if self._last_end is None else max(self._last_end, last)


@dataclass(frozen=True)
class ClockScan:
    """The result of :func:`scan_clock`: the number of jumps, and seconds of video without them."""

    jumps: int
    seconds: Fraction


def scan_clock(path: str | Path) -> ClockScan:
    """Read the times of all packets of a file. Seeking finds nothing in a file whose clock jumps."""
    state = Path(path).stat() if Path(path).is_file() else None
    if state is None:
        return ClockScan(0, Fraction(0))
    return _scan(str(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _scan(path: str, size: int, changed: int) -> ClockScan:
    with open_container(path) as container:
        clock = ClockRepair(container, video_stream(container, path))
        for stream in container.streams:
            if stream not in clock.streams:
                stream.discard = Discard.all
        if clock.is_active:
            with suppress(av.error.FFmpegError, OSError):
                for _ in clock.follow(container.demux(*clock.streams)):
                    pass
        return ClockScan(len(clock.jumps), clock.length)


def can_seek(container: InputContainer, path: str | Path) -> bool:
    """Return False if positions in the file cannot be found by time: its index is the clock, which jumps."""
    return not (has_arbitrary_start(container) and scan_clock(path).jumps)


def true_seconds(container: InputContainer, path: str | Path) -> Fraction | None:
    """Return the length of a broadcast whose declared one cannot be true; None for other files."""
    if not has_arbitrary_start(container) or not container.duration or not container.size:
        return None
    if container.size * 8 > _LEAST_RATE * container.duration // 1_000_000:
        return None
    scan = scan_clock(path)
    return scan.seconds if scan.jumps else None


def _describe(jumps: list[tuple[float, float]]) -> str:
    first = ", ".join(f"by {delta:+.1f} s at {at:.1f} s" for at, delta in jumps[:3])
    more = f" and {len(jumps) - 3} more times" if len(jumps) > 3 else ""
    return f"the clock of the file jumps {first}{more}: what follows continues without a gap"
