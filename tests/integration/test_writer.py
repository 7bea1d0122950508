"""What files are left: frames, times, sound, text and tags; and what a cut, a full disk or a mistake does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from livematte.errors import OutputError, UsageError
from livematte.frame import PIXEL_FORMATS, ColorInfo, Frame
from livematte.protocols import SourceInfo
from livematte.video import open_sink, open_video, write_image
from tests import clips


def render(source: Path, target: Path, *, start=None, end=None, **how):
    """A straight copy, decode to encode, as the engine does it."""
    video = open_video(source, start=start, end=end)
    sink = open_sink(target, video.info, copy_streams_from=source, start=start, end=end, **how)
    for frame in video:
        sink.write(frame)
    sink.close()
    video.close()
    return sink


def times(path: Path) -> list[Fraction]:
    with open_video(path) as source:  # a file left open takes its place on a full disk even when deleted
        return [frame.seconds for frame in source]


def debug_view_info(format: str = "yuva420p", size: tuple[int, int] = (120, 160), **more) -> SourceInfo:
    color = ColorInfo("rgb", True) if PIXEL_FORMATS[format].rgb else ColorInfo("bt601", False, matrix_tag=6)
    return SourceInfo("test", *size, format, Fraction(1, 25), Fraction(25), color=color, **more)


def ramp(i: int, info: SourceInfo) -> Frame:
    """Alpha is a ramp from 0 to 1 along the columns; colour a flat grey, the frame's number in V or R."""
    layout = PIXEL_FORMATS[info.format]
    dtype = np.uint8 if layout.depth == 8 else np.uint16
    small = layout.chroma_size(info.height, info.width)
    if layout.gray:
        steps = np.rint(np.linspace(0, layout.maximum, info.width)).astype(dtype)
        grey = np.tile(steps, (info.height, 1))
        return Frame((grey,), info.format, i, info.time_base, 1, info.color)
    planes = []
    for index in range(4 if layout.alpha else 3):
        size = small if index in (1, 2) else (info.height, info.width)
        value = layout.maximum // 2 + (i << (layout.depth - 8) if index == 2 else 0)
        planes.append(np.full(size, value, dtype))
    if layout.alpha:
        steps = np.linspace(0, layout.maximum, info.width)
        planes[3] = np.tile(np.rint(steps).astype(dtype), (info.height, 1))
    return Frame(tuple(planes), info.format, i, info.time_base, 1, info.color)


