"""Recordings that were joined byte by byte, or whose clock was set: pictures, sound and subtitles go on."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from livematte.video.reader import open_video
from livematte.video.split import Segment, split_video
from tests import clips
from tests.integration.test_writer import render

SIZE = (64, 96)


def moved(source: Path, seconds: int) -> Path:
    """A copy of a recording whose clock is ``seconds`` later."""
    target = source.with_stem(f"{source.stem}-{seconds}")
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                ticks = round(seconds / packet.time_base)
                packet.pts += ticks
                packet.dts = None if packet.dts is None else packet.dts + ticks
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return target


def joined(folder: Path, kind: str, seconds: list[int]) -> Path:
    subtitles = "subrip" if kind == "mkv" else None
    plain = clips.make_clip(folder / f"a.{kind}", frames=50, size=SIZE, audio=1, subtitles=subtitles)
    target = folder / f"joined.{kind}"
    target.write_bytes(b"".join(moved(plain, each).read_bytes() for each in seconds))
    return target


def times(path: Path, kind: str) -> list[float]:
    with av.open(str(path)) as made:
        stream = next(stream for stream in made.streams if stream.type == kind)
        packets = [packet for packet in made.demux(stream) if packet.size > 2]
        return sorted(float(packet.pts * packet.time_base) for packet in packets)


@pytest.mark.parametrize("target", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("kind", "seconds"),
    [(kind, seconds) for kind in ("ts", "mkv") for seconds in ([500, 0], [0, 500])]
    + [("ts", [95_000, 200, 30])],
)
def test_a_clock_that_jumps_leaves_no_hole(tmp_path: Path, kind, seconds, target) -> None:
    parts = len(seconds)
    path = joined(tmp_path, kind, seconds)
    out = render(path, tmp_path / f"out.{target}")
    with open_video(path) as source:
        numbers = [clips.number(frame.planes[0]) for frame in source]
        notes = [line for line in source.notes if "clock of the file jumps" in line]
    assert numbers == list(range(50)) * parts
    assert len(notes) == 1 and notes[0].count(" at ") == parts - 1, source.notes
    pictures, sound = times(out.path, "video"), times(out.path, "audio")
    assert len(pictures) == 50 * parts
    assert max(two - one for one, two in pairwise(pictures)) < 0.045
    assert max(two - one for one, two in pairwise(sound)) < 0.1
    assert sound[-1] == pytest.approx(pictures[-1], abs=0.1)
    if kind == "mkv" and target == "mkv":
        lines = times(out.path, "subtitle")
        assert lines == pytest.approx(
            [second + 2 * part for part in range(parts) for second in (0, 1)], abs=0.05
        )


@pytest.mark.parametrize("kind", ["mkv", "flv", "mp4"])
def test_recordings_that_ffmpeg_does_not_reach_are_named(tmp_path: Path, kind) -> None:
    codecs = {"codec": "flv"} if kind == "flv" else {}
    whole = clips.make_clip(tmp_path / f"a.{kind}", frames=20, size=SIZE, **codecs)
    path = tmp_path / f"joined.{kind}"
    path.write_bytes(whole.read_bytes() * 3)
    with open_video(path) as source:
        read = len(list(source)) // 20
        assert read < 3
        assert [
            line for line in source.notes if f"{(3 - read) * whole.stat().st_size:,} bytes at the end" in line
        ]
    with open_video(whole) as source:
        assert len(list(source)) == 20 and source.notes == []


def test_a_recording_of_a_running_stream_begins_at_0(tmp_path: Path) -> None:
    plain = clips.make_clip(tmp_path / "a.mkv", frames=50, size=SIZE, audio=1)
    for seconds in (0, 5, 4000):
        out = render(path := moved(plain, seconds), tmp_path / "out.mp4")
        late = [seconds] if seconds == 5 else [0]
        assert times(out.path, "video")[:1] == pytest.approx(late, abs=0.05)
        assert times(out.path, "audio")[:1] == pytest.approx(late, abs=0.05)
        with open_video(path) as source:
            assert len([note for note in source.notes if "begins at 4000.0 s" in note]) == (seconds == 4000)


def test_a_clock_that_wraps_is_no_jump(tmp_path: Path) -> None:
    plain = clips.make_clip(tmp_path / "a.ts", frames=50, size=SIZE, audio=1)
    path = moved(plain, int(Fraction(1 << 33, 90_000)) - 2)
    with open_video(path) as source:
        shown = [frame.seconds for frame in source]
        assert len(shown) == 50 and source.notes == []
    assert {two - one for one, two in pairwise(shown)} == {Fraction(1, 25)}


def test_a_section_and_the_length_are_those_of_the_repaired_clock(tmp_path: Path) -> None:
    path = joined(tmp_path, "ts", [500, 0])
    with open_video(path, start=1.8, end=2.2) as source:
        assert [clips.number(frame.planes[0]) for frame in source] == [45, 46, 47, 48, 49, 0, 1, 2, 3, 4]
    with open_video(path) as source:
        assert source.info.seconds == 4 and source.info.frames == 100
    assert split_video(path, 2, 2) == [Segment()]
    out = render(path, tmp_path / "out.mp4", start=1.8, end=2.2)
    assert times(out.path, "audio")[-1] < 0.4


def test_a_long_still_picture_with_sound_is_no_jump(tmp_path: Path) -> None:
    """The sound goes on while the picture stands for 20 seconds: nothing is left out."""
    path = clips.make_clip(
        tmp_path / "a.mkv", frames=4, size=SIZE, pts=[0, 25, 525, 550], time_base=Fraction(1, 25), audio=1,
        options={"preset": "ultrafast", "bf": "0"},
    )  # fmt: skip
    with open_video(path) as source:
        assert [frame.seconds for frame in source] == [0, 1, 21, 22] and source.notes == []
