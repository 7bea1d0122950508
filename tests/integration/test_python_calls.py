"""The Python calls with pictures, sources and sinks that the caller made, instead of files."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livematte
from livematte.errors import InputError, LivematteError, OptionError, OutputError, UsageError
from livematte.frame import ColorInfo, Frame, Matte
from livematte.protocols import SourceInfo
from livematte.video.reader import open_video

HEIGHT, WIDTH, COUNT = 48, 64, 4


class RedIsForeground:
    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return 32, 32

    def __call__(self, rgb: Any, state: Any) -> tuple[Matte, Any]:
        return Matte((rgb[..., 0] > 127).astype(np.float32)), None


OPTIONS: Any = {"model": RedIsForeground(), "keep_islands": True, "refine": "none"}


def picture(number: int = 0) -> np.ndarray:
    """A red left half on blue; green counts."""
    made = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    made[..., 2], made[..., 1] = 200, 10 * number
    made[:, : WIDTH // 2, 0], made[:, : WIDTH // 2, 2] = 250, 0
    return made


class OwnSource:
    """Frames with times that nobody would guess."""

    def __init__(self, breaks_after: int = COUNT) -> None:
        color = ColorInfo("rgb", True, matrix_tag=0, range_tag=2)
        self.info = SourceInfo("own", HEIGHT, WIDTH, "gbrp", Fraction(1, 90), Fraction(10), color=color)
        self.closed, self._breaks_after = 0, breaks_after

    def __iter__(self) -> Iterator[Frame]:
        for number in range(COUNT):
            if number == self._breaks_after:
                raise InputError("the own source breaks")
            red, green, blue = np.moveaxis(picture(number), 2, 0)
            yield Frame((green, blue, red), "gbrp", 7 * number * number, Fraction(1, 90), 5, self.info.color)

    def close(self) -> None:
        self.closed += 1


class OwnSink:
    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.ended: list[str] = []

    def write(self, frame: Frame) -> None:
        self.frames.append(frame.with_planes(tuple(plane.copy() for plane in frame.planes)))

    def close(self) -> None:
        self.ended.append("close")

    def abort(self) -> None:
        self.ended.append("abort")


def test_an_own_source_is_rendered_into_an_own_sink() -> None:
    source, sink = OwnSource(), OwnSink()
    report = livematte.render(source, sink, background="#ffffff", **OPTIONS)
    assert (report.frames, report.outputs, sink.ended) == (COUNT, [], ["close"]) and source.closed
    assert [frame.pts for frame in sink.frames] == [7 * n * n for n in range(COUNT)]
    green, blue, red = sink.frames[2].planes
    assert (red[20, 10], green[20, 10], blue[20, 10]) == (250, 20, 0)
    assert (red[20, 50], green[20, 50], blue[20, 50]) == (255, 255, 255)


def test_an_own_source_is_rendered_into_a_file(tmp_path: Path) -> None:
    report = livematte.render(OwnSource(), tmp_path / "out.mkv", codec="ffv1", **OPTIONS)
    assert report.outputs == [tmp_path / "out.mkv"]
    with open_video(tmp_path / "out.mkv") as made:
        seconds = [float(frame.seconds) for frame in made]
    assert seconds == pytest.approx([7 * n * n / 90 for n in range(COUNT)], abs=0.001)


def test_a_file_is_rendered_into_an_own_sink_and_alpha_into_a_file(tmp_path: Path) -> None:
    livematte.render(OwnSource(), tmp_path / "in.mkv", codec="ffv1", **OPTIONS)
    sink = OwnSink()
    report = livematte.render(
        tmp_path / "in.mkv", sink, background="transparent", alpha_out=tmp_path / "a.mkv", **OPTIONS
    )
    assert len(sink.frames) == COUNT and sink.frames[0].pixel_format.alpha
    assert report.outputs == [tmp_path / "a.mkv"] and (tmp_path / "a.mkv").exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [({"device": "cuda:7"}, LivematteError), ({"background": "nobody.jpg"}, UsageError)],
)
def test_a_render_that_cannot_begin_ends_own_parts_once(options: Any, error: type[Exception]) -> None:
    source, sink = OwnSource(), OwnSink()
    with pytest.raises(error):
        livematte.render(source, sink, **{**OPTIONS, **options})
    assert sink.ended == ["abort"] and source.closed == 1


def test_a_source_that_breaks_aborts_the_sink() -> None:
    sink = OwnSink()
    with pytest.raises(InputError, match="the own source breaks"):
        livematte.render(OwnSource(breaks_after=2), sink, **OPTIONS)
    assert sink.ended == ["abort"]


class NoInfo(OwnSource):
    def __init__(self) -> None:
        super().__init__()
        self.info: Any = "720p"


class HalfASink:
    close = abort = OwnSink.close


@pytest.mark.parametrize(
    ("source", "sink", "options", "error", "line"),
    [
        (3, OwnSink(), {}, OptionError, "input 3 is invalid: use a path, or an object with the methods of"),
        (OwnSource, OwnSink(), {}, InputError, "is a class"),
        (NoInfo(), OwnSink(), {}, InputError, "has '720p' as info, expected a SourceInfo"),
        (OwnSource(), [], {}, OptionError, "output [] is invalid: use a path, or an object"),
        (OwnSource(), HalfASink(), {}, OutputError, "the sink HalfASink lacks write"),
        (OwnSource(), OwnSink, {}, OutputError, "is a class"),
        (OwnSource(), OwnSink(), {"start": 1}, UsageError, "start needs a video file as input"),
        (OwnSource(), OwnSink(), {"hwaccel": "cuda"}, UsageError, "hwaccel needs a video file as input"),
        (OwnSource(), OwnSink(), {"crf": 20}, UsageError, "crf needs a file as output"),
        (OwnSource(), OwnSink(), {"device": "cuda:0,cuda:1"}, UsageError, "several devices need files"),
    ],
)
def test_wrong_parts_are_refused_in_one_line(
    source: Any, sink: Any, options: Any, error: type[Exception], line: str
) -> None:
    with pytest.raises(error) as caught:
        livematte.render(source, sink, **{**OPTIONS, **options})
    assert line in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["list", "generator", "stack", "source", "floats"])
def test_mattes_takes_pictures_in_any_iterable(kind: str) -> None:
    pictures = [picture(number) for number in range(COUNT)]
    given: Any = {
        "list": pictures,
        "generator": (each for each in pictures),
        "stack": np.stack(pictures),
        "source": OwnSource(),
        "floats": [each / 255 for each in pictures],
    }[kind]
    pairs = list(livematte.mattes(given, **OPTIONS))
    assert len(pairs) == COUNT
    for number, (frame, matte) in enumerate(pairs):
        np.testing.assert_array_equal(matte.picture, picture(number))
        assert matte.frame is frame and matte.alpha[20, 10] == 1 and matte.alpha[20, 60] == 0
    step = 7 / 90 if kind == "source" else 1 / 30
    assert float(pairs[1][0].seconds) == pytest.approx(step)


def test_mattes_reads_the_camera_with_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    source = OwnSource()

    def camera(spec: str) -> OwnSource:
        opened.append(spec)
        return source

    monkeypatch.setattr("livematte.video.pictures.open_camera", camera)
    assert len(list(livematte.mattes(0, **OPTIONS))) == COUNT and opened == ["0"] and source.closed


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (True, "input True is invalid"),
        (None, "input None is invalid"),
        ({}, "input {} is invalid"),
        (picture(), "this is one picture"),
        (b"JFIF", "this is one picture"),
        ([], "there is no picture"),
        ([3], "a picture cannot be a int"),
        ("nobody.mp4", "no such file"),
    ],
)
def test_mattes_refuses_what_it_cannot_read_at_once(given: Any, line: str) -> None:
    with pytest.raises(LivematteError, match=line):
        livematte.mattes(given, **OPTIONS)


def test_mattes_of_pictures_has_no_section() -> None:
    with pytest.raises(UsageError, match="start needs a video file as input"):
        livematte.mattes([picture()], start=1, **OPTIONS)


def test_an_array_comes_back_cut_out() -> None:
    cut = livematte.image(picture(3), **OPTIONS)
    assert cut.shape == (HEIGHT, WIDTH, 4) and cut.dtype == np.uint8
    assert tuple(cut[20, 10]) == (250, 30, 0, 255) and cut[20, 60, 3] == 0


def test_an_array_comes_back_in_front_of_an_array() -> None:
    white = np.full((4, 4, 3), 255, np.uint8)
    made = livematte.image(picture(3)[..., ::-1], background=white, channels="bgr", **OPTIONS)
    assert made.shape == (HEIGHT, WIDTH, 3)
    assert tuple(made[20, 10]) == (0, 30, 250) and tuple(made[20, 60]) == (255, 255, 255)


def test_an_array_is_written_to_a_file_and_a_file_comes_back_as_an_array(tmp_path: Path) -> None:
    report = livematte.image(picture(3), tmp_path / "a.png", background="white", **OPTIONS)
    assert report.outputs == [tmp_path / "a.png"]
    found = livematte.image(tmp_path / "a.png", **OPTIONS)
    written = livematte.image((tmp_path / "a.png").read_bytes(), **OPTIONS)
    np.testing.assert_array_equal(found, written)
    assert tuple(found[20, 10]) == (250, 30, 0, 255)
