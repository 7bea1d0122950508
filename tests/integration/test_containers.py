"""What an MP4 or MOV file begins with, and what of its metadata is not handed on."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from PIL import Image

from livematte.video import open_video, write_image
from livematte.video.mp4_boxes import write_index_first
from tests import clips
from tests.integration.test_writer import render, times


def boxes(path: Path) -> list[str]:
    """The types of the boxes of a file, in order."""
    data, place, found = path.read_bytes(), 0, []
    while place < len(data):
        found.append(data[place + 4 : place + 8].decode())
        place += int.from_bytes(data[place : place + 4], "big")
    return found


@pytest.mark.parametrize("ending", ["mp4", "m4v", "mov"])
def test_the_index_is_at_the_beginning(tmp_path: Path, ending: str) -> None:
    clip = clips.make_clip(
        tmp_path / "in.mp4", frames=60, size=(64, 96), audio=2, subtitles="mov_text", chapters=True
    )
    out = render(clip, tmp_path / f"out.{ending}")
    found = boxes(out.path)
    assert found.index("moov") < found.index("mdat")
    assert times(out.path) == times(clip)
    for number in range(2):
        assert clips.packets(out.path, "audio", number) == clips.packets(clip, "audio", number)
    with open_video(out.path) as made:
        assert [clips.number(frame.planes[0]) for frame in made] == list(range(60))
        assert made.damaged == 0
    assert out.notes == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", out.path.name]


def test_a_full_disk_leaves_the_index_at_the_end(tmp_path: Path, monkeypatch) -> None:
    clip = clips.make_clip(tmp_path / "in.mp4", frames=5, size=(64, 96))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    out = render(clip, tmp_path / "out.mp4")
    assert out.notes == ["the index stays at the end of the file: the disk has no room for a copy"]
    assert boxes(out.path)[-1] == "moov"
    assert times(out.path) == times(clip)


def test_a_file_that_needs_no_change_is_not_copied(tmp_path: Path) -> None:
    clip = clips.make_clip(tmp_path / "in.mp4", frames=5, size=(64, 96))
    out = render(clip, tmp_path / "out.mp4")
    for data in (out.path.read_bytes(), out.path.read_bytes()[:-7], b"", bytes(100)):
        copy = io.BytesIO()
        assert not write_index_first(io.BytesIO(data), copy)
        assert copy.getvalue() == b""


PLACE = "+48.8577+002.295/"
LOCATIONS = {
    "mov": {"com.apple.quicktime.location.ISO6709": PLACE, "com.apple.quicktime.make": "Apple"},
    "mp4": {"location": PLACE, "location-eng": PLACE, "comment": "kept"},
    "mkv": {"LOCATION": PLACE, "comment": "kept"},
}


def places(path: Path) -> list[str]:
    with av.open(str(path)) as made:
        tags = [made.metadata, *(stream.metadata for stream in made.streams)]
    return [key for each in tags for key, value in each.items() if PLACE[:8] in value]


@pytest.mark.parametrize("source", sorted(LOCATIONS))
@pytest.mark.parametrize("target", ["mp4", "mov", "mkv"])
def test_the_place_of_recording_is_left_out(tmp_path: Path, source: str, target: str) -> None:
    clip = clips.make_clip(tmp_path / f"in.{source}", frames=2, size=(64, 96), metadata=LOCATIONS[source])
    assert places(clip)
    out = render(clip, tmp_path / f"out.{target}")
    assert places(out.path) == []
    assert PLACE.encode() not in out.path.read_bytes()
    assert "the place of recording is left out; --keep-location keeps it" in out.notes
    kept = render(clip, tmp_path / f"kept.{target}", keep_location=True)
    assert places(kept.path)
    assert not [note for note in kept.notes if "place" in note]
    with av.open(str(out.path)) as made:
        assert {"kept", "Apple"} & set(made.metadata.values())


def with_subtitles(target: Path, texts: list[str]) -> Path:
    """A clip with a subtitle each second."""
    plain = clips.make_clip(target.with_name("plain.mkv"), frames=5 * len(texts), size=(64, 96), rate=5,
                            subtitles="subrip")  # fmt: skip
    left = iter(texts)
    with av.open(str(plain)) as old, av.open(str(target), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                copy = packet
                if packet.stream.type == "subtitle":
                    copy = av.Packet(next(left).encode())
                    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
                    copy.time_base = packet.time_base
                copy.stream = streams[packet.stream_index]
                new.mux(copy)
    return target


@pytest.mark.parametrize("target", ["mp4", "mkv"])
@pytest.mark.parametrize(
    "text",
    [
        "F/2.8, SS 206, ISO 110, EV 0, GPS (113.9443, 22.5333, 18), D 24.1m",
        "[iso : 110] [latitude: 22.533300] [longtitude: 113.944300]",
        "HOME(149.0251,-20.2532) 2017.08.05", "$GPRMC,123519,A,4807.038,N,01131.000,E", "Lat: -33.8568",
    ],
)  # fmt: skip
def test_subtitles_with_the_place_of_recording_are_left_out(tmp_path: Path, text: str, target: str) -> None:
    clip = with_subtitles(tmp_path / "in.mkv", [text] * 3)
    out = render(clip, tmp_path / f"out.{target}")
    with av.open(str(out.path)) as made:
        assert not made.streams.subtitles
    assert [note for note in out.notes if "subtitle stream 1 dropped" in note and "--keep-location" in note]
    kept = render(clip, tmp_path / f"kept.{target}", keep_location=True)
    assert text[-6:].encode() in kept.path.read_bytes()
    assert not [note for note in kept.notes if "place" in note]


def test_a_single_subtitle_with_the_place_is_left_out_and_words_are_not(tmp_path: Path) -> None:
    words = ["Our latitude is high.", "It is 22.533 degrees.", "GPS, he said.", *["more"] * 9]
    clip = with_subtitles(tmp_path / "in.mkv", [*words, "GPS (113.9443, 22.5333)", "the end"])
    out = render(clip, tmp_path / "out.mkv")
    assert [note for note in out.notes if "subtitles with the place of recording are left out" in note]
    with av.open(str(out.path)) as made:
        texts = [bytes(packet).decode() for packet in made.demux(subtitles=0) if packet.size]
    assert texts == [*words, "the end"]


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff"])
def test_a_still_hands_on_no_place(tmp_path: Path, ending: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "the maker"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 27.72)
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><exif:GPSLatitude>48,51.462N</exif:GPSLatitude></x:xmpmeta>"
    Image.new("RGB", (96, 64), "red").save(tmp_path / "in.jpg", exif=exif, xmp=xmp)
    assert b"the maker" in (tmp_path / "in.jpg").read_bytes()
    with open_video(tmp_path / "in.jpg") as source:
        write_image(tmp_path / f"out.{ending}", next(iter(source)))
    assert not Image.open(tmp_path / f"out.{ending}").getexif().get_ifd(0x8825)
    data = (tmp_path / f"out.{ending}").read_bytes()
    assert b"GPS" not in data and b"the maker" not in data
