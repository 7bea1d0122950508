"""What files give: counts, times, sizes, formats, the right way up."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from livematte.errors import InputError, UsageError
from livematte.video import open_video
from livematte.video.mp4_boxes import write_index_first
from livematte.video.trial_decode import decode_beginning
from tests import clips


def read(path: Path | str, **how: float) -> list:
    source = open_video(path, **how)
    got = [(frame.pts, tuple(np.array(plane) for plane in frame.planes)) for frame in source]
    source.close()
    return [source, *got]


CODECS = [
    ("libx264", "yuv420p", "mp4"), ("libx264", "yuv422p", "mkv"), ("libx264", "yuv444p", "mp4"),
    ("libx264", "yuv420p10le", "mp4"), ("libx265", "yuv420p", "mp4"), ("libx265", "yuv420p10le", "mkv"),
    ("libx265", "yuv422p12le", "mkv"), ("libvpx-vp9", "yuv420p", "webm"), ("libsvtav1", "yuv420p10le", "mp4"),
    ("mjpeg", "yuvj422p", "mov"), ("mpeg4", "yuv420p", "avi"), ("prores_ks", "yuv422p10le", "mov"),
    ("ffv1", "yuv444p12le", "mkv"),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "format", "kind"), CODECS)
def test_every_codec_gives_all_frames_in_their_own_format(tmp_path, codec, format, kind):
    path = clips.make_clip(tmp_path / f"a.{kind}", codec=codec, format=format, frames=12)
    source, *frames = read(path)
    assert source.info.format == format.replace("yuvj", "yuv")
    assert source.damaged == 0
    depth = 12 if "12le" in format else 10 if "10le" in format else 8
    assert [clips.number(planes[0], depth) for _, planes in frames] == list(range(12))
    x, y = clips.found_centre(frames[7][1][0], depth)
    assert (x, y) == pytest.approx(clips.centre(7, 12, (120, 160)), abs=1)


def test_variable_frame_rate_keeps_every_time(tmp_path):
    pts = [0, 1000, 1500, 4000, 4001, 9000, 12345, 20000]
    path = clips.make_clip(tmp_path / "a.mp4", frames=8, pts=pts, time_base=Fraction(1, 15360))
    source, *frames = read(path)
    assert source.info.time_base == Fraction(1, 15360)
    assert [time for time, _ in frames] == pts


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("format", ["yuv420p", "yuv422p"])
def test_turned_video_comes_out_upright(tmp_path, rotation, hflip, format):
    """The stored picture is the upright one turned back, so that applying the matrix restores it."""
    path = clips.make_clip(tmp_path / "a.mp4", rotation=rotation, hflip=hflip, frames=4, format=format,
                           aspect=Fraction(4, 3))  # fmt: skip
    stored = clips.luma(2, 4, (120, 160))
    shown = np.rot90(stored, rotation // 90)
    shown = shown[:, ::-1] if hflip else shown
    source, *frames = read(path)
    assert (source.info.height, source.info.width) == shown.shape
    assert source.info.sample_aspect == (Fraction(3, 4) if rotation in (90, 270) else Fraction(4, 3))
    planes = frames[2][1]
    assert np.abs(planes[0].astype(int) - shown).mean() < 3
    assert planes[0].flags.c_contiguous or not rotation
    y, x = np.unravel_index(planes[2].argmax(), planes[2].shape)  # the disc is the reddest
    scale = shown.shape[0] / planes[2].shape[0], shown.shape[1] / planes[2].shape[1]
    assert shown[int(y * scale[0]), int(x * scale[1])] == 220


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_come_out_upright(tmp_path, orientation):
    path = clips.make_jpeg(tmp_path / "a.jpg", orientation=orientation)
    source, (_, planes) = read(path)
    assert source.info.details["image"]
    assert source.info.color.full_range
    assert np.abs(planes[0].astype(int) - clips.luma(5, 10, (120, 160))).mean() < 3
    assert clips.number(planes[0]) == 5


@pytest.mark.parametrize("size", [(121, 161), (120, 161), (121, 160), (64, 66), (161, 97)])
def test_odd_sizes_are_read_whole(tmp_path, size):
    path = clips.make_clip(tmp_path / "a.webm", codec="libvpx-vp9", size=size, frames=3)
    source, *frames = read(path)
    assert (source.info.height, source.info.width) == size
    assert frames[1][1][1].shape == (-(-size[0] // 2), -(-size[1] // 2))
    assert clips.number(frames[2][1][0]) == 2 if size[1] > 96 else True


def test_ten_bits_stay_ten_bits(tmp_path):
    path = clips.make_clip(tmp_path / "a.mkv", codec="ffv1", format="yuv420p10le", frames=2)
    _, *frames = read(path)
    assert frames[1][1][0].dtype == np.uint16
    np.testing.assert_array_equal(frames[1][1][0], clips.luma(1, 2, (120, 160), 10))


def test_interlaced_video_is_deinterlaced_frame_for_frame(tmp_path):
    path = clips.make_clip(tmp_path / "a.mp4", interlaced=True, frames=10, size=(128, 160))
    source, *frames = read(path)
    assert source.info.details["interlaced"]
    assert any("deinterlaced" in note for note in source.notes)
    assert [time for time, _ in frames] == [time for time, _ in read(path)[1:]]
    assert len(frames) == 10
    combed = [np.abs(np.diff(planes[0][20:].astype(int), axis=0)).mean() for _, planes in frames]
    progressive = np.abs(np.diff(clips.luma(5, 10, (128, 160))[20:].astype(int), axis=0)).mean()
    assert combed[5] < 1.6 * progressive


def test_picture_sequences_and_gif(tmp_path):
    pattern = clips.make_pictures(tmp_path / "frames", frames=5, first=998)
    source, *frames = read(pattern)
    assert source.info.format == "gbrp"
    assert source.info.color.matrix == "rgb"
    assert [clips.number(planes[0]) for _, planes in frames] == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(frames[3][1][0], clips.luma(3, 5, (120, 160)))
    gif, *frames = read(clips.make_gif(tmp_path / "a.gif"))
    assert [clips.number(planes[0]) for _, planes in frames] == list(range(6))
    assert [time * gif.info.time_base for time, _ in frames] == [Fraction(i, 10) for i in range(6)]


@pytest.mark.parametrize(
    ("tags", "size", "matrix", "full"),
    [
        ((1, 1, 1, 1), (64, 96), "bt709", False),
        ((6, 6, 6, 1), (720, 96), "bt601", False),
        ((9, 9, 16, 1), (64, 96), "bt2020", False),
        ((1, 1, 1, 2), (64, 96), "bt709", True),
        ((2, 2, 2, 0), (64, 96), "bt601", False),
        ((2, 2, 2, 0), (576, 96), "bt601", False),
        ((2, 2, 2, 0), (578, 96), "bt709", False),
        ((2, 2, 2, 0), (64, 1280), "bt709", False),
        ((2, 2, 2, 0), (64, 1278), "bt601", False),
    ],
)
def test_colour_tags_are_read_or_guessed_by_size(tmp_path, tags, size, matrix, full):
    path = clips.make_clip(tmp_path / "a.mp4", tags=tags, size=size, frames=2)
    color = open_video(path).info.color
    assert (color.matrix, color.full_range) == (matrix, full)
    assert (color.matrix_tag, color.primaries, color.transfer) == tags[:3]
    assert (open_video(path).info.details["hdr"] is not None) == (tags[2] == 16)


def test_a_cut_out_of_the_middle(tmp_path):
    path = clips.make_clip(tmp_path / "a.mp4", frames=100)
    _, *frames = read(path, start=1.0, end=2.0)
    assert [clips.number(planes[0]) for _, planes in frames] == list(range(25, 50))
    assert frames[0][0] * open_video(path).info.time_base == 1
    with pytest.raises(InputError, match="no frame at or after"):
        open_video(path, start=100)
    with pytest.raises(UsageError, match="later than start"):
        open_video(path, start=3, end=2)


def test_transport_streams_keep_their_clock(tmp_path):
    path = clips.make_clip(tmp_path / "a.ts", frames=10)
    source, *frames = read(path)
    assert source.info.details["arbitrary_clock"]
    assert len(frames) == 10
    assert set(np.diff([time for time, _ in frames])) == {3600}


def test_raw_streams_without_times_get_rising_ones(tmp_path):
    path = clips.make_clip(tmp_path / "a.h264", frames=10, options={"preset": "ultrafast", "bf": "0"})
    _, *frames = read(path)
    times = [time for time, _ in frames]
    assert len(times) == 10
    assert times == sorted(set(times))


def test_truncated_files_give_what_is_whole(tmp_path):
    whole = clips.make_clip(tmp_path / "a.mkv", frames=100)
    data = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) * 6 // 10])
    source, *frames = read(cut)
    assert 30 < len(frames) < 90
    assert [clips.number(planes[0]) for _, planes in frames[:20]] == list(range(20))
    assert [note for note in source.notes if "is missing: its video ends at" in note and "of 4.0" in note]
    assert read(cut, end=1)[0].notes == []
    assert read(whole)[0].notes == []


@pytest.mark.parametrize("kind", ["mkv", "webm", "mp4", "avi"])
def test_the_smallest_missing_end_is_named(tmp_path, kind):
    codec = {"webm": "libvpx", "avi": "mpeg4"}.get(kind, "libx264")
    whole = clips.make_clip(
        tmp_path / f"a.{kind}", frames=50, codec=codec, options={} if codec == "mpeg4" else None
    )
    if kind == "mp4":  # with the index first, as it is otherwise not readable at all
        fast = tmp_path / "fast.mp4"
        with whole.open("rb") as source, fast.open("wb") as target:
            assert write_index_first(source, target)
        whole = fast
    assert read(whole)[0].notes == []
    cut = tmp_path / f"cut.{kind}"
    for missing in (1, 400):
        cut.write_bytes(whole.read_bytes()[:-missing])
        notes = read(cut)[0].notes
        assert [
            note for note in notes if f"is missing: {missing} of {whole.stat().st_size:,} bytes" in note
        ], notes


def test_longer_sound_is_no_missing_end(tmp_path):
    """The picture of the second half is cut out of the file; its sound, and the file's length, stay."""
    import av

    for kind in ("mkv", "mp4"):
        whole = clips.make_clip(tmp_path / f"a.{kind}", frames=100, audio=1)
        short = tmp_path / f"short.{kind}"
        with av.open(str(whole)) as old, av.open(str(short), "w") as new:
            copies = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
            for packet in old.demux():
                late = packet.stream.type == "video" and packet.dts and packet.dts * packet.time_base > 2
                if packet.size and not late:
                    packet.stream = copies[packet.stream.index]
                    new.mux(packet)
        source, *frames = read(short)
        assert (len(frames) < 60, source.notes) == (True, []), kind


