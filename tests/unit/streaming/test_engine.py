"""The live engine's policies: drop, repeat, reconnect, fail closed, govern. No test waits for time to pass.

Most call the stages one by one under a clock that is turned by hand; the last ones run the real threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from livematte.device.execution import CpuContext, ExecutionContext
from livematte.errors import DeviceError, InputError, ModelError, OutputError, UsageError
from livematte.frame import Frame
from livematte.matting.backgrounds import Color, Image, Transparent
from livematte.matting.compositor import Compositor
from livematte.protocols import LiveSink, Source
from livematte.streaming.behaviour import LONGEST_LAG, Behaviour, Scene
from livematte.streaming.capture import Camera
from livematte.streaming.engine import LiveEngine
from livematte.streaming.live_matting import ModelBundle
from livematte.streaming.model_loader import PreparedModels
from tests.clocks import FakeClock
from tests.livepeers import (
    FORMAT,
    HEIGHT,
    LEVELS,
    ROOM,
    WIDTH,
    BundleMaker,
    CollectingSink,
    FindsThePerson,
    SteeredCamera,
    camera_frame,
    shows_person,
    shows_room,
)

TICK = 1 / 30


def model_and_composite(engine: LiveEngine) -> None:
    """What the model's and the compositor's threads would do with what they were handed."""
    if (shot := engine.stages.to_model._item) is not None:
        engine.stages.to_model._item = None
        engine.stages.model_step(shot)
    if (matted := engine.stages.to_composite._item) is not None:
        engine.stages.to_composite._item = None
        engine.stages.composite_step(matted)


class Bench:
    """An engine without threads: one call of :meth:`tick` is one frame time."""

    place: Callable[[], ExecutionContext] = CpuContext
    """Where the first parts work, and those that are made."""

    def __init__(self, *, background: Any = None, placeholder: Any = None, **options: Any) -> None:
        where = type(self).place
        self.clock, self.sink, self.maker = FakeClock(), CollectingSink(), BundleMaker(where)
        self.model = FindsThePerson((128, 192))
        self.spawned: list[Callable[[], None]] = []
        self.engine = LiveEngine(
            Camera(self.open),
            PreparedModels(
                self.maker,
                LEVELS,
                ModelBundle(self.model, Compositor(refine="none", foreground=False), where()),
            ),
            Scene(background or Color((0, 0, 0)), placeholder),
            [self.sink],
            FORMAT,
            Behaviour(**options),
            clock=self.clock,
            spawn=self.spawned.append,
        )
        self.opened, self.number = 1, 0

    def open(self) -> Source:
        raise InputError("no camera here")

    def model_and_composite(self) -> None:
        model_and_composite(self.engine)

    def capture(self, frame: Frame | None = None) -> None:
        self.number += 1
        self.engine.stages.capture_step(frame or camera_frame(self.number), self.opened)

    def send(self) -> Frame:
        self.engine.stages.send_step()
        self.engine.check_step()
        return self.sink.frames[-1]

    def tick(self, frame: Frame | None = None) -> Frame:
        """Camera, model, compositor, sender; the frame that viewers get."""
        self.clock.advance(TICK)
        self.capture(frame)
        self.model_and_composite()
        return self.send()

    def aside(self) -> None:
        """Do what was put aside for other threads."""
        while self.spawned:
            self.spawned.pop(0)()

    def safe(self) -> bool:
        return not any(shows_room(frame) for frame in self.sink.frames)


def test_the_person_stands_before_the_background() -> None:
    bench = Bench()
    frame = bench.tick()
    assert shows_person(frame) and not shows_room(frame)
    stats = bench.engine.stages.stats()
    assert (stats.sent, stats.placeholders, stats.showing) == (1, 0, "picture")


def test_a_preview_gets_what_the_sinks_get_and_no_matte_with_the_placeholder() -> None:
    bench = Bench()
    assert bench.engine.stages.shown is None
    bench.send()
    shown = bench.engine.stages.shown
    assert shown is not None and shown.alpha is None and shown.frame is bench.sink.frames[-1]
    bench.tick()
    shown = bench.engine.stages.shown
    assert shown is not None and shown.frame is bench.sink.frames[-1] and shows_person(shown.frame)
    assert shown.alpha is not None and shown.alpha.shape == bench.model.size
    assert shown.alpha[:, 96].min() > 0.9 and shown.alpha[:, :40].max() < 0.1
    bench.engine.stages.pause(True)
    bench.tick()
    shown = bench.engine.stages.shown
    assert shown is not None and shown.alpha is None and not shows_person(shown.frame)


def test_the_placeholder_is_sent_until_the_first_good_matte() -> None:
    bench = Bench()
    for _ in range(3):
        bench.clock.advance(TICK)
        bench.capture()
        assert not shows_person(bench.send())
    assert shows_person(bench.tick()) and bench.safe()
    assert bench.engine.stages.stats().placeholders == 3
    assert bench.engine.stages.stats().first_good == pytest.approx(4 * TICK)


def test_a_picture_of_ones_own_is_the_placeholder() -> None:
    bench = Bench(placeholder=Image(np.full((8, 8, 3), 128, np.uint8)))
    luma = int(bench.send().planes[0][0, 0])
    assert 115 < luma < 135
    assert int(bench.tick().planes[0][0, 0]) == 16


def test_the_sender_repeats_when_nothing_new_is_there() -> None:
    bench = Bench()
    first = bench.tick()
    bench.clock.advance(TICK)
    again = bench.send()
    assert again.planes[0] is first.planes[0]
    assert bench.engine.stages.stats().repeats == 1


def test_a_newer_frame_overtakes_one_that_waits() -> None:
    bench = Bench()
    bench.tick()
    for _ in range(3):
        bench.capture()
    bench.model_and_composite()
    stats = bench.engine.stages.stats()
    assert stats.dropped == 2 and stats.matted == 2


def test_latency_is_from_capture_to_sent() -> None:
    bench = Bench()
    for _ in range(20):
        bench.clock.advance(TICK)
        bench.capture()
        bench.clock.advance(0.020)
        bench.model_and_composite()
        bench.clock.advance(0.005)
        bench.send()
    stats = bench.engine.stages.stats()
    assert stats.latency_p50 == pytest.approx(25, abs=0.1) == stats.latency_p95


def test_frame_times_of_the_output_count_on() -> None:
    bench = Bench()
    for _ in range(3):
        bench.engine.stages.pacer.wait()
        bench.tick()
    assert [frame.pts for frame in bench.sink.frames] == sorted({frame.pts for frame in bench.sink.frames})
    assert bench.sink.frames[0].time_base == 1 / FORMAT.rate


# Fail closed


def hundred(bench: Bench) -> None:
    for _ in range(100):
        bench.tick()


def test_a_model_that_raises_shows_the_placeholder_and_recovers() -> None:
    bench = Bench()
    bench.tick()

    def wrong() -> None:
        raise ModelError("weights are broken")

    bench.model.wrong = wrong
    assert not shows_person(bench.tick())
    bench.model.wrong = lambda: None
    shown = [shows_person(bench.tick()) for _ in range(4)]
    assert shown == [False, False, True, True] and bench.safe()
    assert any("weights are broken" in note for note in bench.engine.stages.stats().notes)


def test_a_model_that_keeps_raising_is_made_anew() -> None:
    bench = Bench()
    bench.tick()
    bench.model.wrong = lambda: 1 / 0  # type: ignore[assignment,return-value]
    for _ in range(20):
        bench.tick()
    calls = bench.model.calls
    assert calls == 4, "one good, three failures, then it is left alone"
    bench.aside()
    for _ in range(4):
        bench.tick()
    assert isinstance(bench.maker.asked[0][1].__cause__, ZeroDivisionError)
    assert shows_person(bench.tick()) and bench.safe() and bench.model.calls == calls


def test_a_model_that_hangs_twice_in_a_row_makes_way_for_a_smaller_one() -> None:
    bench = Bench()

    def hangs() -> None:  # what the check for hangs does
        bench.engine.stages.report_failure("the model", TimeoutError("no answer for 5 s"), None)
        raise TimeoutError

    def after_two() -> list[Any]:
        bench.maker.asked.clear()
        for _ in range(2):
            bench.model.wrong = hangs
            while bench.engine.stages.broken is None:
                bench.tick()
            while not bench.spawned:
                bench.tick()
            bench.aside()
            bench.model = bench.maker.made[-1]
        return [level for level, broke in bench.maker.asked if broke is not None]

    assert shows_person(bench.tick())
    assert after_two() == list(LEVELS[:2])
    while not shows_person(bench.tick()):
        pass
    assert after_two() == list(LEVELS[1:3]) and bench.safe(), "it had worked since: first the same again"


def test_a_lost_gpu_shows_the_placeholder_and_asks_for_another_model_at_once() -> None:
    bench = Bench()
    bench.tick()

    def wrong() -> None:
        raise DeviceError("CUDA error: device lost")

    bench.model.wrong = wrong
    assert not shows_person(bench.tick())
    for _ in range(10):
        assert not shows_person(bench.tick())
    assert [type(broke) for _, broke in bench.maker.asked] == [] and len(bench.spawned) == 1
    bench.aside()
    assert isinstance(bench.maker.asked[0][1], DeviceError)
    for _ in range(4):
        bench.tick()
    assert shows_person(bench.tick()) and bench.safe()


def test_as_long_as_no_other_model_can_be_made_the_placeholder_stays() -> None:
    bench = Bench()
    bench.tick()
    bench.model.wrong = lambda: (_ for _ in ()).throw(DeviceError("gone"))
    bench.maker.fails = DeviceError("no device at all")
    for _ in range(300):
        bench.tick()
        bench.aside()
    assert not shows_person(bench.sink.frames[-1]) and bench.safe()
    assert 3 <= len(bench.maker.asked) <= 6, "tried every two seconds, not every frame"
    bench.maker.fails = None
    for _ in range(90):
        bench.tick()
        bench.aside()
    assert shows_person(bench.sink.frames[-1])


@pytest.mark.parametrize(
    "alpha",
    [
        np.full((128, 192), np.nan, np.float32),
        np.full((128, 192), 3.0, np.float32),
        np.ones((128, 192), np.float32),
        np.full((128, 192), 0.6, np.float32),
        np.full((128, 192), 0.4, np.float32),
        np.zeros((128, 192), np.float32),
        np.random.default_rng(0).random((128, 192)).astype(np.float32),
    ],
    ids=["nan", "three", "ones", "doubt", "faint", "nobody", "noise"],
)
def test_a_matte_that_cannot_be_trusted_never_shows_the_room(alpha: np.ndarray) -> None:
    fresh = Bench()
    fresh.model.wrong = lambda: alpha
    for _ in range(10):
        fresh.tick()
    assert fresh.safe() and not any(map(shows_person, fresh.sink.frames))
    later = Bench()
    for _ in range(5):
        later.tick()
    later.model.wrong = lambda: alpha
    before = len(later.sink.frames)
    for _ in range(10):
        later.tick()
    assert later.safe() and shows_person(later.sink.frames[before - 1])
    # Calmed over time, "nobody" fades instead of jumping; a second later nobody is there.
    for _ in range(20):
        later.tick()
    assert not shows_person(later.sink.frames[-1])


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_picture_shows_no_more_than_the_placeholder(value: int) -> None:
    bench = Bench()
    bench.model.wrong = lambda: np.zeros((128, 192), np.float32)  # what a model finds in it
    for _ in range(5):
        bench.tick(camera_frame(room=value))
    assert bench.safe()


def test_damaged_planes_are_refused_before_they_get_anywhere() -> None:
    bench = Bench()
    bench.tick()
    good = camera_frame()
    with pytest.raises(InputError, match="damaged"):
        bench.capture(good.with_planes(good.planes[:1]))
    assert bench.engine.stages.to_model._item is None


def test_a_late_matte_is_thrown_away() -> None:
    bench = Bench(silence=100)
    bench.tick()
    bench.capture()
    bench.clock.advance(1.1)
    bench.model_and_composite()
    assert not shows_person(bench.send()) and bench.safe()


def test_the_background_that_fails_shows_the_placeholder() -> None:
    class Breaks(Color):
        broken = False

        def __call__(self, frame: Frame, alpha: Any) -> Frame:
            if self.broken:
                raise InputError("the background's file is gone")
            return super().__call__(frame, alpha)

    background = Breaks((0, 0, 0))
    bench = Bench(background=background)
    bench.tick()
    background.broken = True
    for _ in range(5):
        assert not shows_person(bench.tick())
    assert not bench.spawned, "another model would not help"


def test_paused_is_the_placeholder_and_the_model_rests() -> None:
    bench = Bench()
    bench.tick()
    bench.engine.stages.pause(True)
    calls = bench.model.calls
    assert not shows_person(bench.send()) and not shows_person(bench.tick())
    assert bench.model.calls == calls and bench.engine.stages.stats().showing == "paused"
    bench.engine.stages.pause(False)
    bench.tick(), bench.tick()
    assert shows_person(bench.tick())


def test_a_frozen_picture_stays_whatever_happens_and_pictures_go_on_after_it() -> None:
    bench = Bench()
    stages = bench.engine.stages
    with pytest.raises(UsageError, match="no picture to freeze, viewers see the placeholder: starting"):
        stages.freeze(True)
    kept = bench.tick()
    stages.freeze(True)
    bench.model.wrong = lambda: np.ones((128, 192), np.float32)
    for _ in range(60):
        assert bench.tick().planes[0] is kept.planes[0]
    stats = stages.stats()
    assert (stats.showing, stats.visible, stats.placeholders) == ("frozen", "a frozen picture", 0)
    stages.freeze(False)
    assert not shows_person(bench.tick()), "the matte is not to be trusted"
    bench.model.wrong = lambda: None
    bench.tick(), bench.tick()
    assert shows_person(bench.tick()) and bench.safe()
    stages.freeze(True)
    stages.pause(True)
    assert not shows_person(bench.tick()) and not stages.frozen
    with pytest.raises(UsageError, match="placeholder: paused"):
        stages.freeze(True)


# Shots


def test_a_new_size_a_new_camera_and_a_pause_start_a_new_shot() -> None:
    bench = Bench()
    for _ in range(3):
        bench.tick()
    assert bench.model.states[0] is None and None not in bench.model.states[1:]
    bench.tick(camera_frame(size=(2 * HEIGHT, 2 * WIDTH)))
    assert bench.model.states[-1] is None
    bench.tick(camera_frame(size=(2 * HEIGHT, 2 * WIDTH)))
    assert bench.model.states[-1] is not None
    bench.opened += 1
    bench.tick(camera_frame(size=(2 * HEIGHT, 2 * WIDTH)))
    assert bench.model.states[-1] is None
    bench.engine.stages.pause(True)
    bench.engine.stages.pause(False)
    bench.tick(camera_frame(size=(2 * HEIGHT, 2 * WIDTH)))
    assert bench.model.states[-1] is None


def test_a_cut_starts_a_new_shot() -> None:
    bench = Bench()
    for _ in range(3):
        bench.tick()
    bench.tick(camera_frame(room=20))
    assert bench.model.states[-1] is None
    bench.tick(camera_frame(room=20))
    assert bench.model.states[-1] is not None


def test_the_compositor_learns_of_a_cut_whose_frame_was_dropped() -> None:
    bench = Bench()
    stages, shots = bench.engine.stages, []
    for room in (ROOM, ROOM, 20, 20):
        bench.clock.advance(TICK)
        bench.capture(camera_frame(room=room))
        captured = stages.to_model.take(0)
        assert captured is not None
        stages.model_step(captured)
        matted = stages.to_composite.take(0)
        assert matted is not None
        shots.append(matted.shot)
        assert not matted.captured.frame.keyframe_hint
    # The third frame began the shot; a compositor that is given the fourth only sees another number too.
    assert shots[0] == shots[1] != shots[2] == shots[3]
    hints = []

    def composited(frame: Frame, *_: Any, **__: Any) -> Any:
        hints.append(frame.keyframe_hint)
        raise InputError("only the frame matters here")

    bundle = replace(matted.bundle, compositor=composited)  # type: ignore[arg-type]
    for shot in (1, 1, 2, 2):
        stages.gate._barrier = -1  # the failure of the frame before does not matter
        stages.composite_step(replace(matted, bundle=bundle, shot=shot))
    assert hints == [True, False, True, False]


# Options


def test_with_lag_ok_a_frame_goes_out_with_the_newest_matte() -> None:
    bench = Bench(lag_ok=True)
    bench.tick()
    bench.clock.advance(TICK)
    bench.capture()
    engine = bench.engine
    matted = engine.stages.to_composite.take()
    assert matted is not None and matted.captured.serial == 1
    engine.stages.composite_step(matted)
    assert shows_person(bench.send()) and bench.model.calls == 1 and bench.safe()


def test_with_lag_ok_a_matte_from_before_a_failure_is_not_used() -> None:
    bench = Bench(lag_ok=True)
    bench.tick()
    bench.engine.stages.gate.fail("the model failed")
    bench.capture()
    assert bench.engine.stages.to_composite._item is None


def test_with_lag_ok_a_matte_lags_no_longer_than_it_may() -> None:
    """It would show the room where the person stood; the picture before, with its own, stays instead."""
    bench = Bench(lag_ok=True, silence=100)
    shown = bench.tick()
    bench.clock.advance(LONGEST_LAG + 0.01)
    bench.capture()
    assert bench.engine.stages.to_composite._item is None
    assert bench.send().planes[0] is shown.planes[0]
    bench.model_and_composite()
    assert bench.send().planes[0] is not shown.planes[0], "a slow model's mattes go out with their own frames"


def test_with_lag_ok_a_matte_is_not_used_across_a_cut() -> None:
    bench = Bench(lag_ok=True)
    bench.tick()
    bench.clock.advance(TICK)
    bench.capture(camera_frame(room=20))
    assert bench.engine.stages.to_composite._item is None


def test_mirrored_swaps_the_person_but_not_the_background() -> None:
    half = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    half[:, : WIDTH // 6] = 128
    bench = Bench(background=Image(half), mirror=True)
    frame = camera_frame()
    frame.planes[0][:, WIDTH // 2 : 2 * WIDTH // 3] = 60  # the person's left is darker
    made = bench.tick(frame).planes[0][HEIGHT // 2]
    assert made[WIDTH // 2 - 8] < 70 and made[WIDTH // 2 + 8] > 90
    assert made[2] > 100 and made[-2] < 20


def test_an_output_with_alpha_is_straight_and_its_placeholder_transparent() -> None:
    from dataclasses import replace

    sink, model = CollectingSink(), FindsThePerson()
    engine = LiveEngine(
        Camera(Bench().open),
        PreparedModels(BundleMaker(), LEVELS, ModelBundle(model, Compositor(refine="none"))),
        Scene(Transparent()),
        [sink],
        replace(FORMAT, alpha=True),
        clock=FakeClock(),
    )
    engine.stages.send_step()
    assert sink.frames[-1].planes[3].max() == 0
    engine.stages.capture_step(camera_frame(), 1)
    engine.stages.model_step(engine.stages.to_model.take())  # type: ignore[arg-type]
    engine.stages.composite_step(engine.stages.to_composite.take())  # type: ignore[arg-type]
    engine.stages.send_step()
    frame = sink.frames[-1]
    assert frame.format == "yuva420p" and frame.planes[3][32, 48] == 255 and frame.planes[3][32, 5] == 0
    assert not shows_room(frame), "the room is not in the colour either"
    engine.stages.set_background(Color((0, 0, 0)))
    engine.stages.send_step()
    engine.stages.gate.fail("x")
    engine.stages.send_step()
    assert sink.frames[-1].planes[3].min() == 255


def test_a_transparent_background_needs_an_output_with_alpha() -> None:
    bench = Bench()
    with pytest.raises(UsageError, match="transparen"):
        bench.engine.stages.set_background(Transparent())
    assert shows_person(bench.tick())


def test_another_background_comes_with_the_next_frame_and_the_old_one_is_closed() -> None:
    class Closes(Color):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    old = Closes((0, 0, 0))
    bench = Bench(background=old)
    bench.tick()
    bench.engine.stages.set_background(Color((90, 90, 90)))
    frame = bench.tick()
    assert 80 < int(frame.planes[0][5, 5]) < 110 and old.closed == 1


# Sinks and watchers


def test_a_sink_that_is_gone_does_not_stop_the_others() -> None:
    bench = Bench()
    other = CollectingSink()
    bench.engine.stages.sinks.append(other)
    bench.tick()
    bench.sink.fails = OutputError("the device was removed")
    bench.engine.stages.send_step()
    bench.aside()
    bench.engine.stages.send_step()
    assert len(other.frames) == 3 and bench.sink.closed == 1 and not bench.engine.stages.stop.is_set()


def test_without_any_sink_the_session_ends_with_its_error() -> None:
    bench = Bench()
    bench.sink.fails = OutputError("the device was removed")
    bench.engine.stages.send_step()
    assert bench.engine.stages.stop.is_set() and bench.engine.stages.failure is bench.sink.fails


def test_the_camera_is_wanted_only_while_somebody_watches() -> None:
    bench = Bench(on_demand=True, grace=5.0)
    wanted = bench.engine.capture.wanted
    bench.sink.watched = False
    bench.clock.advance(1)
    bench.send()
    assert not wanted.is_set()
    bench.sink.watched = True
    bench.clock.advance(1)
    bench.send()
    assert wanted.is_set()
    bench.sink.watched = False
    bench.clock.advance(3)
    bench.send()
    assert wanted.is_set(), "a program that opens it again at once keeps it"
    bench.clock.advance(3)
    bench.send()
    assert not wanted.is_set() and bench.engine.stages.stats().watched is False


def test_who_cannot_tell_counts_as_a_watcher() -> None:
    bench = Bench(on_demand=True)
    bench.sink.watched = None
    bench.clock.advance(1)
    bench.send()
    assert bench.engine.capture.wanted.is_set()


# The governor at work


def slow(bench: Bench, seconds: float) -> None:
    def wrong() -> None:
        bench.clock.advance(seconds)

    bench.model.wrong = wrong


def test_a_slow_model_is_replaced_by_a_smaller_one_that_was_warmed() -> None:
    bench = Bench()
    slow(bench, 0.045)
    for _ in range(60):
        bench.tick()
    assert bench.engine.stages.governor.level == 0
    assert len(bench.spawned) == 1, "asked once, while it works on"
    assert bench.maker.asked == [], "and not by the thread that works"
    shown = bench.sink.frames[-1]
    bench.aside()
    made = bench.maker.made[0]
    assert made.calls == 2, "warmed before the first real frame"
    assert bench.tick().planes[0].shape == shown.planes[0].shape
    stats = bench.engine.stages.stats()
    assert stats.level > 0 and stats.steps == 1 and stats.size == made.size and made.calls == 3
    assert bench.safe() and all(shows_person(frame) for frame in bench.sink.frames)


@pytest.mark.parametrize("lag_ok", [False, True])
def test_a_model_whose_mattes_all_come_too_late_to_be_shown_is_replaced_too(lag_ok: bool) -> None:
    bench = Bench(lag_ok=lag_ok)
    slow(bench, 1.2)
    for _ in range(12):
        bench.tick()
        bench.aside()
    assert bench.engine.stages.stats().level > 0
    for _ in range(5):
        bench.tick()
    assert shows_person(bench.sink.frames[-1]) and bench.safe()


def test_the_change_of_level_fades_instead_of_jumping() -> None:
    """The new model sees a wider person; where the picture stands still, alpha goes over frame by frame."""
    bench = Bench()
    for _ in range(10):
        bench.tick()
    maker, level = bench.maker, LEVELS[1]
    parts = maker(level, None)
    parts.model.wrong = lambda: _wider(parts.model.size)  # type: ignore[attr-defined]
    x = WIDTH // 3 - 6
    before = int(bench.sink.frames[-1].planes[0][32, x])
    bench.engine.stages.loader._loaded = parts, 1
    values = [int(bench.tick().planes[0][32, x]) for _ in range(12)]
    assert before == 16 and values[0] < 60, "no jump"
    assert values == sorted(values) and values[-1] > 150, "and yet it gets there"


def _wider(size: tuple[int, int]) -> np.ndarray:
    alpha = np.zeros(size, np.float32)
    alpha[:, size[1] // 4 : 3 * size[1] // 4] = 1
    return alpha


def test_lower_levels_are_made_ready_while_there_is_time() -> None:
    bench = Bench()
    for _ in range(600):
        bench.tick()
        bench.aside()
    assert [level for level, _ in bench.maker.asked] == LEVELS[1:]
    assert bench.engine.stages.governor.level == 0 and bench.engine.stages._bundle.model is bench.model


def test_an_ungoverned_session_keeps_its_level() -> None:
    bench = Bench(govern=False)
    slow(bench, 0.045)
    for _ in range(90):
        bench.tick()
    assert not bench.spawned


# The real threads


@contextmanager
def running(engine: LiveEngine) -> Iterator[LiveEngine]:
    engine.start()
    try:
        yield engine
    finally:
        engine.close(patience=0.5)


def threaded(
    open_source: Callable[[], Source], model: FindsThePerson, sink: LiveSink, **options: Any
) -> LiveEngine:
    maker = BundleMaker()
    return LiveEngine(
        Camera(open_source),
        PreparedModels(
            maker,
            LEVELS[:1],
            ModelBundle(model, Compositor(refine="none", foreground=False), Bench.place()),
        ),
        Scene(Color((0, 0, 0))),
        [sink],
        FORMAT,
        Behaviour(**{"max_age": 30.0, "silence": 30.0, "retry": 0.01, **options}),
    )


def alive(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name and thread.is_alive()]


def test_frames_go_through_the_threads_and_everything_is_closed() -> None:
    before = threading.enumerate()  # other tests leave some that hang
    camera, sink = SteeredCamera(), CollectingSink()
    with running(threaded(lambda: camera, FindsThePerson(), sink)):
        camera.give(camera_frame())
        assert sink.wait_for(shows_person)
    assert sink.closed == 1 and camera.closed >= 1
    deadline = time.monotonic() + 20  # a busy machine may outlast the patience of this test's close
    while left := [thread for thread in threading.enumerate() if thread not in before]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def test_a_model_that_hangs_for_ever_neither_stops_the_sender_nor_the_end() -> None:
    sink, model, release = CollectingSink(), FindsThePerson(), threading.Event()
    cameras: list[SteeredCamera] = []

    def open_source() -> Source:  # also when the camera seems to hang, between the frames of this test
        cameras.append(SteeredCamera())
        return cameras[-1]

    def hangs() -> None:
        release.wait(60)

    model.wrong = hangs
    engine = threaded(open_source, model, sink, hang=0.3)
    with running(engine):
        assert sink.wait_for(lambda _: bool(cameras))
        cameras[-1].give(camera_frame())
        assert sink.wait_for(lambda _: model.calls == 1)
        assert sink.wait_for(lambda _: any("no answer" in note for note in engine.stages.stats().notes))
        assert not any(map(shows_person, sink.frames)), "and yet frames were sent"
        deadline = time.monotonic() + 20  # another model takes over; the first one is still stuck
        while time.monotonic() < deadline and not sink.wait_for(shows_person, 0.05):
            cameras[-1].give(camera_frame())
        assert shows_person(sink.frames[-1]), engine.stages.stats()
        errors = engine.stages.stats().errors
        release.set()  # now the late matte comes, and is thrown away
        assert sink.wait_for(lambda _: len(alive("livematte-model")) == 1)
        assert engine.stages.stats().errors == errors
    assert model.calls == 1 and not any(map(shows_room, sink.frames))


def test_closing_does_not_wait_for_what_hangs() -> None:
    release, sink, model = threading.Event(), CollectingSink(), FindsThePerson()

    class Stuck(SteeredCamera):
        def close(self) -> None:
            release.wait(60)

    camera = Stuck()
    model.wrong = lambda: release.wait(60) and None  # type: ignore[func-returns-value]
    engine = threaded(lambda: camera, model, sink)
    engine.start()
    camera.give(camera_frame())
    assert sink.wait_for(lambda _: model.calls == 1)
    began = time.monotonic()
    engine.close(patience=0.2)
    assert time.monotonic() - began < 10 and sink.closed == 1
    release.set()


def test_an_unplugged_camera_is_opened_again_and_the_placeholder_shown_meanwhile() -> None:
    cameras = [SteeredCamera(), SteeredCamera()]
    opened: list[SteeredCamera] = []
    plugged = threading.Event()

    def open_source() -> Source:
        if opened and not plugged.is_set():
            raise InputError("no camera with that id")
        opened.append(cameras[len(opened)])
        return opened[-1]

    sink = CollectingSink()
    engine = threaded(open_source, FindsThePerson(), sink)
    with running(engine):
        cameras[0].give(camera_frame())
        assert sink.wait_for(shows_person)
        cameras[0].give(None)
        assert sink.wait_for(lambda frame: not shows_person(frame))
        assert "gone" in engine.stages.stats().showing
        plugged.set()
        for _ in range(3):
            cameras[1].give(camera_frame())
            sink.wait_for(lambda _: True)
        deadline = time.monotonic() + 20
        while not sink.wait_for(shows_person, 0.1) and time.monotonic() < deadline:
            cameras[1].give(camera_frame())
        assert shows_person(sink.frames[-1]) and engine.stages.stats().reconnects == 1
    assert cameras[0].closed >= 1 and not any(map(shows_room, sink.frames))


def test_a_camera_that_is_damaged_now_and_then_goes_on() -> None:
    camera, sink = SteeredCamera(), CollectingSink()
    engine = threaded(lambda: camera, FindsThePerson(), sink, settle=1)
    with running(engine):
        camera.give(camera_frame())
        assert sink.wait_for(shows_person)
        good = camera_frame()
        camera.give(good.with_planes((good.planes[0],)))
        assert sink.wait_for(lambda frame: not shows_person(frame))
        camera.give(camera_frame())
        assert sink.wait_for(shows_person)
    assert camera.closed >= 1 and engine.stages.stats().reconnects == 0 and engine.stages.stats().errors == 1


def test_nobody_watches_lets_go_of_the_camera() -> None:
    cameras: list[SteeredCamera] = []

    def open_source() -> Source:
        cameras.append(SteeredCamera())
        return cameras[-1]

    sink = CollectingSink()
    sink.watched = True
    engine = threaded(open_source, FindsThePerson(), sink, on_demand=True, grace=0.0)
    with running(engine):
        deadline = time.monotonic() + 20
        while not cameras and time.monotonic() < deadline:
            sink.wait_for(lambda _: True)
        sink.watched = False
        while not cameras[0].closed and time.monotonic() < deadline:
            cameras[0].give(camera_frame())
            sink.wait_for(lambda _: True)
        assert cameras[0].closed and "nobody watches" in engine.stages.stats().showing
        sink.watched = True
        while len(cameras) < 2 and time.monotonic() < deadline:
            sink.wait_for(lambda _: True)
        assert len(cameras) == 2
    with suppress(IndexError):
        assert cameras[1].closed


def test_rooms_in_tests_are_seen_where_they_are_shown() -> None:
    assert shows_room(camera_frame()) and ROOM > 150