@pytest.mark.parametrize("kind", ["alpha", "foreground"])
@pytest.mark.parametrize(
    ("ending", "codec", "error"),
    [("mov", "prores", 0.01), ("mkv", "ffv1", 0.003), ("mp4", "h264", 0.02), ("webm", "vp9", 0.02)],
)
def test_a_matte_is_stored_for_compositing(tmp_path, kind, ending, codec, error):
    info = debug_view_info(size=(96, 160))
    target, frame = tmp_path / f"matte.{ending}", ramp(0, info)
    rows, columns = np.ogrid[:96, :160]
    hairs = 255 * (
        np.hypot(rows - 48, columns - 80) < 30 + 12 * np.sin(9 * np.arctan2(rows - 48, columns - 80))
    )
    frame.planes[3][...] = cv2.GaussianBlur(hairs.astype(np.uint8), (0, 0), 1)
    sink = open_sink(target, info, kind=kind)
    for i in range(3):
        sink.write(replace(frame, pts=i))
    sink.close()
    with av.open(str(target)) as made:
        assert made.streams.video[0].codec_context.codec.canonical_name == codec
    if kind == "alpha":
        with open_video(target) as source:
            for read in source:
                luma = read.planes[0] / (1 << (read.pixel_format.depth - 8))
                assert np.abs((luma - 16) / 219 - frame.planes[3] / 255).max() < error


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_variable_times_sound_and_tags_come_through_unchanged(tmp_path, kind):
    pts = [0, 1000, 1500, 4000, 4001, 9000, 12345, 20000, 30000]
    source = clips.make_clip(
        tmp_path / "in.mp4", frames=9, pts=pts, time_base=Fraction(1, 15360), audio=3, subtitles="mov_text",
        chapters=True, metadata={"title": "A name", "com.example.key": "kept"}, tags=(1, 1, 1, 1),
    )  # fmt: skip
    out = tmp_path / f"out.{kind}"
    sink = render(source, out)
    assert sink.notes == []
    assert times(out) == times(source)
    for k in range(3):
        assert clips.packets(out, "audio", k) == clips.packets(source, "audio", k)
    with av.open(str(out)) as made:
        assert [stream.metadata["language"] for stream in made.streams.audio] in (
            ["eng", "deu", "fra"], ["eng", "ger", "fra"],
        )  # fmt: skip
        assert [chapter["metadata"]["title"] for chapter in made.chapters()] == ["first", "second"]
        assert made.metadata["title"] == "A name"
        assert made.metadata["com.example.key"] == "kept"
        assert len(made.streams.video) == 1
    lines = [data for _, data in clips.packets(out, "subtitle") if len(data) > 2]
    assert lines == [data for _, data in clips.packets(source, "subtitle") if len(data) > 2]
    color = open_video(out).info.color
    assert (color.matrix_tag, color.primaries, color.transfer, color.range_tag) == (1, 1, 1, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.mp4", out.name])


def test_matroska_keeps_sound_text_attachments_and_chapters(tmp_path):
    source = clips.make_clip(tmp_path / "in.mkv", frames=50, audio=2, audio_codec="libopus",
                             subtitles="subrip", chapters=True, attachment=True)  # fmt: skip
    sink = render(source, tmp_path / "out.mkv")
    assert sink.notes == []
    for k in range(2):
        assert clips.packets(sink.path, "audio", k) == clips.packets(source, "audio", k)
    assert clips.packets(sink.path, "subtitle") == clips.packets(source, "subtitle")
    assert times(sink.path) == times(source)
    with av.open(str(sink.path)) as made:
        assert made.streams.attachments[0].data == b"kept"
        assert len(made.chapters()) == 2


def test_what_a_container_cannot_hold_is_recoded_and_said(tmp_path):
    source = clips.make_clip(tmp_path / "in.mkv", frames=50, audio=1, audio_codec="aac", subtitles="ass",
                             attachment=True)  # fmt: skip
    webm = render(source, tmp_path / "out.webm", preset="8")
    assert any("re-encoded from aac to opus" in note for note in webm.notes)
    assert any("to webvtt" in note for note in webm.notes)
    assert any("attachment 'notes.txt' dropped" in note for note in webm.notes)
    with av.open(str(webm.path)) as made:
        assert made.streams.audio[0].codec_context.name in ("opus", "libopus")
        sound = [frame.to_ndarray() for frame in made.decode(audio=0)]
    assert sum(part.shape[1] for part in sound) / 48000 == pytest.approx(2.0, abs=0.1)
    mp4 = render(source, tmp_path / "out.mp4")
    text = [data for _, data in clips.packets(mp4.path, "subtitle") if len(data) > 2]
    assert [line[2:8] for line in text] == [b"line 0", b"line 1"]
    starts = [time for time, data in clips.packets(mp4.path, "subtitle") if len(data) > 2]
    assert starts == [0, 1]


def test_streams_that_do_not_begin_at_zero_keep_their_distance(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", frames=20, pts=range(10, 30), audio=1)
    sink = render(source, tmp_path / "out.mp4")
    assert times(sink.path) == times(source)
    assert times(sink.path)[0] == Fraction(10, 25)
    assert clips.packets(sink.path) == clips.packets(source)


def test_transport_stream_clock_is_moved_to_zero_for_all_alike(tmp_path):
    source = clips.make_clip(tmp_path / "in.ts", frames=50, audio=1)
    sink = render(source, tmp_path / "out.mp4")
    before, after = times(source), times(sink.path)
    moved = before[0] - after[0]
    assert [time - moved for time in before] == after
    heard = [time for time, _ in clips.packets(source)], [time for time, _ in clips.packets(sink.path)]
    assert max(abs(a - moved - b) for a, b in zip(*heard, strict=True)) <= Fraction(1, 48000)
    assert min(after[0], heard[1][0]) >= Fraction(-1, 1000)
    assert after[0] < 1


def test_a_cut_begins_at_zero_with_its_sound(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", frames=100, audio=1, subtitles="mov_text", chapters=True)
    sink = render(source, tmp_path / "out.mp4", start=1.0, end=3.0)
    assert times(sink.path) == [Fraction(i, 25) for i in range(50)]
    planes = [np.array(frame.planes[0]) for frame in open_video(sink.path)]
    assert [clips.number(plane) for plane in planes] == list(range(25, 75))
    whole = [(time - 1, data) for time, data in clips.packets(source) if 1 <= time < 3]
    assert clips.packets(sink.path) == whole
    assert len(whole) >= 92  # 2 s of 1024 samples are 93.75 packets
    text = [(time, data[2:8]) for time, data in clips.packets(sink.path, "subtitle") if len(data) > 2]
    assert text == [(0, b"line 1"), (1, b"line 2")]
    with av.open(str(sink.path)) as made:
        spans = [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in made.chapters()]
    assert spans == [(0, 1), (1, 2)]


@pytest.mark.parametrize("size", [(121, 161), (120, 161), (121, 160)])
@pytest.mark.parametrize(
    ("kind", "codec"), [("mp4", "x264"), ("mp4", "x265"), ("webm", "vp9"), ("mov", "prores")]
)
def test_odd_sizes_stay_odd(tmp_path, size, kind, codec):
    source = clips.make_clip(tmp_path / "in.mkv", codec="ffv1", size=size, frames=3)
    sink = render(source, tmp_path / f"out.{kind}", codec=codec)
    made = open_video(sink.path)
    assert (made.info.height, made.info.width) == size
    planes = [np.array(frame.planes[0]) for frame in made]
    depth = PIXEL_FORMATS[made.info.format].depth
    assert [clips.number(plane, depth) for plane in planes] == [0, 1, 2]
    right, bottom = planes[0][:, -1] >> (depth - 8), planes[0][-1] >> (depth - 8)
    assert np.abs(right[:60].astype(int) - 40).max() < 12
    assert np.abs(bottom.astype(int) - 40).max() < 12


@pytest.mark.parametrize(
    ("source", "kind", "codec", "stored"),
    [
        ("yuv420p10le", "mp4", "x264", "yuv420p10le"), ("yuv444p", "mp4", "x264", "yuv444p"),
        ("yuv422p10le", "mkv", "x265", "yuv422p10le"), ("yuv420p12le", "mkv", "x265", "yuv420p12le"),
        ("yuv420p12le", "mkv", "x264", "yuv420p10le"), ("yuv420p10le", "mkv", "ffv1", "yuv420p10le"),
        ("gbrp", "mp4", "x264", "yuv420p"), ("gbrp", "mkv", "ffv1", "gbrp"),
        ("yuv420p", "mov", "prores", "yuv422p10le"),
        ("yuv422p12le", "mov", "prores", "yuv422p10le"), ("nv12", "mp4", "x264", "yuv420p"),
        ("yuv420p10le", "mp4", "av1", "yuv420p10le"), ("yuv444p", "webm", "vp9", "yuv444p"),
    ],
)  # fmt: skip
def test_pixel_formats_are_kept_or_the_nearest_is_named(tmp_path, source, kind, codec, stored):
    info = debug_view_info(source)
    if source == "nv12":
        frame = Frame((np.full((120, 160), 90, np.uint8), np.full((60, 80, 2), 120, np.uint8)), "nv12", 0,
                      info.time_base, 1, info.color)  # fmt: skip
    else:
        frame = ramp(0, info)
    sink = open_sink(tmp_path / f"a.{kind}", info, codec=codec)
    sink.write(frame)
    sink.close()
    made = open_video(sink.path)
    assert made.info.format == stored
    assert bool([note for note in sink.notes if "becomes" in note]) == (stored != source and source != "nv12")
    if source == "gbrp" and stored != "gbrp":
        assert (made.info.color.matrix, made.info.color.matrix_tag, made.info.color.full_range) == (
            "bt601",
            6,
            False,
        )


@pytest.mark.parametrize(
    ("source", "kind", "exact"),
    [
        ("yuva420p", "mov", 1), ("yuva444p10le", "mov", 1), ("gbrap", "mov", 1), ("yuva420p", "webm", 3),
        ("yuva422p", "webm", 3), ("gbrap", "webm", 3), ("yuva420p", "mkv", 0), ("yuva444p10le", "mkv", 0),
        ("gbrap", "mkv", 0), ("yuva422p12le", "mkv", 0), ("yuva420p", "png", 0), ("gbrap", "png", 0),
        ("yuva420p10le", "png", 1), ("yuva444p12le", "png", 1),
    ],
)  # fmt: skip
def test_alpha_comes_back_straight(tmp_path, source, kind, exact):
    """``exact`` is the largest error allowed, in steps of 1/255 (VP9 is lossy)."""
    info = debug_view_info(source)
    target = tmp_path / "frames" / "%03d.png" if kind == "png" else tmp_path / f"a.{kind}"
    sink = open_sink(target, info, alpha=True)
    given = [ramp(i, info) for i in range(4)]
    for frame in given:
        sink.write(frame)
    sink.close()
    made = open_video(target)
    assert made.info.format[:4] in ("yuva", "gbra")
    got = list(made)
    assert len(got) == 4
    top, source_top = PIXEL_FORMATS[made.info.format].maximum, PIXEL_FORMATS[source].maximum
    for frame, wanted in zip(got, given, strict=True):
        error = np.abs(frame.planes[3] / top - wanted.planes[3] / source_top) * 255
        assert error.max() <= exact + 0.01
        # The colour is not darkened where alpha is 0: straight, not premultiplied.
        colour, given_colour = np.array(frame.planes[0]) / top, wanted.planes[0] / source_top
        if made.info.color.matrix == info.color.matrix:
            assert np.abs(colour - given_colour).max() * 255 <= 3


def test_alpha_that_cannot_be_is_refused(tmp_path):
    for name, how in {
        "a.mp4": {},
        "a.mov": {"codec": "x264"},
        "a.webm": {"codec": "av1"},
        "a.gif": {},
    }.items():
        with pytest.raises(UsageError, match="ProRes 4444"):
            open_sink(tmp_path / name, debug_view_info(), alpha=True, **how)
    sink = open_sink(tmp_path / "a.mov", debug_view_info(), alpha=True)
    with pytest.raises(OutputError, match="has no alpha"):
        sink.write(ramp(0, debug_view_info("yuv420p")))
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["yuva420p", "gbrap", "yuva444p10le", "gray"])
def test_a_matte_is_a_grey_video_from_black_to_white(tmp_path, format):
    info = debug_view_info(format)
    sink = open_sink(tmp_path / "matte.mp4", info, kind="alpha", crf=1)
    sink.write(ramp(0, info))
    sink.close()
    made = open_video(sink.path)
    (frame,) = made
    depth = frame.pixel_format.depth
    assert (made.info.format, made.info.color.range_tag) == ("yuv420p", 1)
    wanted = 16 + 219 * np.linspace(0, 1, 160)
    assert np.abs(frame.planes[0][60] / (1 << depth - 8) - wanted).max() < 2
    assert np.abs(frame.planes[1] / (1 << depth - 8) - 128).max() <= 1


def test_full_range_and_hdr_tags_are_kept(tmp_path):
    tags = (9, 9, 16, 2)
    source = clips.make_clip(tmp_path / "in.mp4", format="yuv420p10le", tags=tags, frames=30)
    for name, codec in {
        "a.mp4": "x264",
        "b.mp4": "x265",
        "c.webm": "vp9",
        "d.mkv": "ffv1",
        "e.mp4": "av1",
    }.items():
        sink = render(source, tmp_path / name, codec=codec)
        color = open_video(sink.path).info.color
        assert (color.matrix_tag, color.primaries, color.transfer, color.range_tag) == tags, codec
    sink = render(source, tmp_path / "f.mov", codec="prores")
    assert any("full range becomes limited" in note for note in sink.notes)
    first = next(iter(open_video(sink.path)))
    assert abs(int(first.planes[0][40, 5]) - (64 + 161 * 876 / 1023)) < 3


def test_turned_source_is_not_turned_twice(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", rotation=90, frames=3)
    sink = render(source, tmp_path / "out.mp4")
    made = open_video(sink.path)
    assert (made.info.height, made.info.width, made.info.details["rotation"]) == (160, 120, 0)


def test_stopping_keeps_what_there_is(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", frames=60, audio=1)
    old = tmp_path / "out.mp4"
    for step in range(3):
        video = open_video(source)
        sink = open_sink(old, video.info, copy_streams_from=source)
        for count, frame in enumerate(video):
            if count == 33:
                break
            sink.write(frame)
        sink.abort()
        sink.close()
        kept = [old, tmp_path / "out.partial.mp4", tmp_path / "out.partial-2.mp4"][step]
        assert str(kept) in sink.notes[-1] and "33 frames" in sink.notes[-1]
        assert len(times(kept)) == 33
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ctrl_c_while_finishing_leaves_a_file_that_plays(tmp_path, end, monkeypatch):
    source = clips.make_clip(tmp_path / "in.mp4", frames=120)
    with open_video(source) as video:
        sink = open_sink(tmp_path / "out.mp4", video.info, preset="ultrafast")
        for frame in video:
            sink.write(frame)

    def interrupted(picture):
        raise KeyboardInterrupt

    monkeypatch.setattr(sink, "_mux", interrupted)
    with pytest.raises(KeyboardInterrupt):
        getattr(sink, end)()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]
    assert 0 < len(times(tmp_path / "out.mp4")) <= 120


def test_stopping_before_the_first_frame_leaves_nothing(tmp_path):
    old = tmp_path / "out.mp4"
    old.write_bytes(b"precious")
    sink = open_sink(old, debug_view_info("yuv420p"))
    sink.close()
    assert old.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [old]
    assert "no file was kept" in sink.notes[-1]


KILLED = """
import os, sys
from livematte.video import open_sink, open_video
video = open_video(sys.argv[1])
sink = open_sink(sys.argv[2], video.info, copy_streams_from=sys.argv[1], preset="ultrafast")
for count, frame in enumerate(video):
    sink.write(frame)
    if count == 220:
        os._exit(9)
"""


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm"])
def test_a_killed_render_leaves_a_file_that_plays(tmp_path, kind):
    source = clips.make_clip(tmp_path / "in.mp4", frames=250, size=(64, 96), audio=1)
    old = tmp_path / f"out.{kind}"
    old.write_bytes(b"precious")
    script = KILLED.replace('"ultrafast"', '"8"' if kind == "webm" else '"ultrafast"')
    subprocess.run([sys.executable, "-c", script, str(source), str(old)], check=False)
    assert old.read_bytes() == b"precious"
    (left,) = tmp_path.glob("out.rendering-*")
    assert len(times(left)) >= 50
    with av.open(str(left)) as made:
        assert sum(1 for _ in made.decode(audio=0)) > 50


LIMITED = """
import resource, sys
from livematte.errors import OutputError
from livematte.video import open_sink, open_video
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
video = open_video(sys.argv[1])
sink = open_sink(sys.argv[2], video.info, copy_streams_from=sys.argv[1], preset="ultrafast", crf=1)
try:
    for frame in video:
        sink.write(frame)
    sink.close()
except OutputError as error:
    print(error)
    sink.close()
print(sink.notes[-1])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits on Windows")
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_no_more_room_is_one_line_and_a_file_that_plays(tmp_path, kind):
    source = clips.make_clip(tmp_path / "in.mp4", frames=250, size=(64, 96), options={"crf": "1"})
    out = tmp_path / f"out.{kind}"
    limit = source.stat().st_size // 2
    done = subprocess.run([sys.executable, "-c", LIMITED, str(source), str(out), str(limit)], check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stderr == ""
    said, kept = done.stdout.splitlines()
    assert "exceeds the allowed file size after" in said
    frames = len(times(out))
    assert f"{out} holds the first {frames} frames" in kept
    assert frames > 20


def test_a_full_disk_is_one_line_and_a_file_that_plays(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.name != "posix" or os.geteuid() != 0:
        pytest.skip("a small tmpfs needs root")
    if subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)], capture_output=True
    ).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        old = disk / "out.mp4"
        old.write_bytes(b"precious")
        source = clips.make_clip(tmp_path / "in.mp4", frames=250, size=(120, 160))
        video = open_video(source)
        sink = open_sink(old, video.info, copy_streams_from=source, preset="ultrafast", crf=1)
        with pytest.raises(OutputError, match="disk is full after"):
            for frame in video:
                sink.write(frame)
            sink.close()
        sink.close()
        assert old.read_bytes() == b"precious"
        kept = disk / "out.partial.mp4"
        assert f"{kept} holds the first {len(times(kept))} frames" in sink.notes[-1]
        picture = next(iter(open_video(source)))
        with pytest.raises(OutputError, match="disk is full"):
            write_image(disk / "a.bmp", replace_size(picture))
        assert not (disk / "a.bmp").exists()
        kept.unlink()
        pictures = open_sink(disk / "pictures" / "%d.png", debug_view_info("gbrp"))
        with pytest.raises(OutputError, match="disk is full after"):
            for i in range(200):
                pictures.write(noisy(i))
        pictures.abort()
        left = sorted((disk / "pictures").iterdir())
        assert len(left) == pictures.frames > 0
        assert all(len(times(path)) == 1 for path in left)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def noisy(i: int) -> Frame:
    """A picture that no encoder makes small."""
    frame = ramp(i, debug_view_info("gbrp"))
    noise = np.random.default_rng(i)
    return replace(
        frame, planes=tuple(noise.integers(0, 256, plane.shape, np.uint8) for plane in frame.planes)
    )


def replace_size(frame: Frame) -> Frame:
    """A picture of 900 x 900, too large for the small disk."""
    planes = (np.zeros((900, 900), np.uint8), *(np.full((450, 450), 128, np.uint8) for _ in range(2)))
    return replace(frame, planes=planes)


def test_mistakes_get_one_line_before_anything_is_written(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", frames=3)
    info = open_video(source).info
    (tmp_path / "link.mp4").symlink_to(source)
    os.link(source, tmp_path / "hard.mp4")
    before = sorted(tmp_path.iterdir())
    usage = {
        "in.mp4": {}, "link.mp4": {}, "hard.mp4": {}, "a.gif": {}, "a.xyz": {}, "a": {}, "a.png": {},
        "b.mp4": {"codec": "x266"}, "c.mp4": {"crf": 99}, "d.mp4": {"preset": "warp"},
        "e.webm": {"codec": "x264"},
        "f.mp4": {"codec": "prores"},
    }  # fmt: skip
    for name, how in usage.items():
        with pytest.raises(UsageError) as caught:
            open_sink(tmp_path / name, info, copy_streams_from=source, **how)
        assert "\n" not in str(caught.value)
    for target in (tmp_path, tmp_path / "no" / "where.mp4", source / "x.mp4"):
        with pytest.raises(OutputError) as caught:
            open_sink(target, info)
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    assert len(times(source)) == 3


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no device files here")
def test_a_device_is_not_replaced_by_a_file(tmp_path):
    (tmp_path / "null.mp4").symlink_to("/dev/null")
    with pytest.raises(OutputError, match="not a regular file"):
        open_sink(tmp_path / "null.mp4", debug_view_info("yuv420p"))


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "out.mp4", tmp_path / "link.mp4"
    real.write_bytes(b"old")
    link.symlink_to(real)
    sink = open_sink(link, debug_view_info("yuv420p"))
    sink.write(ramp(0, debug_view_info("yuv420p")))
    sink.close()
    assert link.is_symlink()
    assert len(times(real)) == 1


def test_pictures_land_together(tmp_path):
    info = debug_view_info("yuv420p")
    folder = tmp_path / "frames"
    sink = open_sink(folder / "%06d.png", info)
    sink.write(ramp(0, info))
    assert not folder.exists()
    sink.close()
    assert [path.name for path in folder.iterdir()] == ["000001.png"]
    sink = open_sink(folder / "%02d.png", info, kind="alpha")
    sink.write(ramp(0, debug_view_info("yuva420p")))
    sink.abort()
    assert [path.name for path in (tmp_path / "frames.partial").iterdir()] == ["01.png"]
    (frame,) = open_video(tmp_path / "frames.partial" / "01.png")
    np.testing.assert_array_equal(frame.planes[0][7], ramp(0, debug_view_info("yuva420p")).planes[3][7])


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("format", ["yuv420p", "yuv444p10le", "gbrp", "yuva420p", "gbrap"])
def test_one_picture_in_every_file_type(tmp_path, suffix, format):
    """A saturated colour tells whether matrix and range were right: BT.709 limited green and its RGB."""
    rgb = PIXEL_FORMATS[format].rgb
    color = ColorInfo("rgb", True) if rgb else ColorInfo("bt709", False, 1, 1, 1, 1)
    depth = PIXEL_FORMATS[format].depth
    # (0.1, 0.7, 0.3) in RGB
    y = 0.2126 * 0.1 + 0.7152 * 0.7 + 0.0722 * 0.3
    levels = [0.7, 0.3, 0.1] if rgb else [(16 + 219 * y) / 255, (128 + 224 * (0.3 - y) / 1.8556) / 255,
                                          (128 + 224 * (0.1 - y) / 1.5748) / 255]  # fmt: skip
    dtype = np.uint8 if depth == 8 else np.uint16
    scale = 255 if depth == 8 else 255 * 4
    small = PIXEL_FORMATS[format].chroma_size(60, 80)
    planes = [np.full((60, 80) if k == 0 else small, round(v * scale), dtype) for k, v in enumerate(levels)]
    if PIXEL_FORMATS[format].alpha:
        planes.append(np.full((60, 80), 200, dtype))
    path = tmp_path / f"a.{suffix}"
    write_image(path, Frame(tuple(planes), format, 0, Fraction(1, 25), color=color))
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
        if suffix == "jpg":
            picture.colorspace = 5
        got = picture.reformat(format="rgba", src_color_range=2 if suffix == "jpg" else None).to_ndarray()[
            30, 40
        ]
    assert got[:3].astype(int) == pytest.approx([26, 178, 76], abs=4)
    carried = PIXEL_FORMATS[format].alpha and suffix not in ("jpg", "bmp")
    assert got[3] == (200 if carried else 255)


def test_memory_does_not_grow_with_sparse_subtitles(tmp_path):
    """Copied packets are muxed as the picture advances, not read ahead: the second reading stays near."""
    source = clips.make_clip(tmp_path / "in.mkv", frames=200, size=(64, 96), audio=2, subtitles="subrip")
    video = open_video(source)
    sink = open_sink(tmp_path / "out.mkv", video.info, copy_streams_from=source)
    for frame in video:
        sink.write(frame)
        waiting = sink._passthrough._next
        if waiting is not None and waiting.dts is not None:
            assert waiting.dts * waiting.time_base <= frame.seconds + 1
    sink.close()


def test_matroska_hides_the_priming_of_an_encoder(tmp_path):
    """Neither is the lead-in that an MP4 hides heard, nor are the pictures later."""
    clip = clips.make_clip(tmp_path / "a.mp4", frames=20, audio=1)
    first = render(clip, tmp_path / "b.mkv")
    assert times(first.path) == times(clip)
    assert not [note for note in first.notes if "priming" in note]
    for name in ("c.mkv", "d.webm"):
        again = render(tmp_path / "b.mkv", tmp_path / name)
        assert times(again.path) == times(first.path), name


def test_svt_says_nothing_past_the_log(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", frames=3)
    code = (
        "import sys; from livematte.video import open_sink, open_video; video = open_video(sys.argv[1]);"
        "sink = open_sink(sys.argv[2], video.info, codec='svt-av1', preset='10');"
        "[sink.write(frame) for frame in video]; sink.close()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(source), str(tmp_path / "out.mp4")], check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")
    assert len(times(tmp_path / "out.mp4")) == 3


@pytest.mark.parametrize(
    ("kind", "codec"), [("mp4", "x264"), ("mkv", "x264"), ("mp4", "svt-av1"), ("webm", "vp9")]
)
def test_a_rate_of_one_frame_per_millisecond_is_not_believed(tmp_path, kind, codec):
    pts = [40 * i + (i * 7) % 11 for i in range(150)]
    source = clips.make_clip(tmp_path / "in.mkv", frames=150, pts=pts, rate=1000, time_base=Fraction(1, 1000))
    with av.open(str(source)) as made:
        assert made.streams.video[0].average_rate == 1000
    assert open_video(source).info.average_rate == pytest.approx(25, abs=0.1)
    out = render(source, tmp_path / f"out.{kind}", codec=codec, preset="veryfast" if codec == "x264" else "8")
    assert times(out.path) == times(source)
    with av.open(str(out.path)) as made:
        assert made.streams.video[0].average_rate == pytest.approx(25, abs=0.5)
        keys = [packet.pts for packet in made.demux(video=0) if packet.size and packet.is_keyframe]
    assert len(keys) >= 3


def test_svt_takes_more_than_240_frames_a_second(tmp_path):
    source = clips.make_clip(tmp_path / "in.mp4", frames=30, rate=480)
    assert open_video(source).info.average_rate == 480
    out = render(source, tmp_path / "out.mp4", codec="svt-av1", preset="10")
    assert times(out.path) == times(source)
