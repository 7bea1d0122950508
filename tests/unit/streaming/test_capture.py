"""The camera's loop under a clock that jumps: tries again at its pace, tells the gate, lets go."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from livematte.errors import CameraLost, InputError
from livematte.frame import Frame
from livematte.protocols import Source
from livematte.streaming.capture import Camera, Capture
from livematte.streaming.gate import Gate
from livematte.streaming.stats import LiveMeter
from tests.clocks import FakeClock
from tests.livepeers import SteeredCamera, camera_frame


class Rig:
    """A capture that runs in the test's own thread until ``opens`` has stopped it."""

    def __init__(self, opens: Callable[[Rig], Source]) -> None:
        self.clock, self.stop = FakeClock(0.0), threading.Event()
        self.gate, self.meter = Gate(self.clock), LiveMeter(self.clock)
        self.tries: list[float] = []
        self.frames: list[tuple[Frame, int]] = []

        def open_source() -> Source:
            self.tries.append(self.clock.now())
            return opens(self)

        self.capture = Capture(
            Camera(open_source),
            lambda frame, opened: self.frames.append((frame, opened)),
            self.gate,
            self.meter,
            self.clock,
            self.stop,
            retry=0.5,
        )
        self.capture.wanted.set()


def test_a_camera_that_is_gone_is_tried_twice_a_second_until_it_is_back() -> None:
    camera = SteeredCamera()
    camera.give(camera_frame())
    camera.give(None)

    def opens(rig: Rig) -> Source:
        if len(rig.tries) < 4:
            raise InputError("no camera with that id")
        if len(rig.tries) == 5:
            rig.stop.set()
            raise InputError("unplugged again")
        return camera

    rig = Rig(opens)
    rig.capture.run()
    assert rig.tries == pytest.approx([0, 0.5, 1.0, 1.5, 2.0])
    assert len(rig.frames) == 1 and camera.closed == 1
    assert rig.gate.choose().reason == "the camera is gone"


def test_a_camera_that_breaks_at_once_is_not_opened_in_a_frenzy() -> None:
    class Breaks(SteeredCamera):
        def __iter__(self):  # type: ignore[no-untyped-def]
            raise CameraLost("broke off")
            yield

    def opens(rig: Rig) -> Source:
        if len(rig.tries) == 5:
            rig.stop.set()
        return Breaks()

    rig = Rig(opens)
    rig.capture.run()
    assert rig.tries == pytest.approx([0, 0.5, 1.0, 1.5, 2.0])


def test_every_opening_has_its_number() -> None:
    def opens(rig: Rig) -> Source:
        if len(rig.tries) == 3:
            rig.stop.set()
        camera = SteeredCamera()
        camera.give(camera_frame())
        camera.give(None)
        return camera

    rig = Rig(opens)
    rig.capture.run()
    assert [opened for _, opened in rig.frames] == [1, 2]


def test_a_camera_that_hangs_while_it_opens_is_closed_when_it_comes_back_too_late() -> None:
    camera = SteeredCamera()

    def opens(rig: Rig) -> Source:
        rig.capture.successor()
        return camera

    rig = Rig(opens)
    rig.capture.run()
    assert camera.closed == 1 and not rig.frames
