"""livematte.live: what is refused before anything runs, and what may change while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import livematte
import livematte.options
from livematte.errors import DeviceError, InputError, ModelError, OutputError, UsageError
from livematte.frame import Frame
from livematte.matting.backgrounds import Blur
from livematte.protocols import LiveFormat, LiveSink
from livematte.resolve import Resolved, resolve
from livematte.streaming import launch, opening
from livematte.streaming import session as livesession
from livematte.streaming.governor import Governor, Level
from livematte.streaming.model_factory import ModelFactory, with_budget
from livematte.streaming.opening import live_format
from livematte.video.camera_modes import CameraInfo
from tests.clips import make_clip
from tests.livepeers import (
    HEIGHT,
    WIDTH,
    CollectingSink,
    FindsThePerson,
    SteeredCamera,
    camera_frame,
    shows_person,
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("live") / "clip.mp4", frames=30, size=(96, 160))


class Opened:
    """A sink factory that remembers what it opened."""

    __name__ = "collecting"

    def __init__(self) -> None:
        self.sinks: list[CollectingSink] = []
        self.formats: list[LiveFormat] = []

    def __call__(self, format: LiveFormat, *, color: str = "red") -> LiveSink:
        self.formats.append(format)
        self.sinks.append(CollectingSink())
        return self.sinks[-1]


@pytest.fixture
def outlet() -> Opened:
    return Opened()


@pytest.fixture
def session(clip: Path, outlet: Opened) -> Iterator[livesession.Session]:
    with livematte.live(
        input=clip, to=outlet, background="black", model=FindsThePerson(), width=160, height=96, rate=25
    ) as opened:
        yield opened


def test_live_is_a_public_name() -> None:
    assert livematte.live is launch.live and "live" in livematte.__all__


def test_frames_of_the_format_arrive(session: livesession.Session, outlet: Opened) -> None:
    sink = outlet.sinks[0]
    assert outlet.formats == [LiveFormat(160, 96, Fraction(25))] == [session.format]
    assert sink.wait_for(lambda frame: frame.size == (96, 160) and frame.format == "yuv420p")
    assert session.running and session.stats().sent > 0 and session.wait(0) is False


def test_what_is_behind_can_be_changed(session: livesession.Session, outlet: Opened) -> None:
    session.background = "white"
    assert session.background == "white" and session.blur is None
    assert outlet.sinks[0].wait_for(lambda frame: bool(frame.planes[0][0, 0] > 200))
    session.blur = 12
    assert session.background == "blur:12" and session.blur == 12


@pytest.mark.parametrize("wrong", ["no-such-colour", "missing.jpg", "blur:9999", "blur:0.2", "transparent"])
def test_a_background_that_cannot_be_changes_nothing(session: livesession.Session, wrong: str) -> None:
    with pytest.raises(UsageError):
        session.background = wrong
    assert session.background == "black"


@pytest.mark.parametrize("wrong", ["much", True, None, float("nan"), 9999])
def test_a_blur_that_cannot_be_changes_nothing(session: livesession.Session, wrong: Any) -> None:
    with pytest.raises(UsageError, match="blur"):
        session.blur = wrong
    assert session.background == "black"


def test_the_model_can_be_changed(session: livesession.Session, outlet: Opened) -> None:
    other = FindsThePerson((64, 96))
    session.model = other
    assert outlet.sinks[0].wait_for(lambda _: other.calls > 3) and session.model is other
    with pytest.raises(UsageError, match="nope"):
        session.model = "nope"
    assert session.model is other


def test_a_model_that_does_not_run_is_not_taken(session: livesession.Session) -> None:
    before, broken = session.model, FindsThePerson()

    def wrong() -> Any:
        raise ModelError("broken")

    broken.wrong = wrong
    with pytest.raises(ModelError):
        session.model = broken
    assert session.model is before


def test_the_edge_changes_while_it_runs(clip: Path) -> None:
    class Clear(Opened):
        wants_alpha = True

    def width(frame: Frame) -> int:
        return int((frame.planes[3][48] > 127).sum())

    outlet = Clear()
    options = {"input": clip, "to": outlet, "model": FindsThePerson(), "width": 160, "height": 96}
    with livematte.live(**options, choke=-20, refine="none") as session:
        sink = outlet.sinks[0]
        assert (session.choke, session.feather) == (-20.0, 0.0)
        assert sink.wait_for(lambda frame: 57 <= width(frame) <= 60), "53 and 2.7 on each side"
        session.choke = 20
        assert sink.wait_for(lambda frame: 46 <= width(frame) <= 49)
        session.feather = 20
        assert sink.wait_for(lambda frame: ((row := frame.planes[3][48]) > 20).sum() - (row > 230).sum() > 8)
        for name, value in (("choke", 21), ("feather", -1), ("feather", "soft")):
            with pytest.raises(UsageError, match=name):
                setattr(session, name, value)
        assert (session.choke, session.feather) == (20.0, 20.0)


def test_only_the_largest_person_stays_also_with_another_model(clip: Path, outlet: Opened) -> None:
    def two() -> np.ndarray:
        alpha = np.zeros((64, 96), np.float32)
        alpha[:, 5:25] = alpha[:, 40:90] = 1
        return alpha

    def columns(frame: Frame) -> list[bool]:
        """True for each person in whose place the background is seen."""
        return [bool((frame.planes[0][40:56, x - 3 : x + 3] == 16).all()) for x in (25, 108)]

    first, second = FindsThePerson((64, 96)), FindsThePerson((64, 96))
    first.wrong = second.wrong = two
    options = {"input": clip, "to": outlet, "width": 160, "height": 96, "background": "black"}
    with livematte.live(**options, model=first, keep="largest", foreground=False) as session:
        sink = outlet.sinks[0]
        assert session.keep == "1" and sink.wait_for(lambda frame: columns(frame) == [True, False])
        session.model = second
        assert sink.wait_for(lambda _: second.calls > 5)
        assert sink.wait_for(lambda frame: columns(frame) == [True, False])
        session.keep = "all"
        assert sink.wait_for(lambda frame: columns(frame) == [False, False])
        with pytest.raises(UsageError, match="keep 'me' is invalid"):
            session.keep = "me"
        with pytest.raises(UsageError, match=r"nobody is at 0\.33,0\.5"):
            session.keep = "0.33,0.5"
        assert session.keep == "all"
        session.keep = "0.2,0.5"
        assert session.keep == "0.2,0.5" and sink.wait_for(lambda frame: columns(frame) == [False, True])
        session.mirror = True  # the person is now at the right
        first.wrong = second.wrong = lambda: two()[:, ::-1].copy()
        assert sink.wait_for(lambda frame: bool((frame.planes[0][40:56, 30:40] == 16).all()))
        assert sink.wait_for(lambda frame: bool((frame.planes[0][40:56, 132:138] != 16).all()))


def test_a_point_is_one_of_the_picture_that_viewers_see(clip: Path, outlet: Opened) -> None:
    def corner() -> np.ndarray:
        alpha = np.zeros((64, 96), np.float32)
        alpha[2:22, 3:33] = 1
        return alpha

    model = FindsThePerson((64, 96))
    model.wrong = corner
    options = {"input": clip, "to": outlet, "width": 160, "height": 96, "background": "black"}
    with livematte.live(**options, model=model, frame="body", foreground=False) as session:
        assert outlet.sinks[0].wait_for(lambda frame: bool((frame.planes[0][48, 70:90] != 16).all()))
        session.keep = "0.5,0.5"
        x, y = map(float, session.keep.split(","))
        assert 0 < x < 0.35 and 0 < y < 0.35, "of the whole picture, before cropping"
        with pytest.raises(UsageError, match="nobody is at"):
            session.keep = "0.95,0.95"


def test_the_background_follows_the_program_of_a_sink(clip: Path) -> None:
    class Scenes(CollectingSink):
        wanted_background: str | None = None

    sink = Scenes()

    def scenes(format: LiveFormat) -> Scenes:
        return sink

    def luma(frame: Frame) -> int:
        return int(frame.planes[0][2, 2])

    options = {"input": clip, "to": scenes, "width": 160, "height": 96, "background": "black"}
    with livematte.live(**options, model=FindsThePerson()) as session:
        assert sink.wait_for(lambda frame: luma(frame) == 16)
        sink.wanted_background = "white"
        assert sink.wait_for(lambda frame: luma(frame) == 235)
        assert session.background == "black", "the session's own is kept"
        sink.wanted_background = "nope.jpg"
        assert sink.wait_for(lambda _: any("does not follow" in note for note in session.stats().notes))
        sink.wanted_background = None
        assert sink.wait_for(lambda frame: luma(frame) == 16)


def test_the_picture_follows_the_person_while_it_runs(clip: Path, outlet: Opened) -> None:
    model = FindsThePerson((64, 96))

    def far_right() -> np.ndarray:
        alpha = np.zeros((64, 96), np.float32)
        alpha[32:, 72:84] = 1
        return alpha

    def people(frame: Frame) -> float:
        return float((frame.planes[0] < 225).mean())

    model.wrong = far_right
    options = {"input": clip, "to": outlet, "width": 160, "height": 96, "background": "white", "model": model}
    with livematte.live(**options, foreground=False) as session:
        sink = outlet.sinks[0]
        assert session.frame == "off" and sink.wait_for(lambda frame: 0.02 < people(frame) < 0.08)
        session.frame = "body"
        assert sink.wait_for(lambda frame: people(frame) > 0.12)
        with pytest.raises(UsageError, match="frame 'face' is invalid"):
            session.frame = "face"
        session.frame = "off"
        assert sink.wait_for(lambda frame: 0.02 < people(frame) < 0.08)


def test_pausing(session: livesession.Session, outlet: Opened) -> None:
    session.paused = True
    assert session.paused and outlet.sinks[0].wait_for(lambda _: session.stats().showing == "paused")
    session.paused = False
    assert not session.paused


def test_the_end_closes_everything(session: livesession.Session, outlet: Opened) -> None:
    session.close()
    session.close()
    assert not session.running and outlet.sinks[0].closed >= 1 and session.wait(0) is True


def test_a_session_without_outputs_says_why_it_ended(session: livesession.Session, outlet: Opened) -> None:
    outlet.sinks[0].fails = OutputError("the device was removed")
    with pytest.raises(OutputError, match="removed"):
        session.wait(20)


def test_transparent_where_every_output_wants_it(clip: Path) -> None:
    class Clear(Opened):
        wants_alpha = True

    outlet = Clear()
    options = {"input": clip, "model": FindsThePerson(), "width": 160, "height": 96}
    with livematte.live(to=outlet, **options) as session:
        assert session.format.alpha and outlet.sinks[0].wait_for(lambda frame: frame.format == "yuva420p")
        session.background = "white"
        assert outlet.sinks[0].wait_for(lambda frame: frame.planes[3].min() == 255)
    with livematte.live(to=[outlet, Opened()], **options) as session:
        assert not session.format.alpha and session.background == "green"


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"camera": "auto"}, UsageError, "two sources"),
        ({"to": "nowhere"}, UsageError, "nowhere"),
        ({"to": []}, UsageError, "--to"),
        ({"model": "nope"}, UsageError, "nope"),
        ({"background": "nope"}, UsageError, "nope"),
        ({"placeholder": "nope.png"}, UsageError, "nope"),
        ({"width": 161}, UsageError, "even"),
        ({"rate": 0}, UsageError, "1 to 240"),
        ({"delay": 5.0}, UsageError, "0 to 2"),
        ({"temporal": "odd"}, UsageError, "strong"),
        ({"refine": "odd"}, UsageError, "guided"),
        ({"input": "missing.mp4"}, InputError, "missing.mp4"),
        ({"input": "missing.mp4", "on_demand": True}, InputError, "missing.mp4"),
        ({"sink_options": {"collecting": {"colour": "x"}}}, UsageError, "colour"),
        (
            {"to": "obz"},
            UsageError,
            "unknown output 'obz': did you mean 'obs'[?] known are .*none for only a pre",
        ),
        (
            {"to": []},
            UsageError,
            "no output is selected: name one with --to .*virtualcam, none for only a preview",
        ),
        ({"to": "none", "sink_options": {"none": {"x": "1"}}}, UsageError, "none has no option 'x': it"),
        ({"placeholder": "missing.png"}, UsageError, "placeholder: .*'missing.png': no such file"),
        ({"placeholder": "transparent"}, UsageError, "placeholder transparent: the output has no"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    clip: Path, outlet: Opened, wrong: dict[str, Any], error: type[Exception], says: str
) -> None:
    options = {"input": clip, "to": outlet, "model": FindsThePerson(), "width": 160, "height": 96}
    with pytest.raises(error, match=says) as refused:
        livematte.live(**{**options, **wrong})
    assert "\n" not in str(refused.value)
    assert all(sink.closed for sink in outlet.sinks)


def test_ntsc_is_kept_exactly() -> None:
    assert live_format(1280, 720, 29.97002997).rate == Fraction(30000, 1001)
    assert live_format(1280, 720, 30).rate == 30


def test_a_refiner_gets_a_budget() -> None:
    class Refines:
        stride = 32

        def refine(self, rgb: Any, trimap: Any) -> Any:
            raise AssertionError

    format = live_format(1280, 720, 25)
    assert with_budget(resolve({"refine": Refines()}), format).refine.budget == pytest.approx(16)
    assert with_budget(resolve({"refine": Refines(), "refine_budget": 9.0}), format).refine.budget == 9
    assert with_budget(resolve({}), format).refine.budget is None


def test_after_a_failure_the_processor_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int | None]] = []

    def resolve_model(model: Any, *, device: str, size: int | None, **_: Any) -> FindsThePerson:
        asked.append((device, size))
        return FindsThePerson((64, size or 96))

    monkeypatch.setattr("livematte.resolve.resolve_model", resolve_model)
    monkeypatch.setattr("livematte.streaming.model_factory.frame_device", lambda *_: (None, ["a note"]))
    options = {"refine": "none", "foreground": False}
    maker = ModelFactory(resolve(options))
    best = maker.prepare(live_format(160, 96, 30))
    levels, parts = best.levels, best.bundle
    assert parts.notes == ("a note",)
    assert maker(levels[0], None) is parts, "kept: the way up is short"
    maker(Level(64, "none", 0.5), None)
    again = maker(levels[0], DeviceError("lost"))
    assert again is not parts and asked == [("auto", None), ("auto", 64), ("cpu", 96)]
    named = ModelFactory(resolve({**options, "device": "cuda"}))
    named(levels[0], DeviceError("lost"))
    assert asked[-1][0] == "cuda", "who names a device gets that one or the placeholder"


def test_another_model_begins_at_the_level_in_use(
    monkeypatch: pytest.MonkeyPatch, clip: Path, outlet: Opened
) -> None:
    def resolve_model(model: Any, *, size: int | None, **_: Any) -> FindsThePerson:
        return FindsThePerson((64, size or 288)) if isinstance(model, str) else model

    monkeypatch.setattr("livematte.resolve.resolve_model", resolve_model)
    monkeypatch.setattr(Governor, "advise", lambda self: None)
    options = {"input": clip, "to": outlet, "width": 160, "height": 96, "refine": "guided"}
    with livematte.live(**options) as session:
        stages = session._engine.stages
        assert [level.size for level in stages.levels] == [288, 224, 192, 192]
        stages.governor.set_level(2)
        session.model = "late-fusion-live"
        assert outlet.sinks[0].wait_for(lambda _: session.stats().size == (64, 192))
        assert (session.stats().level, session.stats().steps) == (2, 1)
        session.model = FindsThePerson((64, 96))  # has one level only
        assert outlet.sinks[0].wait_for(lambda _: session.stats().size == (64, 96))
        assert session.stats().level == 0


def test_without_a_size_a_session_begins_with_the_size_of_video_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve_model(model: Any, *, size: int | None, **_: Any) -> FindsThePerson:
        side = size or 448
        return FindsThePerson((round(side * 9 / 16 / 32) * 32, side))

    monkeypatch.setattr("livematte.resolve.resolve_model", resolve_model)
    format = live_format(1280, 720, 30)
    free = ModelFactory(resolve({})).prepare(format)
    assert [level.size for level in free.levels] == [448, 352, 288, 224, 224]
    assert (free.level, free.first, free.bundle.model.input_size(720, 1280)) == (1, 1, (192, 352))
    asked = ModelFactory(resolve({"size": 448})).prepare(format)
    assert (asked.level, asked.first) == (0, 0)
    lowered = ModelFactory(resolve({"size": 512})).prepare(format, Level(288, "guided", 0.4))
    assert (lowered.levels[lowered.level].size, lowered.first) == (256, 0)


def test_a_camera_that_was_unplugged_is_opened_by_its_own_id(
    monkeypatch: pytest.MonkeyPatch, outlet: Opened
) -> None:
    asked: list[str] = []
    cameras = [SteeredCamera(), SteeredCamera()]

    def open_camera(spec: str, **_: Any) -> Any:
        asked.append(spec)
        opened = cameras[len(asked) - 1]
        opened.camera = CameraInfo("usb-1.4-0815", "HD Webcam", (), "/dev/video0")  # type: ignore[attr-defined]
        return opened

    monkeypatch.setattr(opening, "open_camera", open_camera)
    with livematte.live(to=outlet, model=FindsThePerson(), width=160, height=96) as session:
        cameras[0].give(None)
        assert outlet.sinks[0].wait_for(lambda _: session.stats().reconnects == 1)
    assert asked == ["auto", "usb-1.4-0815"]


def test_what_a_camera_gives_is_told_also_where_it_is_opened_later(
    monkeypatch: pytest.MonkeyPatch, outlet: Opened
) -> None:
    def open_camera(spec: str, **_: Any) -> Any:
        opened: Any = SteeredCamera()
        opened.camera, opened.notes = CameraInfo("usb-1", "HD Webcam"), ["camera HD Webcam: 640x480 mjpeg"]
        return opened

    monkeypatch.setattr(opening, "open_camera", open_camera)
    with livematte.live(
        to=outlet, model=FindsThePerson(), width=160, height=96, on_demand=True, background="black"
    ) as session:  # a sink that cannot tell who looks counts as watched
        assert outlet.sinks[0].wait_for(lambda _: "camera HD Webcam: 640x480 mjpeg" in session.stats().notes)


def test_a_camera_that_is_not_there_is_told_before_anybody_watches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unwatched(CollectingSink):
        def __init__(self, format: LiveFormat) -> None:
            super().__init__()
            self.watched = False

    monkeypatch.setattr(opening, "list_cameras", lambda: [CameraInfo("usb-1", "HD Webcam")])
    with livematte.live(
        camera="Brio", to=Unwatched, model=FindsThePerson(), width=160, height=96, on_demand=True
    ) as session:
        (note,) = session.stats().notes
    assert "no camera matches 'Brio': available are 'HD Webcam' (usb-1)" in note


def test_blur_without_a_number_has_one(session: livesession.Session) -> None:
    session.background = "blur"
    assert session.blur == Blur().strength


def test_two_threads_may_close_a_session_and_both_find_it_closed(clip: Path) -> None:
    class Slow(CollectingSink):
        closed = 0

        def close(self) -> None:
            time.sleep(0.3)
            self.closed += 1

    sink = Slow()
    session = livematte.live(
        input=clip, to=lambda _: sink, background="black", model=FindsThePerson(), width=160, height=96
    )
    first = threading.Thread(target=session.close)
    first.start()
    session.close()
    assert sink.closed == 1, "whoever comes second waits for the first"
    first.join()


def test_options_of_an_output_that_is_not_there_are_refused(clip: Path, outlet: Opened) -> None:
    with pytest.raises(UsageError, match="virtualcm"):
        livematte.live(
            input=clip, to=outlet, model=FindsThePerson(), sink_options={"virtualcm": {"device": "x"}}
        )


def test_own_weights_come_back_with_the_name_of_their_model(
    monkeypatch: pytest.MonkeyPatch, clip: Path, outlet: Opened
) -> None:
    taken: list[tuple[Any, Any]] = []

    class Noted(ModelFactory):
        def __init__(self, resolved: Resolved) -> None:
            taken.append((resolved.options["model"], resolved.options["weights"]))
            super().__init__(resolved.with_model(FindsThePerson()))

    monkeypatch.setattr(livesession, "ModelFactory", Noted)
    monkeypatch.setattr(launch, "ModelFactory", Noted)
    with livematte.live(
        input=clip, to=outlet, model="late-fusion-live", weights="mine.safetensors", width=160, height=96
    ) as session:
        session.model = "jmnet-live"
        session.model = "-".join(["late", "fusion", "live"])  # as it comes out of JSON: another object
    assert taken == [
        ("late-fusion-live", "mine.safetensors"),
        ("jmnet-live", None),
        ("late-fusion-live", "mine.safetensors"),
    ]


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_square_camera_is_cropped_with_a_note_or_shown_whole(
    tmp_path: Path, outlet: Opened, fit: str
) -> None:
    square = make_clip(tmp_path / "square.mp4", frames=30, size=(96, 96))
    with livematte.live(
        input=square, to=outlet, background="white", model=FindsThePerson(), width=160, height=96, rate=25,
        fit_camera=fit,
    ) as opened:  # fmt: skip
        # The model finds a person in the middle third: 53 to 106 of 160 columns.
        assert outlet.sinks[0].wait_for(
            lambda frame: bool(frame.planes[0][60, 80] < 230 and frame.planes[0][60, 10] > 200)
        )
        assert outlet.sinks[0].frames[-1].format == "yuv420p"
        noted = [note for note in opened.stats().notes if "is cropped: 40 % of its height" in note]
        assert len(noted) == (fit == "crop")


def test_padded_bars_show_the_background_whatever_the_model_says(tmp_path: Path, outlet: Opened) -> None:
    square, model = make_clip(tmp_path / "square.mp4", frames=30, size=(96, 96)), FindsThePerson()

    def wide() -> np.ndarray:
        alpha = np.zeros((32, 48), np.float32)
        alpha[:24] = 1
        return alpha

    model.wrong = wide
    with livematte.live(
        input=square, to=outlet, background="white", model=model, width=160, height=96, rate=25,
        fit_camera="pad",
    ):  # fmt: skip
        assert outlet.sinks[0].wait_for(lambda frame: bool(frame.planes[0][60, 80] < 230))
        shown = [frame.planes[0] for frame in outlet.sinks[0].frames if frame.planes[0][60, 80] < 230]
        assert all(luma[:, :30].min() > 230 and luma[:, 130:].min() > 230 for luma in shown)


def test_another_fit_is_refused(clip: Path, outlet: Opened) -> None:
    with pytest.raises(UsageError, match="fit camera 'stretch' is invalid: use crop or pad"):
        livematte.live(
            input=clip, to=outlet, background="black", model=FindsThePerson(), fit_camera="stretch"
        )
    assert not outlet.sinks


def test_mirroring_can_be_changed(clip: Path, outlet: Opened, tmp_path: Path) -> None:
    half = np.zeros((96, 160), np.uint8)
    half[:, :80] = 230
    cv2.imwrite(str(tmp_path / "half.png"), half)
    with livematte.live(
        input=tmp_path / "half.png",
        to=outlet,
        background="black",
        model=FindsThePerson(),
        width=160,
        height=96,
    ) as session:

        def brighter(side: str) -> Callable[[Frame], bool]:
            def found(frame: Frame) -> bool:
                left, right = (int(frame.planes[0][48, x]) for x in (66, 94))
                return abs(left - right) > 100 and (left > right) == (side == "left")

            return found

        assert outlet.sinks[0].wait_for(brighter("left"))
        session.mirror = True
        assert session.mirror and outlet.sinks[0].wait_for(brighter("right"))


def test_a_frozen_session_sends_the_same_picture(session: livesession.Session, outlet: Opened) -> None:
    sink = outlet.sinks[0]
    assert sink.wait_for(lambda frame: bool(frame.planes[0].max() > 60))
    session.frozen = True
    assert session.frozen and sink.wait_for(lambda _: True)
    kept = session.shown
    assert kept is not None
    before = session.stats().placeholders
    for _ in range(3):
        assert sink.wait_for(lambda frame: frame.planes[0] is kept.frame.planes[0])
    assert session.stats().showing == "frozen" and session.stats().placeholders == before
    session.paused = True
    assert sink.wait_for(lambda frame: bool(frame.planes[0].max() < 20)) and not session.frozen
    with pytest.raises(UsageError, match="no picture to freeze"):
        session.frozen = True
    session.paused = False
    assert sink.wait_for(lambda frame: bool(frame.planes[0].max() > 60))


def test_the_delay_can_be_changed(session: livesession.Session, outlet: Opened) -> None:
    session.delay = 0.2
    assert session.delay == 0.2 and outlet.sinks[0].wait_for(lambda _: session.stats().latency_p50 > 190)
    with pytest.raises(UsageError, match="0 to 2"):
        session.delay = 9
    assert session.delay == 0.2


def test_sinks_can_be_changed(session: livesession.Session, outlet: Opened) -> None:
    first = outlet.sinks[0]
    session.to = ["none"]
    assert session.to == ["none"] and [sink.name for sink in session.sinks] == ["none"]
    end = time.monotonic() + 20
    while not first.closed and time.monotonic() < end:
        time.sleep(0.02)
    assert first.closed == 1
    session.to = ["none", outlet]
    assert session.to == ["none", "collecting"] and outlet.sinks[1].wait_for(lambda _: True)
    kept = session.sinks[0]
    with pytest.raises(UsageError, match="unknown output 'nope'"):
        session.to = "nope"
    assert session.sinks[0] is kept and len(session.sinks) == 2
    with pytest.raises(UsageError):
        session.to = []


def test_another_camera_is_opened_before_the_old_one_is_closed(
    clip: Path, monkeypatch: pytest.MonkeyPatch, outlet: Opened
) -> None:
    cameras = {"one": SteeredCamera(), "two": SteeredCamera()}

    def open_steered(name: str, **_: Any) -> Any:
        if name not in cameras:
            raise InputError(f"no camera {name!r}")
        cameras[name].camera = CameraInfo(name, name, name)  # type: ignore[attr-defined]
        return cameras[name]

    monkeypatch.setattr(opening, "open_camera", open_steered)
    with livematte.live(
        camera="one", to=outlet, background="black", model=FindsThePerson(), width=WIDTH, height=HEIGHT
    ) as session:
        with pytest.raises(InputError, match="no camera 'three'"):
            session.camera = "three"
        assert session.camera == "one" and not cameras["one"].closed
        session.camera = "two"
        assert session.camera == "two"
        for _ in range(200):
            cameras["two"].give(camera_frame())
            if outlet.sinks[0].wait_for(shows_person, 0.1):
                break
        else:
            raise AssertionError("no picture of the other camera")
        assert cameras["one"].closed and not cameras["two"].closed


def test_size_and_refinement_can_be_changed(clip: Path, outlet: Opened) -> None:
    with livematte.live(
        input=clip, to=outlet, background="black", width=160, height=96, rate=10, govern=False
    ) as session:
        session.size = 128
        assert session.size == 128
        assert outlet.sinks[0].wait_for(lambda _: (session.stats().size or (0, 0))[1] == 128, 30)
        session.refine = "none"
        assert (session.refine, session.size, session.model) == ("none", 128, livematte.options.DEFAULT_MODEL)
        with pytest.raises(UsageError):
            session.refine = "no-such-refiner"
        with pytest.raises(UsageError, match="32 to 4096"):
            session.size = 5
        assert (session.refine, session.size) == ("none", 128)