def test_damage_is_counted_and_the_rest_is_read(tmp_path):
    path = clips.make_clip(
        tmp_path / "a.mp4", frames=60, options={"preset": "ultrafast", "g": "10", "crf": "8"}
    )
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(1)
    begin = data.index(b"mdat") + len(data) // 4
    data[begin : begin + 3000] = noise.integers(0, 256, 3000, np.uint8).tobytes()
    path.write_bytes(bytes(data))
    source, *frames = read(path)
    assert source.damaged > 0
    assert len(frames) > 40
    assert clips.number(frames[-1][1][0]) == 59


def test_an_address_is_no_file():
    with pytest.raises(InputError, match="http://127.0.0.1:9/a.mp4 is a URL: download it"):
        open_video("http://127.0.0.1:9/a.mp4")


def test_every_byte_position_may_be_cut(tmp_path):
    data = clips.make_clip(tmp_path / "a.mp4", frames=8).read_bytes()
    cut = tmp_path / "cut.mp4"
    for size in range(0, len(data), len(data) // 25):
        cut.write_bytes(data[:size])
        try:
            read(cut)
        except InputError as error:
            assert "\n" not in str(error)


def test_bad_input_gets_one_line(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.txt").write_text("hello " * 500)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(9000))
    clips.make_pictures(tmp_path / "pictures", frames=1)
    moov = clips.make_clip(tmp_path / "whole.mp4", frames=5).read_bytes()
    (tmp_path / "nomoov.mp4").write_bytes(moov[: moov.index(b"moov") - 4])
    cases = {
        "missing.mp4": "no such file", ".": "is a directory", "empty.mp4": "empty",
        "notes.txt": "not a media file",
        "noise.mp4": "not a media file", "nomoov.mp4": "cut off",
        "pictures/x%03d.png": "matches this pattern",
    }  # fmt: skip
    for name, words in cases.items():
        with pytest.raises(InputError, match=words) as caught:
            open_video(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_sound_alone_is_no_video(tmp_path):
    import av

    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        voice = out.add_stream("aac", rate=48000)
        clips._sing(out, voice, 440, 0.5)
    with pytest.raises(InputError, match="no video stream, only audio"):
        open_video(path)


def test_a_cover_picture_is_no_video(tmp_path):
    import av
    from av.stream import Disposition

    path = tmp_path / "a.m4a"
    jpeg = clips.make_jpeg(tmp_path / "cover.jpg").read_bytes()
    with av.open(str(path), "w", format="mp4") as out:
        voice = out.add_stream("aac", rate=48000)
        cover = out.add_mux_stream("mjpeg", width=160, height=120)
        cover.time_base = Fraction(1, 90000)
        cover.disposition = Disposition.attached_pic
        packet = av.Packet(jpeg)
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 90000), cover, True
        out.mux(packet)
        clips._sing(out, voice, 440, 0.5)
    with pytest.raises(InputError, match="cover picture"):
        open_video(path)


@pytest.mark.parametrize(("width", "words"), [(20000, "20000x100"), (40000, "40000x")])
def test_huge_pictures_are_refused_by_their_header(tmp_path, width, words):
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, 100 if width < 30000 else 30000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    body = chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body)
    with pytest.raises(InputError, match=words):
        open_video(path)


def test_closing_from_another_thread_ends_the_reading(tmp_path):
    source = open_video(clips.make_clip(tmp_path / "a.mp4", frames=100))
    closers = []
    count = 0
    for _ in source:
        count += 1
        if count == 5:
            closers = [threading.Thread(target=source.close) for _ in range(3)]
            for closer in closers:
                closer.start()
    for closer in closers:
        closer.join()
    assert count < 100
    source.close()
    with pytest.raises(InputError, match="iterated only once"):
        next(iter(source))


def test_planes_outlive_the_source_and_cannot_be_written(tmp_path):
    source = open_video(clips.make_clip(tmp_path / "a.mp4", frames=30))
    kept = [frame.planes[0] for frame in source]
    source.close()
    assert [clips.number(plane) for plane in kept] == list(range(30))
    with pytest.raises(ValueError, match="read-only"):
        kept[0][0, 0] = 1


@pytest.mark.parametrize("codec", ["mpeg4", "ffv1"])
def test_an_empty_packet_is_the_same_picture_again(tmp_path, codec):
    path = clips.make_clip(tmp_path / "a.nut", frames=6, codec=codec, options={"g": "1"})
    still = tmp_path / "still.nut"
    with av.open(str(path)) as old, av.open(str(still), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.pts is not None:
                kept = packet if packet.pts * packet.time_base * 25 in (0, 3) else av.Packet(0)
                if kept is not packet:
                    kept.pts = kept.dts = packet.pts
                    kept.time_base, kept.duration = packet.time_base, packet.duration
                kept.stream = stream
                new.mux(kept)
    with open_video(still) as source:
        frames = [(frame.pts, clips.number(frame.planes[0])) for frame in source]
    assert [number for _, number in frames] == [0, 0, 0, 3, 3, 3]
    assert len({pts for pts, _ in frames}) == 6
    decode_beginning(str(still))
