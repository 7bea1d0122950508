"""Thousands of frames with a fault of some kind every few: none of them shows viewers the room.

The room is bright and textured, and the half of it on the right moves; what is put behind people is black.
A frame leaks where more than :data:`MOST` of the pixels outside the true person (of the very frame that is
sent, grown by :data:`RIM`) hold more than :data:`FAINT` of what the room shows there; so does memory that is
not ours. Faults that can be told are injected: the matte calls all or nearly all a person, is in doubt
everywhere, is no number, of another size or type, or no matte at all; it comes late, never or from a model
that was given up; models raise, go and are changed; backgrounds and cameras give what they must not.

What cannot be told, and so is no leak here: a matte that looks like a person's and is wrong, be it inverted,
somebody's of an earlier moment, or transposed where a network sees squares. What it calls a person is seen;
:func:`test_what_looks_like_a_person_is_believed` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest

from livematte.errors import DeviceError, InputError, LivematteError, ModelError
from livematte.frame import Array, Frame, Matte
from livematte.matting.backgrounds import Color
from livematte.matting.compositor import Compositor
from livematte.matting.temporal import TemporalFilter
from livematte.protocols import LiveSink, Source
from livematte.streaming.behaviour import Behaviour, Scene
from livematte.streaming.capture import Camera
from livematte.streaming.engine import LiveEngine
from livematte.streaming.frames import OutputFrame
from livematte.streaming.latest_value import StageThread
from livematte.streaming.live_matting import LiveMatting, ModelBundle
from livematte.streaming.model_loader import PreparedModels
from tests.clocks import FakeClock
from tests.livepeers import FORMAT, HEIGHT, LEVELS, PERSON, WIDTH, CollectingSink

TICK = 1 / 30
FRAMES = 2600
"""Of each session, of four: more than 10,000."""
MOST, FAINT = 0.01, 0.15
RIM = 5
"""Pixels: two of the network's, and up to three that the person moves in the longest time a matte may lag."""
BLACK = 16
SMALL = (32, 48)

_GRAIN = cv2.resize(np.random.default_rng(1).random((16, 64), np.float32), (4 * WIDTH, HEIGHT))
ROOM = (170 + 70 * _GRAIN).astype(np.uint8)
CHROMA = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)


def where(number: int) -> tuple[int, int]:
    """Left and right of the person in a frame, who sways."""
    left = WIDTH // 3 + round(8 * np.sin(number / 9))
    return left, left + WIDTH // 4


