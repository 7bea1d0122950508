"""Sound and covers that a container or encoder does not take as they are: the picture always comes out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
import pytest
from av.audio.resampler import AudioResampler
from av.stream import Disposition

from livematte.video import open_sink, open_video
from livematte.video.container import open_container
from tests import clips
from tests.integration.test_writer import render


def add_sound(clip: Path, target: Path, codec: str, rate: int, layout: str) -> Path:
    """Write ``target``: the pictures of ``clip``, and a second of noise in 16 bits (8 in ``pcm_u8``)."""
    with av.open(str(clip)) as old, av.open(str(target), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0])
        sound: Any = new.add_stream(codec, rate=rate, options={"strict": "experimental"})
        sound.codec_context.layout = layout
        sound.codec_context.time_base = Fraction(1, rate)
        sound.codec_context.open()
        channels = sound.codec_context.layout.nb_channels
        noise = np.random.default_rng(0).integers(-9000, 9000, (1, rate * channels), np.int16)
        frame = av.AudioFrame.from_ndarray(noise, "s16", layout)
        frame.sample_rate, frame.pts = rate, 0
        size = sound.codec_context.frame_size or 1024
        resampler = AudioResampler(sound.codec_context.format, layout, rate, size)
        for part in (frame, None):
            for piece in resampler.resample(part):
                new.mux(sound.encode(piece))
        new.mux(sound.encode(None))
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = video
                new.mux(packet)
    return target


def samples(path: Path) -> np.ndarray:
    """(channels, n) int32: the decoded sound."""
    with av.open(str(path)) as made:
        to_32_bits = AudioResampler("s32p")
        parts = [part for frame in made.decode(audio=0) for part in to_32_bits.resample(frame)]
    return np.concatenate([part.to_ndarray() for part in parts], axis=1)


@pytest.mark.parametrize(
    ("codec", "rate", "layout", "source", "target", "stored", "stored_rate", "stored_layout"),
    [
        ("libopus", 48000, "stereo", "mkv", "mov", "aac", 48000, "stereo"),
        ("flac", 44100, "5.1(side)", "mkv", "mov", "alac", 44100, "5.1"),
        ("flac", 44100, "stereo", "mkv", "mp4", "flac", 44100, "stereo"),
        ("tta", 48000, "stereo", "mkv", "mp4", "alac", 48000, "stereo"),
        ("wavpack", 96000, "5.1(side)", "mkv", "mov", "alac", 96000, "5.1"),
        ("ac3", 48000, "5.1(side)", "mkv", "webm", "opus", 48000, "5.1"),
        ("adpcm_ms", 22222, "mono", "avi", "mp4", "aac", 22050, "mono"),
        ("adpcm_ms", 11024, "stereo", "avi", "webm", "opus", 48000, "stereo"),
        ("wavpack", 192000, "mono", "mkv", "mp4", None, None, "mono"),
        ("vorbis", 192000, "stereo", "mkv", "mov", "aac", 96000, "stereo"),
        ("pcm_s16le", 48000, "4.0", "mkv", "webm", "opus", 48000, "quad"),  # Matroska names no layout
        ("pcm_s16le", 48000, "2.1", "mkv", "mov", "pcm_s16le", 48000, None),
        ("pcm_s24le", 48000, "stereo", "mov", "mp4", "alac", 48000, "stereo"),
        ("pcm_u8", 11025, "mono", "avi", "m4v", "alac", 11025, "mono"),
        ("pcm_f32le", 48000, "stereo", "mov", "mp4", "aac", 48000, "stereo"),
        ("pcm_f32le", 48000, "stereo", "mov", "mov", "pcm_f32le", 48000, "stereo"),
        ("pcm_s24le", 96000, "mono", "mov", "mkv", "pcm_s24le", 96000, None),
        ("vorbis", 48000, "stereo", "mkv", "mp4", "aac", 48000, "stereo"),
    ],
)
def test_every_sound_comes_out_as_the_container_takes_it(
    tmp_path, codec, rate, layout, source, target, stored, stored_rate, stored_layout
):
    picture = "mpeg4" if source == "avi" else "libx264"
    clip = clips.make_clip(tmp_path / f"clip.{source}", frames=25, codec=picture)
    clip = add_sound(clip, tmp_path / f"in.{source}", codec, rate, layout)
    out = render(clip, tmp_path / f"out.{target}", **({"preset": "8"} if target == "webm" else {}))
    with av.open(str(out.path)) as made:
        assert [stream.type for stream in made.streams] == ["video", "audio"]
        sound = made.streams.audio[0]
        name = sound.codec_context.codec.canonical_name
        assert stored in (name, None)
        assert sound.rate == (stored_rate or sound.rate)
        assert stored_layout in (sound.layout.name, None)
        assert sum(1 for _ in made.decode(video=0)) == 25
    notes = [note for note in out.notes if "audio" in note]
    copied = name == {"libopus": "opus"}.get(codec, codec)
    assert len(notes) == (0 if copied and (target, name) != ("mp4", "flac") else 1)
    before, after = samples(clip), samples(out.path)
    assert after.shape[1] / sound.rate == pytest.approx(before.shape[1] / rate, abs=0.06)
    if name == "alac":
        assert np.array_equal(np.sort(after[:, :1000], 0), np.sort(before[:, :1000], 0))


@pytest.mark.parametrize(
    ("layout", "target", "stored"),
    [
        ("2.1", "mp4", "5.1"), ("hexagonal", "mp4", "5.0"), ("quad(side)", "mp4", "5.0"),
        ("6.0", "mp4", "5.0"),
        ("5.0", "webm", "5.1"), ("6.1", "webm", "5.1"), ("3.0(back)", "webm", "quad"),
    ],
)  # fmt: skip
def test_every_channel_keeps_its_place_or_is_mixed_and_the_note_says_so(tmp_path, layout, target, stored):
    clip = clips.make_clip(tmp_path / "clip.mov", frames=25)
    clip = add_sound(clip, tmp_path / "in.mov", "pcm_s16le", 48000, layout)
    out = render(clip, tmp_path / f"out.{target}", **({"preset": "8"} if target == "webm" else {}))
    with av.open(str(out.path)) as made:
        frame = next(made.decode(audio=0))
    assert frame.layout.name == stored
    assert [note for note in out.notes if f"{layout} becomes {stored}" in note], out.notes
    names = [channel.name for channel in frame.layout.channels]
    loud = np.abs(samples(out.path)[:, 4800:].astype(float)).max(1) > 1 << 24
    wanted = {channel.name.replace("S", "B") for channel in av.AudioLayout(layout).channels} - {"BC"}
    assert wanted <= {name.replace("S", "B") for name, heard in zip(names, loud, strict=True) if heard}


TONES = {"FL": 500, "FR": 700, "FC": 900, "LFE": 60, "SL": 1100, "SR": 1300, "BL": 1500, "BR": 1700}
"""Hertz of each channel, in the order in which MOV stores 7.1 (its tag MPEG_7_1_C)."""


def with_swapped_channels(target: Path) -> Path:
    """A MOV with sound in 7.1, whose channels beside stand before those behind."""
    clip = clips.make_clip(target.with_name("clip.mov"), frames=25)
    times = np.arange(48000) / 48000
    wave = np.stack([9000 * np.sin(2 * np.pi * pitch * times) for pitch in TONES.values()], 1)
    with av.open(str(clip)) as old, av.open(str(target), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0])
        sound: Any = new.add_stream("pcm_s16le", rate=48000)
        sound.codec_context.layout = "7.1"
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16).reshape(1, -1), "s16", "7.1")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        new.mux(sound.encode(frame))
        new.mux(sound.encode(None))
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = video
                new.mux(packet)
    data = target.read_bytes()
    begin = data.index(b"chan", data.index(b"stsd")) + 8
    target.write_bytes(data[:begin] + (128 << 16 | 8).to_bytes(4, "big") + bytes(4) + data[begin + 8 :])
    return target


@pytest.mark.parametrize("target", ["mp4", "webm", "mov", "mkv"])
def test_channels_in_another_order_do_not_end_the_process(tmp_path, target):
    """PyAV frees such a layout twice. So all of it runs in another process, also the check."""
    clip, path = with_swapped_channels(tmp_path / "in.mov"), tmp_path / f"out.{target}"
    code = (
        "import sys; from livematte.video import open_video, open_sink;"
        "source = open_video(sys.argv[1]); codec = 'vp9' if sys.argv[2].endswith('webm') else 'x264';"
        "sink = open_sink(sys.argv[2], source.info, copy_streams_from=sys.argv[1], codec=codec);"
        "[sink.write(frame) for frame in source]; sink.close(); print(source.info.details['streams'][1])"
    )
    done = subprocess.run([sys.executable, "-c", code, clip, path], capture_output=True, text=True)
    assert done.returncode == 0 and "'layout': '7.1'" in done.stdout, done.stderr
    if target == "mov":
        return  # copied
    with open_container(path) as made:
        assert made.streams.audio[0].codec_context.name in ("aac", "opus", "flac")
        frames = list(made.decode(audio=0))
    names = [channel.name for channel in frames[0].layout.channels]
    assert frames[0].layout.name == "7.1"
    to_mono = {name: av.filter.Graph() for name in names}
    for name, graph in to_mono.items():
        first = frames[0]
        form = {"sample_rate": first.sample_rate, "format": first.format.name, "layout": "7.1"}
        steps = [graph.add_abuffer(**form, time_base=first.time_base), graph.add("pan", f"mono|c0={name}"),
                 graph.add("aformat", "sample_fmts=flt"), graph.add("abuffersink")]  # fmt: skip
        graph.link_nodes(*steps).configure()
        parts = []
        for frame in frames[4:-4]:
            graph.push(frame)
            parts.append(graph.pull().to_ndarray().ravel())
        spectrum = np.abs(np.fft.rfft(np.concatenate(parts)))
        assert spectrum.argmax() * 48000 / sum(map(len, parts)) == pytest.approx(TONES[name], abs=5), name


def test_a_layout_that_matroska_does_not_store_is_named(tmp_path):
    clip = clips.make_clip(tmp_path / "clip.mov", frames=25)
    clip = add_sound(clip, tmp_path / "in.mov", "pcm_s16le", 48000, "hexagonal")
    out = render(clip, tmp_path / "out.mkv")
    assert [note for note in out.notes if "hexagonal becomes 5.1, matroska stores no channel layout" in note]


def with_cover(target: Path, codec: str = "mjpeg") -> Path:
    """A clip of 10 pictures whose cover is one picture of ``codec``."""
    clip = clips.make_clip(target.with_name("plain" + target.suffix), frames=10, audio=1)
    form = "yuvj420p" if codec == "mjpeg" else "rgb24"
    encoder: Any = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, form, Fraction(1, 25)
    picture = clips.video_frame(0, 1, (48, 64)).reformat(format=form)
    data = b"".join(bytes(packet) for each in (picture, None) for packet in encoder.encode(each))
    with av.open(str(clip)) as old, av.open(str(target), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        if target.suffix == ".mkv":
            new.add_attachment(f"front.{codec}", {"mjpeg": "image/jpeg"}.get(codec, f"image/{codec}"), data)
        else:
            cover: Any = new.add_stream(codec, rate=25)
            cover.width, cover.height, cover.pix_fmt = 64, 48, form
            cover.disposition = Disposition.attached_pic
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 25)
            packet.is_keyframe = True
            new.start_encoding()
            new.mux(packet)
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return target


@pytest.mark.parametrize("codec", ["mjpeg", "png"])
@pytest.mark.parametrize("source", ["mp4", "mkv"])
@pytest.mark.parametrize("target", ["mp4", "mov", "mkv", "webm"])
def test_a_cover_stays_a_cover_or_is_dropped_with_a_note(tmp_path, source, target, codec):
    clip = with_cover(tmp_path / f"in.{source}", codec)
    with av.open(str(clip)) as made:
        data = next(bytes(packet) for packet in made.demux(video=1) if packet.size)
        role = made.streams.video[0].disposition
    out = render(clip, tmp_path / f"out.{target}", **({"preset": "8"} if target == "webm" else {}))
    notes = [note for note in out.notes if "cover" in note]
    with av.open(str(out.path)) as made:
        main, *others = made.streams.video
        assert main.codec_context is not None
        assert main.disposition == role or target in ("mp4", "mov")  # there a track is always on
        covers = [stream for stream in others if stream.disposition & Disposition.attached_pic]
        assert covers == others
        assert len(covers) + len(notes) == 1
        assert len(covers) == (target in KEEPS_COVERS)
        if covers:
            assert next(bytes(packet) for packet in made.demux(covers[0]) if packet.size) == data


KEEPS_COVERS = ("mp4", "mkv")


def test_a_cover_leaves_no_empty_track_in_a_file_whose_writer_was_killed(tmp_path):
    clip = with_cover(tmp_path / "in.mp4")
    killed = tmp_path / "killed.mp4"
    with open_video(clip) as source:
        info = replace(source.info, average_rate=Fraction(1))  # a key frame, and a fragment, every 12 frames
        sink = open_sink(tmp_path / "out.mp4", info, copy_streams_from=clip, codec="x264", preset="ultrafast")
        (*frames,) = source
        for number in range(300):
            frame = frames[number % len(frames)]
            sink.write(replace(frame, pts=number * frame.duration))
        killed.write_bytes(sink._file.temporary.read_bytes())
        sink.abort()
    with av.open(str(killed)) as made:
        names = [stream.codec_context and stream.codec_context.name for stream in made.streams]
        assert names[0] == "h264" and names[-1] == "mjpeg" and None not in names
        assert sum(1 for _ in made.decode(video=0)) > 100


def test_a_cover_leaves_no_empty_track_in_a_stream(tmp_path):
    clip, target = with_cover(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    code = (
        "import sys; from livematte.video import open_video, open_sink;"
        "source = open_video(sys.argv[1]);"
        "sink = open_sink('-', source.info, copy_streams_from=sys.argv[1], format='mp4', codec='x264');"
        "[sink.write(frame) for frame in source]; sink.close()"
    )
    with target.open("wb") as out:
        subprocess.run([sys.executable, "-c", code, str(clip)], stdout=out, check=True)
    with av.open(str(target)) as made:
        assert [stream.codec_context.name for stream in made.streams.video] == ["h264", "mjpeg"]


def test_dispositions_are_kept(tmp_path):
    plain = clips.make_clip(tmp_path / "plain.mkv", frames=25, audio=2, subtitles="subrip")
    clip = tmp_path / "in.mkv"
    wanted = [Disposition.default, Disposition(0), Disposition.default | Disposition.forced,
              Disposition.forced]  # fmt: skip
    with av.open(str(plain)) as old, av.open(str(clip), "w") as new:
        for stream, role in zip(old.streams, wanted, strict=True):
            new.add_stream_from_template(stream).disposition = role
        for packet in old.demux():
            if packet.size:
                packet.stream = new.streams[packet.stream_index]
                new.mux(packet)
    for target in ("out.mkv", "out.webm"):
        out = render(clip, tmp_path / target, **({"preset": "8"} if target == "out.webm" else {}))
        with av.open(str(out.path)) as made:
            assert [stream.disposition for stream in made.streams] == wanted


@pytest.mark.parametrize("target", ["mp4", "mkv", "webm"])
def test_sound_whose_clock_starts_again_does_not_end_the_job(tmp_path, target):
    part = clips.make_clip(tmp_path / "part.ts", frames=25, audio=1)
    clip = tmp_path / "in.ts"
    clip.write_bytes(part.read_bytes() * 2)
    out = render(clip, tmp_path / f"out.{target}", **({"preset": "8"} if target == "webm" else {}))
    assert not any("were not rising" in note for note in out.notes)
    with av.open(str(out.path)) as made:
        assert sum(1 for _ in made.decode(video=0)) == 50
    assert samples(out.path).shape[1] / 48000 == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize(
    ("target", "lost"), [("out.mkv", ""), ("out.mp4", ""), ("out.mov", "forced"), ("out.webm", "")]
)
def test_a_forced_subtitle_stays_forced_or_a_note_says_that_it_does_not(tmp_path, target, lost):
    plain = clips.make_clip(tmp_path / "plain.mkv", frames=25, subtitles="subrip", size=(48, 64))
    clip = tmp_path / "in.mkv"
    with av.open(str(plain)) as old, av.open(str(clip), "w") as new:
        for stream in old.streams:
            made = new.add_stream_from_template(stream)
            if stream.type == "subtitle":
                made.disposition = Disposition.forced
        for packet in old.demux():
            if packet.size:
                packet.stream = new.streams[packet.stream_index]
                new.mux(packet)
    out = render(clip, tmp_path / target)
    said = [note for note in out.notes if "does not store that it is" in note]
    with av.open(str(out.path)) as made:
        kept = bool(made.streams.subtitles[0].disposition & Disposition.forced)
    assert kept != bool(lost) and len(said) == bool(lost) and all(lost in note for note in said)


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.mov", "out.webm"])
def test_a_data_stream_is_dropped_with_a_note(tmp_path, target):
    clip = tmp_path / "in.ts"
    picture = clips.make_clip(tmp_path / "plain.ts", frames=5, size=(48, 64))
    with av.open(str(picture)) as old, av.open(str(clip), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0])
        data = new.add_data_stream()
        for packet in old.demux():
            if packet.size:
                packet.stream = video
                new.mux(packet)
        telemetry = av.Packet(b"height 12 m")
        telemetry.stream, telemetry.pts, telemetry.dts = data, 0, 0
        telemetry.time_base = Fraction(1, 90000)
        new.mux(telemetry)
    with av.open(str(clip)) as made:
        assert [stream.type for stream in made.streams] == ["video", "data"]
    notes = [note for note in render(clip, tmp_path / target).notes if note.startswith("data stream 1")]
    assert len(notes) == 1 and "dropped" in notes[0]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_chapters_are_no_dropped_data_stream(tmp_path, suffix):
    clip = clips.make_clip(tmp_path / f"in{suffix}", frames=25, chapters=True, size=(48, 64))
    assert not [note for note in render(clip, tmp_path / f"out{suffix}").notes if "data" in note]


@pytest.mark.parametrize(("target", "kept"), [("mkv", True), ("webm", False), ("mp4", False), ("mov", False)])
def test_a_font_is_kept_or_dropped_with_a_note(tmp_path, target, kept):
    plain = clips.make_clip(tmp_path / "plain.mkv", frames=5, size=(48, 64))
    clip = tmp_path / "in.mkv"
    with av.open(str(plain)) as old, av.open(str(clip), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0])
        new.add_attachment("letters.ttf", "font/ttf", b"no real font")
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = video
                new.mux(packet)
    out = render(clip, tmp_path / f"out.{target}")
    with av.open(str(out.path)) as made:
        found = [(each.name, each.mimetype, each.data) for each in made.streams.attachments]
    assert found == ([("letters.ttf", "font/ttf", b"no real font")] if kept else [])
    assert any("attachment 'letters.ttf' dropped" in note for note in out.notes) == (not kept)


def with_hidden_sound(target: Path, hidden: Fraction, codec: str = "pcm_s16le") -> Path:
    """A clip of a second whose edit list hides the first ``hidden`` seconds of its sound."""
    plain = target.with_name("plain.mov" if codec == "pcm_s16le" else "plain.mp4")
    clip = clips.make_clip(plain, frames=25, audio=1, audio_codec=codec)
    with av.open(str(clip)) as old, av.open(str(target), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                if packet.stream.type == "audio":
                    packet.pts = packet.dts = packet.pts - round(hidden / packet.time_base)
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return target


@pytest.mark.parametrize(
    ("hidden", "codec"),
    [
        (Fraction(1, 2), "pcm_s16le"), (Fraction(0), "aac"), (Fraction(2, 25), "aac"),
        (Fraction(1, 2), "aac"), (Fraction(2, 25), "libopus"), (Fraction(1, 2), "libopus"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", ["mkv", "mp4"])
def test_copied_sound_is_heard_from_the_same_sample_on(tmp_path, target, hidden, codec):
    clip = with_hidden_sound(tmp_path / ("in.mov" if codec == "pcm_s16le" else "in.mp4"), hidden, codec)
    out = render(clip, tmp_path / f"out.{target}")
    expected, found = samples(clip), samples(out.path)
    assert found.shape == expected.shape
    # What a decoder keeps of hidden packets that are left out is gone after a tenth of a second.
    assert np.abs(found[:, 4800:] - expected[:, 4800:]).max() <= (1 << 20) * (codec != "pcm_s16le")
    with av.open(str(out.path)) as made:
        assert next(made.decode(video=0)).pts == 0
    if target == "mkv":  # and from there to Matroska again, whole and in part
        again = render(out.path, tmp_path / "again.mkv")
        assert samples(again.path).shape == expected.shape
        part = render(out.path, tmp_path / "part.mkv", start=0.2)
        assert samples(part.path).shape[1] == pytest.approx(expected.shape[1] - 9600, abs=1100)


def test_recoded_sound_is_heard_from_the_same_sample_on(tmp_path):
    clip = with_hidden_sound(tmp_path / "in.mov", Fraction(1, 2))
    out = render(clip, tmp_path / "out.webm", preset="8")
    assert samples(out.path).shape[1] == pytest.approx(24000, abs=1100)
    with av.open(str(out.path)) as made:
        first = next(made.decode(video=0))
        assert float(first.pts * first.time_base) < 0.025  # less than a packet of sound
