"""Peers of the live engine that tests steer: a camera, models and sinks, without waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from livematte.device.execution import CpuContext, ExecutionContext
from livematte.errors import InputError
from livematte.frame import Array, Frame, Matte
from livematte.matting.compositor import Compositor
from livematte.protocols import LiveFormat, SourceInfo
from livematte.streaming.governor import Level, ladder
from livematte.streaming.live_matting import ModelBundle

HEIGHT, WIDTH = 64, 96
FORMAT = LiveFormat(WIDTH, HEIGHT, Fraction(30))
ROOM = 200
"""The luma of the room: no frame that viewers get may hold it. Backgrounds in tests are black."""
PERSON = 100


def camera_frame(number: int = 0, *, room: int = ROOM, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Frame:
    """A grey person, the middle third, in a bright room."""
    height, width = size
    luma = np.full((height, width), room, np.uint8)
    luma[:, width // 3 : 2 * width // 3] = PERSON
    chroma = np.full((height // 2, width // 2), 128, np.uint8)
    return Frame((luma, chroma, chroma.copy()), "yuv420p", number, Fraction(1, 30))


def shows_room(frame: Frame) -> bool:
    """Whether anything as bright as the room is seen."""
    return bool((frame.planes[0] > (ROOM + PERSON) // 2).any())


def shows_person(frame: Frame) -> bool:
    return bool(abs(int(frame.planes[0][HEIGHT // 2, WIDTH // 2]) - PERSON) < 20)


class FindsThePerson:
    """Alpha 1 in the middle third. ``wrong`` is called first and may raise, wait or give another alpha."""

    def __init__(self, size: tuple[int, int] = (32, 48)) -> None:
        self.size, self.calls, self.states = size, 0, list[Any]()
        self.wrong: Callable[[], Array | None] = lambda: None

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return self.size

    def __call__(self, rgb: Array, state: Any) -> tuple[Matte, Any]:
        self.calls += 1
        self.states.append(state)
        alpha = self.wrong()
        if alpha is None:
            alpha = np.zeros(rgb.shape[:2], np.float32)
            alpha[:, rgb.shape[1] // 3 : 2 * rgb.shape[1] // 3] = 1
        return Matte(alpha), (state or 0) + 1


class BundleMaker:
    """Makes models for levels; remembers what it was asked. ``fails`` is raised while it is set."""

    def __init__(self, place: Callable[[], ExecutionContext] = CpuContext) -> None:
        self.place = place
        self.asked: list[tuple[Level, BaseException | None]] = []
        self.made: list[FindsThePerson] = []
        self.fails: BaseException | None = None

    def __call__(self, level: Level, broke: BaseException | None) -> ModelBundle:
        self.asked.append((level, broke))
        if self.fails is not None:
            raise self.fails
        side = level.size or 48
        self.made.append(FindsThePerson((side * 2 // 3, side)))
        return ModelBundle(self.made[-1], Compositor(refine="none", foreground=False), self.place())


LEVELS = ladder(192, "none", network=False, smallest=96)


class CollectingSink:
    """Keeps what it was sent."""

    name = "collecting"

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.notes: list[str] = []
        self.closed = 0
        self.watched: bool | None = None
        self.fails: BaseException | None = None
        self.got = threading.Condition()

    def send(self, frame: Frame) -> None:
        if self.fails is not None:
            raise self.fails
        with self.got:
            self.frames.append(frame)
            self.got.notify_all()

    def wait_for(self, what: Callable[[Frame], bool], seconds: float = 60.0) -> bool:
        """Whether such a frame comes."""
        with self.got:
            seen = len(self.frames)
            return self.got.wait_for(lambda: any(what(frame) for frame in self.frames[seen:]), seconds)

    def close(self) -> None:
        self.closed += 1


class SteeredCamera:
    """Gives a frame whenever it is told; None unplugs it."""

    def __init__(self) -> None:
        self.info = SourceInfo("steered", HEIGHT, WIDTH, "yuv420p", Fraction(1, 30))
        self.closed = 0
        self._given: list[Frame | None] = []
        self._changed = threading.Condition()

    def give(self, frame: Frame | None) -> None:
        with self._changed:
            self._given.append(frame)
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._given or self.closed)
                if not self._given:
                    return
                frame = self._given.pop(0)
            if frame is None:
                raise InputError("the camera was unplugged")
            yield frame

    def close(self) -> None:
        with self._changed:
            self.closed += 1
            self._changed.notify_all()