def picture(number: int) -> Frame:
    luma = ROOM[:, :WIDTH].copy()
    shift = 3 * number % (2 * WIDTH)
    luma[:, WIDTH // 2 :] = ROOM[:, shift : shift + WIDTH - WIDTH // 2]
    left, right = where(number)
    luma[:, left:right] = PERSON
    return Frame((luma, CHROMA, CHROMA), "yuv420p", number, Fraction(1, 30))


def room_seen(sent: Frame, captured: Frame, number: int) -> float:
    """Share of the pixels outside the person that show something of the room, or anything but black."""
    left, right = where(number)
    outside = np.ones(WIDTH, bool)
    outside[left - RIM : right + RIM] = False
    room = captured.planes[0][:, outside].astype(np.float32) - BLACK
    shown = sent.planes[0][:, outside].astype(np.float32) - BLACK
    return float((shown > FAINT * room).mean())


class Recorder(CollectingSink):
    """Measures each frame that is sent against the camera's, and keeps the worst of every fault."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks: list[tuple[str, float]] = []
        self.people = self.sent = 0
        self.of: dict[int, tuple[Frame, int]] = {}
        self.fault = ""

    def look(self, frame: Frame, serial: int | None) -> None:
        self.sent += 1
        captured, number = (picture(0), 0) if serial is None else self.of[serial]
        if frame.size != (HEIGHT, WIDTH) or frame.format != "yuv420p":
            seen = 1.0
        elif serial is None:  # the placeholder has nobody in it either
            seen = float((frame.planes[0] != BLACK).mean())
        else:
            seen = room_seen(frame, captured, number)
        left, right = where(number)
        self.people += abs(int(frame.planes[0][HEIGHT // 2, (left + right) // 2]) - PERSON) < 10
        if seen > MOST:
            self.leaks.append((self.fault, seen))


@dataclass
class Told:
    """What all models of a session are told: the frame they see, and what to give in place of its matte."""

    number: int = 0
    wrong: Callable[[Array], Any] | None = None
    size: Any = "right"


class Steered:
    """Finds the person, unless it is told otherwise."""

    def __init__(self, told: Told, size: tuple[int, int] = SMALL) -> None:
        self._told, self._size = told, size
        self.wrong: Callable[[Array], Any] | None = None

    def input_size(self, height: int, width: int) -> Any:
        return self._size if self._told.size == "right" else self._told.size

    def __call__(self, rgb: Array, state: Any) -> Any:
        height, width = rgb.shape[:2]
        left, right = (round(x * width / WIDTH) for x in where(self._told.number))
        alpha = np.zeros((height, width), np.float32)
        alpha[:, left:right] = 1
        wrong = self.wrong or self._told.wrong
        return (Matte(alpha), None) if wrong is None else wrong(alpha)


class Behind(Color):
    """Black, unless it is told to give something else."""

    wrong: Callable[[Frame], Any] | None = None

    def __call__(self, frame: Frame, alpha: Array) -> Any:
        made = super().__call__(frame, alpha)
        return made if self.wrong is None else self.wrong(frame)


class OneShot:
    """A camera that gives one thing, or breaks."""

    info: Any = None

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __iter__(self) -> Iterator[Frame]:
        if isinstance(self._thing, BaseException):
            raise self._thing
        yield self._thing

    def close(self) -> None:
        pass


def raising(error: BaseException) -> Callable[[Any], Any]:
    def raises(_: Any) -> Any:
        raise error

    return raises


def alpha_is(make: Callable[[Array], Any], foreground: Any = None) -> Callable[[Array], Any]:
    return lambda alpha: (Matte(make(alpha), foreground), None)


def nearly_all(alpha: Array) -> Array:
    made = np.ones_like(alpha)
    made[:, :1] = 0
    return made


def noise(alpha: Array) -> Array:
    return np.random.default_rng(alpha.size).random(alpha.shape, np.float32)


MODEL: dict[str, Callable[[Array], Any]] = {
    "all ones": alpha_is(np.ones_like),
    "nearly all ones": alpha_is(nearly_all),
    "all zeros": alpha_is(np.zeros_like),
    "doubt": alpha_is(lambda a: np.full_like(a, 0.6)),
    "faint": alpha_is(lambda a: np.full_like(a, 0.4)),
    "noise": alpha_is(noise),
    "NaN": alpha_is(lambda a: np.full_like(a, np.nan)),
    "one NaN": alpha_is(lambda a: np.where(np.arange(a.size).reshape(a.shape) == 7, np.nan, a)),
    "infinite": alpha_is(lambda a: np.full_like(a, np.inf)),
    "0 to 255": alpha_is(lambda a: a * 255),
    "transposed": alpha_is(lambda a: np.ascontiguousarray(a.T)),
    "cropped": alpha_is(lambda a: a[:, a.shape[1] // 4 : -(a.shape[1] // 4)]),
    "one row": alpha_is(lambda a: a[:1]),
    "with channels": alpha_is(lambda a: a[..., None]),
    "empty": alpha_is(lambda a: a[:0]),
    "of uint8": alpha_is(lambda a: np.ones(a.shape, np.uint8)),
    "of float64": alpha_is(lambda a: np.ones(a.shape)),
    "of bool": alpha_is(lambda a: np.ones(a.shape, bool)),
    "a list": alpha_is(lambda a: a.tolist()),
    "no alpha": alpha_is(lambda a: None),
    "a number": alpha_is(lambda a: 1.0),
    "a small foreground": alpha_is(lambda a: a, np.zeros((3, 3, 3), np.float32)),
    "a foreground of NaN": alpha_is(lambda a: a, np.full((*SMALL, 3), np.nan, np.float32)),
    "None": lambda a: None,
    "no state": lambda a: Matte(a),
    "no matte": lambda a: (None, None),
    "a bare alpha": lambda a: (a, None),
    "three parts": lambda a: (Matte(a), None, None),
    "odd extras": lambda a: (Matte(a, None, {"trimap": None}), None),
    "ModelError": raising(ModelError("broken weights")),
    "ZeroDivisionError": raising(ZeroDivisionError("1/0")),
    "MemoryError": raising(MemoryError()),
    "DeviceError": raising(DeviceError("the GPU is lost")),
    "TimeoutError": raising(TimeoutError("no answer")),
}
SIZES: dict[str, Any] = {
    "0, 0": (0, 0), "None": None, "negative": (-32, 48), "floats": (32.0, 48.0), "one": 32,
    "three": (32, 48, 3),
}  # fmt: skip


def cut(frame: Frame, rows: int) -> Frame:
    return frame.with_planes(tuple(plane[:rows] for plane in frame.planes))


BACKGROUND: dict[str, Callable[[Frame], Any]] = {
    "None": lambda f: None,
    "a list": lambda f: [*f.planes],
    "planes too small": lambda f: cut(f, 1),
    "chroma too small": lambda f: f.with_planes((f.planes[0] * 0, CHROMA[:1], CHROMA[:1])),
    "too few planes": lambda f: f.with_planes((np.full_like(f.planes[0], BLACK),)),
    "no planes": lambda f: f.with_planes(()),
    "another format": lambda f: replace(f, format="yuv444p"),
    "no format": lambda f: replace(f, format="yuv"),
    "another type": lambda f: f.with_planes(tuple(p.astype(np.uint16) * 0 for p in f.planes)),
    "the room": lambda f: f,
    "InputError": raising(InputError("the file is gone")),
    "RuntimeError": raising(RuntimeError("odd")),
}


def cameras(frame: Frame) -> dict[str, Any]:
    """What a camera may give in place of a frame."""
    return {
        "None": None,
        "a list": [*frame.planes],
        "cut luma": frame.with_planes((frame.planes[0][:5], *frame.planes[1:])),
        "cut chroma": frame.with_planes((frame.planes[0], CHROMA[:3], CHROMA)),
        "no planes": frame.with_planes(()),
        "another type": frame.with_planes(tuple(p.astype(np.float32) for p in frame.planes)),
        "colour in luma": frame.with_planes((np.dstack([frame.planes[0]] * 3), *frame.planes[1:])),
        "no format": replace(frame, format="jpeg"),
        "unplugged": InputError("the camera was unplugged"),
        "driver": OSError("no such device"),
    }


def live_matting(model: Any, temporal: str = "on", keep_small_components: bool = False) -> LiveMatting:
    return LiveMatting(model, TemporalFilter(temporal), keep_small_components=keep_small_components)


class Chaos:
    """A session without threads, which faults happen to."""

    def __init__(self, seed: int, filters: dict[str, Any] | None = None, **options: Any) -> None:
        filters = filters or {}
        self.rng = np.random.default_rng(seed)
        self.clock, self.sink, self.behind = FakeClock(), Recorder(), Behind((0, 0, 0))
        self.told, self.made = Told(), 0
        self.taken: list[str] = []
        self.spawned: list[Callable[[], None]] = []
        self.number = 0
        self.engine = LiveEngine(
            Camera(self.open),
            PreparedModels(self.make, LEVELS, self.make()),
            Scene(self.behind),
            [self.sink],
            FORMAT,
            Behaviour(matting=partial(live_matting, **filters), **options),
            clock=self.clock,
            spawn=self.spawned.append,
        )
        self.engine.stages.hand_over = self.deliver

    def deliver(self, sink: LiveSink, outgoing: OutputFrame) -> None:
        """Tell the recorder which camera frame a picture is of, then send it."""
        self.sink.look(outgoing.frame, outgoing.serial)
        self.engine.stages.deliver_step(sink, outgoing)
        self.sink.frames.clear()

    def open(self) -> Source:
        raise InputError("no camera here")

    def make(self, *_: Any) -> ModelBundle:
        self.made += 1
        model = Steered(self.told, SMALL if self.made % 2 else (48, 80))
        return ModelBundle(model, Compositor(refine="none", foreground=False))

    def camera(self, thing: Any) -> None:
        """What the capture's thread does with one thing that the camera gives."""
        capture = self.engine.capture
        capture.source = OneShot(thing)
        why = capture._read()
        if why != "the input has ended":
            capture._let_go(why)
            capture.opened += 1

    def capture(self) -> None:
        self.number += 1
        frame = picture(self.number)
        self.sink.of = {s: of for s, of in self.sink.of.items() if s > self.engine.stages.gate._serial - 60}
        self.sink.of[self.engine.stages.gate._serial + 1] = frame, self.number
        self.engine.stages.capture_step(frame, self.engine.capture.opened)

    def model(self, worker: StageThread[Any] | None = None) -> None:
        shot, self.engine.stages.to_model._item = self.engine.stages.to_model._item, None
        if shot is not None:
            self.told.number = self.sink.of[shot.serial][1]
            self.engine.stages.model_step(shot, worker)

    def composite(self) -> None:
        matted, self.engine.stages.to_composite._item = self.engine.stages.to_composite._item, None
        if matted is not None:
            self.engine.stages.composite_step(matted)

    def send(self) -> None:
        self.engine.stages.send_step()
        self.engine.check_step()
        while self.spawned:
            self.spawned.pop(0)()

    def tick(self, takes: float = 0.0) -> None:
        self.clock.advance(TICK)
        self.capture()
        self.clock.advance(takes)
        self.model()
        self.composite()
        self.send()

    # Faults; each leaves things as they were

    def model_fault(self) -> None:
        name = self.pick(MODEL)
        self.sink.fault = f"model: {name}"
        self.told.wrong = MODEL[name]
        for _ in range(self.rng.integers(1, 5)):
            self.tick()
        self.told.wrong = None

    def size_fault(self) -> None:
        name = self.pick(SIZES)
        self.sink.fault = f"input size: {name}"
        self.told.size = SIZES[name]
        self.tick()
        self.told.size = "right"

    def background_fault(self) -> None:
        name = self.pick(BACKGROUND)
        self.sink.fault = f"background: {name}"
        self.behind.wrong = BACKGROUND[name]
        for _ in range(self.rng.integers(1, 4)):
            self.tick()
        self.behind.wrong = None

    def background_change(self) -> None:
        name = self.pick(BACKGROUND)
        self.sink.fault = f"another background: {name}"
        other = Behind((0, 0, 0))
        other.wrong = BACKGROUND[name]
        try:
            self.engine.stages.set_background(other)
            self.taken.append(name)
        except (LivematteError, RuntimeError):
            pass
        except Exception as error:  # a bug in livematte, as users would read
            self.taken.append(f"{name}: {error!r}")
        self.tick()
        if self.taken:
            self.engine.stages.set_background(self.behind)

    def camera_fault(self) -> None:
        things = cameras(picture(self.number))
        name = self.pick(things)
        self.sink.fault = f"camera: {name}"
        self.clock.advance(TICK)
        self.camera(things[name])
        self.model()
        self.composite()
        self.send()

    def silence(self) -> None:
        self.sink.fault = "silence of the camera"
        for _ in range(self.rng.integers(2, 12)):
            self.clock.advance(TICK)
            self.send()

    def late(self) -> None:
        self.sink.fault = "a late model"
        self.tick(float(self.rng.choice([0.2, 0.9, 1.1, 3.0])))

    def silent_model(self) -> None:
        """It answers nothing for a while; what it says at last is heard of one that was given up."""
        self.sink.fault = "a silent model"
        for _ in range(self.rng.integers(2, 45)):
            self.clock.advance(TICK)
            self.capture()
            self.send()
        worker = self.engine.model_worker()
        worker.given_up = bool(self.rng.integers(2))
        self.model(worker)
        self.composite()
        self.send()

    def between(self) -> None:
        """The model fails while an earlier frame is on its way to the compositor, or to viewers."""
        self.sink.fault = "a failure between matte and sink"
        self.clock.advance(TICK)
        self.capture()
        self.model()
        self.engine.stages.gate.fail("the model failed")
        self.composite()
        self.send()

    def change(self) -> None:
        """Another model takes over while a frame of the old one is under way; it may be a broken one."""
        self.sink.fault = "a change of model"
        self.clock.advance(TICK)
        self.capture()
        self.model()
        parts = self.make()
        model = parts.model
        assert isinstance(model, Steered)
        if self.rng.integers(2):
            model.wrong = MODEL["all ones"]
        self.engine.set_model(PreparedModels(self.make, LEVELS, parts))
        self.composite()
        self.send()
        self.tick()
        model.wrong = None

    def pause(self) -> None:
        self.sink.fault = "a pause"
        self.engine.stages.pause(True)
        self.tick()
        self.engine.stages.pause(False)

    def pick(self, of: Any) -> str:
        return str(self.rng.choice(list(of)))

    def run(self, frames: int) -> None:
        faults = (
            *[self.model_fault] * 8, *[self.background_fault] * 2, *[self.camera_fault] * 2, self.size_fault,
            self.background_change, self.silence, self.late, self.silent_model, self.between, self.change,
            self.pause,
        )  # fmt: skip
        while self.sink.sent < frames:
            for _ in range(self.rng.integers(1, 9)):  # the last fault's aftermath counts as its own
                self.tick()
            faults[self.rng.integers(len(faults))]()


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (0, {}),
        (1, {"filters": {"temporal": "strong"}, "delay": 0.05}),
        (2, {"filters": {"keep_small_components": True}}),
        (3, {"lag_ok": True}),
    ],
    ids=["on", "strong, delayed", "islands", "mattes that lag"],
)
def test_no_fault_shows_viewers_the_room(seed: int, options: dict[str, Any]) -> None:
    chaos = Chaos(seed, **options)
    chaos.run(FRAMES)
    found = sorted({fault for fault, _ in chaos.sink.leaks})
    assert not chaos.sink.leaks, f"{len(chaos.sink.leaks)} of {chaos.sink.sent} frames, after {found}"
    assert not chaos.taken, "a background that breaks its contract is refused when it is set"
    assert chaos.sink.people > FRAMES / 5, "people are seen in between"


