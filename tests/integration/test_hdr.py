"""HDR10's static metadata from file to file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livematte.video import open_sink, open_video
from tests import clips

GRADED: dict[str, dict[str, Any]] = {
    "mastering_display": {
        "red": [0.68, 0.32], "green": [0.265, 0.69], "blue": [0.15, 0.06], "white": [0.3127, 0.329],
        "luminance": [0.005, 1000.0],
    },
    "content_light": {"brightest_pixel": 987, "brightest_frame": 123},
}  # fmt: skip
"""A P3 display of 1000 cd/m²; below, in the words of SEI."""

SEI = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=987,123"


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.make_clip(
        tmp_path_factory.mktemp("hdr") / "graded.mp4", frames=4, format="yuv420p10le", codec="libx265",
        options={"x265-params": f"log-level=error:{SEI}"},
    )  # fmt: skip


def light(path: Path) -> dict[str, Any]:
    with open_video(path) as source:
        details = source.info.details
        assert json.loads(json.dumps(dict(details))) == details
        return {key: details[key] for key in GRADED if key in details}


def copy(source: Path, target: Path, **options: Any) -> list[str]:
    with open_video(source) as video:
        sink = open_sink(target, video.info, **options)
        for frame in video:
            sink.write(frame)
        sink.close()
    return sink.notes


def test_the_reader_tells_it(graded: Path) -> None:
    assert light(graded) == GRADED


@pytest.mark.parametrize(
    ("codec", "suffix"), [("x264", "mp4"), ("x265", "mkv"), ("x265", "mov"), ("av1", "mp4")]
)
def test_encoders_that_can_carry_it_on(graded: Path, tmp_path: Path, codec: str, suffix: str) -> None:
    notes = copy(graded, tmp_path / f"out.{suffix}", codec=codec)
    made = light(tmp_path / f"out.{suffix}")
    assert not [note for note in notes if "HDR" in note]
    assert made["content_light"] == GRADED["content_light"]
    for name, values in GRADED["mastering_display"].items():
        assert made["mastering_display"][name] == pytest.approx(values, abs=2e-5, rel=2e-5), name


@pytest.mark.parametrize(("codec", "suffix"), [("vp9", "webm"), ("prores", "mov"), ("ffv1", "mkv")])
def test_others_say_that_they_leave_it_out(graded: Path, tmp_path: Path, codec: str, suffix: str) -> None:
    notes = copy(graded, tmp_path / f"out.{suffix}", codec=codec)
    assert light(tmp_path / f"out.{suffix}") == {}
    assert [note for note in notes if note.startswith("HDR mastering display")]


def test_a_matte_is_no_graded_picture(graded: Path, tmp_path: Path) -> None:
    notes = copy(graded, tmp_path / "alpha.mp4", kind="alpha")
    assert light(tmp_path / "alpha.mp4") == {}
    assert not [note for note in notes if "HDR" in note]


def test_a_display_that_cannot_be_does_not_stop_the_render(tmp_path: Path) -> None:
    """Darkest and brightest are the same in this file; x264 would refuse that."""
    odd = SEI.replace("L(10000000,50)", "L(50,50)")
    source = clips.make_clip(
        tmp_path / "odd.mp4", frames=3, format="yuv420p10le", codec="libx265",
        options={"x265-params": f"log-level=error:{odd}"},
    )  # fmt: skip
    copy(source, tmp_path / "out.mp4")
    assert light(tmp_path / "out.mp4") == {"content_light": GRADED["content_light"]}
    assert light(clips.make_clip(tmp_path / "plain.mp4", frames=2)) == {}


BT2020_HLG, BT2020_PQ, SDR = (9, 9, 18, 1), (9, 9, 16, 1), (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("codec", "format", "tags", "target", "stored", "profile"),
    [
        ("libx265", "yuv420p10le", BT2020_HLG, "mp4", "yuv420p10le", "Main 10"),
        ("libx265", "yuv422p10le", SDR, "mp4", "yuv420p10le", "Main 10"),
        ("libx265", "yuv420p12le", BT2020_PQ, "mov", "yuv420p10le", "Main 10"),
        ("libx264", "yuv422p10le", BT2020_HLG, "mp4", "yuv420p10le", "Main 10"),
        ("prores_ks", "yuv422p10le", SDR, "mp4", "yuv420p", "High"),
        ("libx264", "yuv420p10le", SDR, "m4v", "yuv420p", "High"),
        ("libx264", "yuv444p", SDR, "mp4", "yuv420p", "High"),
        ("prores_ks", "yuv422p10le", SDR, "mov", "yuv422p10le", "HQ"),
        ("libx264", "yuv420p", SDR, "mov", "yuv420p", "High"),
        ("libx265", "yuv420p10le", BT2020_HLG, "mkv", "yuv420p10le", "High 10"),
    ],
)
def test_mp4_and_mov_hold_what_players_read(
    tmp_path: Path, codec: str, format: str, tags: Any, target: str, stored: str, profile: str
) -> None:
    source = clips.make_clip(
        tmp_path / "in.mov", frames=3, size=(64, 96), codec=codec, format=format, tags=tags
    )
    out = tmp_path / f"out.{target}"
    notes = copy(source, out)
    with open_video(out) as made:
        details, color = made.info.details, made.info.color
        assert (made.info.format, details["profile"]) == (stored, profile)
        assert color.transfer == tags[2]
    with av.open(str(out)) as file:
        if details["codec"] == "hevc":
            assert file.streams.video[0].codec_tag == "hvc1"
    assert [note.partition(":")[0] for note in notes if "1 ms" not in note] == (
        [] if stored == format else [f"pixel format {format} becomes {stored}"]
    )


def test_a_matte_in_mp4_has_8_bits_and_is_not_tone_mapped(tmp_path: Path) -> None:
    source = clips.make_clip(
        tmp_path / "in.mp4", frames=2, size=(64, 96), codec="libx265", format="yuv420p10le", tags=BT2020_HLG
    )
    copy(source, tmp_path / "alpha.mp4", kind="alpha")
    with open_video(tmp_path / "alpha.mp4") as made:
        assert (made.info.format, made.info.color.transfer) == ("yuv420p", 1)


def hdr_clip(path: Path, transfer: int) -> Path:
    """Grey of 203 cd/m² (BT.2408): 75 % in HLG, 58 % in PQ."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx265", rate=25, options={"x265-params": "log-level=error"})
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = 96, 64, "yuv420p10le"
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = (
            9,
            9,
            transfer,
            1,
        )
        stream.set_display_rotation(90)
        for number in range(3):
            frame = av.VideoFrame(96, 64, "yuv420p10le")
            for plane, code in zip(frame.planes, (721 if transfer == 18 else 573, 512, 512), strict=True):
                np.frombuffer(plane, np.uint16)[:] = code
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("transfer", [16, 18])
def test_sdr_maps_tones_and_colours_and_keeps_the_times(tmp_path: Path, transfer: int) -> None:
    source = hdr_clip(tmp_path / "in.mp4", transfer)
    with open_video(source, sdr=True) as video:
        assert (video.info.format, video.info.height, video.info.width) == ("yuv420p", 96, 64)
        color = video.info.color
        assert (color.matrix, color.primaries, color.transfer, color.full_range) == ("bt709", 1, 1, False)
        frames = [(frame.seconds, *(int(plane[5, 5]) for plane in frame.planes)) for frame in video]
    assert [float(each[0]) for each in frames] == [0, 0.04, 0.08]
    for _, luma, *chroma in frames:
        assert 140 < luma < 200, "reference white is bright, and what is brighter has room"
        assert chroma == pytest.approx([128, 128], abs=1)


def test_sdr_says_where_it_changes_nothing(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=3, size=(64, 96))
    with open_video(source, sdr=True) as video, open_video(source) as same:
        assert [frame.planes[0].tolist() for frame in video] == [frame.planes[0].tolist() for frame in same]
        assert video.notes == ["--sdr changes nothing: the video is not HDR (PQ or HLG)"]


def test_sdr_removes_the_metadata_of_hdr(graded: Path) -> None:
    with open_video(graded, sdr=True) as video:
        assert not GRADED.keys() & video.info.details.keys()
