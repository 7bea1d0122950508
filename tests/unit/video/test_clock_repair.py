"""The clock of files whose times jump, with sequences of times that Hypothesis finds."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livematte.video.clock_repair import ClockRepair
from livematte.video.timestamps import PtsNormalizer
from tests import clips

SOUND = 1920
"""Ticks of 1/90000 s of a packet of sound."""


@dataclass(frozen=True)
class Part:
    """A recording that is joined to others; times are ticks of 1/90000 s.

    Attributes:
        jump: from where the clock would stand without a jump to where it begins.
        step: between two pictures.
        gaps: for each picture, of which the first has none, what is added before it: a hole, jitter, or minus
            ``step`` for one that is stored twice.
        lead: by how much its sound begins earlier than its pictures.
        longer: by how much its sound is longer than its pictures.
    """

    jump: int
    step: int
    gaps: tuple[int, ...]
    lead: int
    longer: int


GAPS = st.just(0) | st.just(0) | st.integers(-700, 700) | st.integers(4000, 8 * 90_000) | st.just("twice")
JUMPS = st.just(0) | st.integers(-50_000 * 90_000, -2 * 90_000) | st.integers(14 * 90_000, 30_000 * 90_000)


@st.composite
def parts(draw: Any) -> Part:
    step = draw(st.sampled_from((1800, 3000, 3600)))
    gaps = draw(st.lists(GAPS, min_size=12, max_size=30))
    return Part(
        draw(JUMPS), step, (0, *(-step if gap == "twice" else gap for gap in gaps)),
        draw(st.integers(-9_000, 9_000)), draw(st.integers(-9_000, 9_000)),
    )  # fmt: skip


@pytest.fixture(scope="module", params=["ts", "mkv"])
def container(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("clock") / f"a.{request.param}"
    clips.make_clip(path, frames=3, size=(64, 96), audio=1)
    with av.open(io.BytesIO(path.read_bytes())) as opened:
        yield opened


def make_packets(container: Any, found: list[Part], start: int, wraps: bool) -> list[Any]:
    """Return packets in file order; ``opaque`` of each is (number of its part, tick without any jump)."""
    made = []
    clock, plain = start, 0
    for number, part in enumerate(found):
        clock += part.jump if number else 0
        pictures, at = [], 0
        for gap in part.gaps:
            at += gap
            pictures.append(at)
            at += part.step
        length = at + part.longer
        entries = [(at, 0, 0, at, part.step) for at in pictures]
        entries += [(at, 1, at, at, SOUND) for at in range(-part.lead, length, SOUND)]
        entries.sort(key=lambda entry: entry[0])
        for at, stream, _, _, duration in entries:
            packet = av.Packet(b"x")
            packet.stream = container.streams[stream]
            packet.time_base = Fraction(1, 90_000)
            ticks = clock + at
            packet.pts = packet.dts = ticks % (1 << 33) if wraps else ticks
            packet.duration = duration
            packet.opaque = (number, plain + at)
            made.append(packet)
        clock, plain = clock + at + part.step, plain + at + part.step
    return made


@given(st.lists(parts(), min_size=1, max_size=4), st.integers(0, (1 << 33) - 1))
def test_pictures_and_sound_go_on_in_step(container: Any, found: list[Part], start: int) -> None:
    wraps = container.format.name == "mpegts"
    packets = make_packets(container, found, start if wraps else start + (1 << 40), wraps)
    clock = ClockRepair(container, container.streams.video[0])
    for track in clock._tracks.values():
        track.base, track.tick = Fraction(1, 90_000), 1 / 90_000
    rest = list(clock.follow(iter(packets)))
    pictures = [packet for packet in rest if packet.stream_index == 0]
    sound = [packet for packet in rest if packet.stream_index == 1]
    assert len(pictures) == sum(len(part.gaps) for part in found), "a picture was lost"
    assert [packet.opaque for packet in sound] == sorted(packet.opaque for packet in sound)

    normalizer = PtsNormalizer(Fraction(1, 90_000), Fraction(25), lambda line: None)
    shown = []
    for packet in pictures:
        frame = av.VideoFrame(16, 16, "gray")
        frame.pts, frame.dts, frame.duration = packet.pts, packet.dts, packet.duration
        shown.append(normalizer.normalized_pts(frame))
    assert all(one < two for one, two in pairwise(shown))
    longest = max(max(part.gaps) + part.step for part in found) + max(part.step for part in found)
    assert max((two - one for one, two in pairwise(shown)), default=0) <= longest + 1400

    for number, part in enumerate(found):
        seen = [packet.pts - packet.opaque[1] for packet in pictures if packet.opaque[0] == number]
        heard = [packet.pts - packet.opaque[1] for packet in sound if packet.opaque[0] == number]
        if heard:
            assert max(abs(a - seen[0]) for a in heard) <= part.step, (number, clock.jumps)
            assert max(abs(a - seen[0]) for a in seen) <= part.step