@pytest.mark.parametrize("temporal", ["on", "strong", "off"])
def test_one_frame_that_is_all_a_person_is_not_averaged_into_the_picture(temporal: str) -> None:
    chaos = Chaos(0, {"temporal": temporal})
    for _ in range(10):
        chaos.tick()
    chaos.told.wrong = MODEL["all ones"]
    chaos.tick()
    chaos.told.wrong = None
    assert chaos.engine.stages.stats().showing == "the matte is not to be trusted"
    assert not chaos.engine.stages._matting.frame_matting.remembers_alpha, "nor is it remembered"
    for _ in range(3):
        chaos.tick()
    assert not chaos.sink.leaks and chaos.engine.stages.stats().showing == "picture"


@pytest.mark.parametrize("name", [name for name in MODEL if "Error" not in name][12:])
def test_what_is_no_matte_is_told_in_one_line_that_names_the_model(name: str) -> None:
    chaos = Chaos(0)
    chaos.told.wrong = MODEL[name]
    chaos.tick()
    (note,) = chaos.engine.stages.stats().notes
    assert note.startswith("the model failed: ModelError: the model") and "\n" not in note
    assert ("Steered gave" in note and "expected" in note) or "has a value of nan" in note


@pytest.mark.parametrize("name", [name for name in BACKGROUND if "Error" not in name])
def test_what_is_no_background_is_told_in_one_line_that_names_it(name: str) -> None:
    chaos = Chaos(0)
    chaos.tick()
    chaos.behind.wrong = BACKGROUND[name]
    chaos.tick()
    (note,) = chaos.engine.stages.stats().notes
    assert "InputError: the background Behind gave" in note and "expected" in note and "\n" not in note
    assert chaos.engine.stages.stats().showing == "the compositor failed"


def test_what_looks_like_a_person_is_believed() -> None:
    """The limit of what can be told: an inverted matte is a large person with a hole."""
    chaos = Chaos(0)
    chaos.told.wrong = alpha_is(lambda alpha: 1 - alpha)
    chaos.tick()
    assert chaos.sink.leaks
