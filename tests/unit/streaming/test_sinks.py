"""Each sink has a thread of its own: one that stalls delays neither the others nor the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from livematte.errors import OutputError
from livematte.frame import Frame
from livematte.matting.backgrounds import Color
from livematte.matting.compositor import Compositor
from livematte.streaming.behaviour import Behaviour, Scene
from livematte.streaming.capture import Camera
from livematte.streaming.engine import LiveEngine
from livematte.streaming.live_matting import ModelBundle
from livematte.streaming.model_loader import PreparedModels
from tests.livepeers import (
    FORMAT,
    LEVELS,
    BundleMaker,
    CollectingSink,
    FindsThePerson,
    SteeredCamera,
    camera_frame,
    shows_person,
    shows_room,
)


class StallingSink(CollectingSink):
    """Does not come back from ``send`` while it is stalled."""

    name = "stalling"

    def __init__(self) -> None:
        super().__init__()
        self.flowing = threading.Event()
        self.entered = 0

    def send(self, frame: Frame) -> None:
        self.entered += 1
        self.flowing.wait(60)
        super().send(frame)


@contextmanager
def running(camera: SteeredCamera, *sinks: CollectingSink, hang: float = 60.0) -> Iterator[LiveEngine]:
    engine = LiveEngine(
        Camera(lambda: camera),
        PreparedModels(
            BundleMaker(),
            LEVELS[:1],
            ModelBundle(FindsThePerson(), Compositor(refine="none", foreground=False)),
        ),
        Scene(Color((0, 0, 0))),
        sinks,
        FORMAT,
        Behaviour(max_age=60.0, silence=60.0, hang=hang),
    )
    engine.start()
    try:
        yield engine
    finally:
        engine.close(patience=0.3)


def test_a_sink_that_stalls_does_not_slow_the_others() -> None:
    camera, quick, stalled = SteeredCamera(), CollectingSink(), StallingSink()
    with running(camera, stalled, quick) as engine:
        camera.give(camera_frame())
        assert quick.wait_for(shows_person)
        before = len(quick.frames)
        assert quick.wait_for(lambda _: len(quick.frames) >= before + 20)
        assert stalled.entered == 1 and not stalled.frames
        assert engine.stages.stats().latency_p95 > 0, "the quick one has pictures"
        stalled.flowing.set()
        assert stalled.wait_for(shows_person)
        gap = stalled.frames[1].pts - stalled.frames[0].pts
        assert gap > 15, "what it missed is not sent later"
        assert [frame.pts for frame in stalled.frames] == sorted({frame.pts for frame in stalled.frames})
    assert not any(map(shows_room, [*quick.frames, *stalled.frames]))
    assert quick.closed == stalled.closed == 1


def test_what_failed_while_a_sink_stalled_is_never_sent_to_it() -> None:
    camera, quick, stalled = SteeredCamera(), CollectingSink(), StallingSink()
    with running(camera, stalled, quick) as engine:
        camera.give(camera_frame())
        assert quick.wait_for(shows_person)
        engine.stages.pause(True)
        assert quick.wait_for(lambda frame: not shows_person(frame))
        stalled.flowing.set()
        assert stalled.wait_for(lambda _: len(stalled.frames) > 5)
    assert not any(map(shows_person, stalled.frames))


def test_a_sink_that_stalls_is_told_and_the_end_does_not_wait_for_it() -> None:
    camera, quick, stalled = SteeredCamera(), CollectingSink(), StallingSink()
    with running(camera, stalled, quick, hang=0.2) as engine:
        told = "stalling has not taken a picture for 0.2 s"
        assert quick.wait_for(lambda _: told in engine.stages.stats().notes)
        began = time.monotonic()
    assert time.monotonic() - began < 10 and stalled.closed == quick.closed == 1
    stalled.flowing.set()


def test_a_sink_that_is_gone_ends_its_thread_and_the_last_one_the_session() -> None:
    camera, first, second = SteeredCamera(), CollectingSink(), CollectingSink()
    with running(camera, first, second) as engine:
        first.fails = OutputError("the device was removed")
        assert second.wait_for(lambda _: len(engine.stages.sinks) == 1)
        second.fails = OutputError("that one, too")
        assert engine.stages.stop.wait(20) and engine.stages.failure is second.fails
    assert first.closed >= 1 and second.closed >= 1
    assert not any(each.name.startswith("livematte-send") for each in threading.enumerate())
