"""HDR10's static metadata from file to file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
