"""The timecode of a written file is that of its first picture, in every container and every output."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from livematte.video import open_sink, open_video
from livematte.video.section import read_section
from tests import clips
from tests.integration.test_writer import render

NTSC = Fraction(30000, 1001)


def timecodes(path: Path) -> list[str]:
    """The timecodes of all streams: of the video, and of a timecode track beside it."""
    with av.open(str(path)) as made:
        tags = [{key.lower(): value for key, value in stream.metadata.items()} for stream in made.streams]
    return [found["timecode"] for found in tags if "timecode" in found]


def clip_with_timecode(path: Path, timecode: str, rate: Fraction) -> Path:
    return clips.make_clip(
        path, frames=20, size=(64, 96), rate=rate, audio=1, metadata={"timecode": timecode}
    )


@pytest.mark.parametrize("target", ["mov", "mp4", "mkv", "webm"])
@pytest.mark.parametrize(
    ("source", "rate", "timecode", "start", "expected"),
    [
        ("mov", Fraction(25), "01:00:00:00", None, "01:00:00:00"),
        ("mov", Fraction(25), "01:00:00:00", 0.4, "01:00:00:10"),
        ("mkv", NTSC, "01:00:59;25", 0.3, "01:01:00;06"),
    ],
)
def test_the_timecode_is_that_of_the_first_picture(
    tmp_path: Path, target, source, rate, timecode, start, expected
) -> None:
    clip = clip_with_timecode(tmp_path / f"in.{source}", timecode, rate)
    more = {"preset": "8"} if target == "webm" else {}
    out = render(clip, tmp_path / f"out.{target}", start=start, **more)
    tracks = 2 if target in ("mov", "mp4") else 1
    assert timecodes(out.path) == [expected] * tracks
    with av.open(str(out.path)) as made:
        assert "timecode" not in {key.lower() for key in made.metadata}


def test_the_matte_beside_it_has_the_same_timecode(tmp_path: Path) -> None:
    clip = clip_with_timecode(tmp_path / "in.mov", "01:00:00:00", Fraction(25))
    with open_video(clip, start=0.4) as source:
        assert source.info.details["timecode"] == "01:00:00:10"
        sink = open_sink(tmp_path / "matte.mov", source.info, kind="foreground", start=0.4)
        for frame in source:
            sink.write(frame)
        sink.close()
    assert timecodes(sink.path) == ["01:00:00:10"] * 2


def test_a_timecode_that_cannot_be_moved_is_dropped_with_a_note(tmp_path: Path) -> None:
    clip = clip_with_timecode(tmp_path / "in.mkv", "ten past one", Fraction(25))
    with open_video(clip) as source:
        assert source.info.details["timecode"] == "ten past one"
    with open_video(clip, start=0.4) as source:
        assert "timecode" not in source.info.details
        assert source.notes == ["the timecode ten past one is dropped: it cannot be moved to the first frame"]


@pytest.mark.parametrize("ending", ["mov", "mkv"])
def test_start_and_end_as_frames_are_exact(tmp_path: Path, ending: str) -> None:
    clip = clips.make_clip(tmp_path / f"in.{ending}", frames=20, size=(64, 96), rate=NTSC)
    section = read_section(clip, {"start": "00:00:00:07", "end": "0:0:0.5"})
    assert section["end"] == Fraction(1, 2)
    with open_video(clip, **section) as source:
        assert [clips.number(frame.planes[0]) for frame in source] == list(range(7, 15))
    section = read_section(clip, {"start": None, "end": "00:00:00:03"})
    with open_video(clip, **section) as source:
        assert [clips.number(frame.planes[0]) for frame in source] == [0, 1, 2]


@pytest.mark.parametrize(("start", "expected"), [(None, "01:00:00:24"), (0.2, "01:00:00:34")])
def test_a_timecode_that_counts_pairs_becomes_one_that_counts_each(tmp_path: Path, start, expected) -> None:
    """A camera with 50 pictures a second labels its first one 01:00:00:12, which is 0.48 s after the hour."""
    clip = clip_with_timecode(tmp_path / "in.mov", "01:00:00:24", Fraction(50))
    data = bytearray(clip.read_bytes())
    entry = data.index(b"tmcd", data.index(b"tmcd", data.index(b"hdlr", data.index(b"gmhd") - 300)) + 4)
    while data[entry - 8 : entry - 4] != bytes([0, 0, 0, 1]):  # the sample description, not another tmcd
        entry = data.index(b"tmcd", entry + 4)
    assert data[entry + 28] == 50
    data[entry + 20 : entry + 29] = (25).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"\x19"
    sample = (3600 * 50 + 24).to_bytes(4, "big")
    assert data.count(sample) == 1
    clip.write_bytes(bytes(data).replace(sample, (3600 * 25 + 12).to_bytes(4, "big")))
    with av.open(str(clip)) as made:
        assert made.streams.video[0].metadata["timecode"] == "01:00:00:12"
    with open_video(clip) as source:
        assert source.info.details["timecode"] == "01:00:00:24"
        assert any("counts pairs" in note for note in source.notes)
    out = render(clip, tmp_path / "out.mov", start=start)
    assert timecodes(out.path) == [expected] * 2
