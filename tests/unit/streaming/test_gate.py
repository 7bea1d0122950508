"""What viewers may see: nothing that is not good, not one's own, not recent."""

from __future__ import annotations

import numpy as np
import pytest

from livematte.streaming.gate import NOBODY, PERSON, UNSURE, ComposedFrame, Gate, judge
from tests.clocks import FakeClock
from tests.livepeers import camera_frame


def rectangle(rows: int, columns: int, value: float = 1.0) -> np.ndarray:
    alpha = np.zeros((100, 100), np.float32)
    alpha[:rows, :columns] = value
    return alpha


@pytest.mark.parametrize(
    ("alpha", "verdict"),
    [
        (rectangle(60, 40), PERSON),
        (rectangle(90, 95), PERSON),  # a face close up
        (rectangle(6, 6), PERSON),
        (rectangle(0, 0), NOBODY),
        (rectangle(3, 3), NOBODY),
        (rectangle(100, 100), UNSURE),
        (rectangle(100, 100, 0.6), UNSURE),
        (rectangle(40, 40, 0.5), UNSURE),
    ],
)
def test_a_matte_is_judged(alpha: np.ndarray, verdict: str) -> None:
    assert judge(alpha) == verdict


class Feed:
    """A camera, a model and a compositor that take no time."""

    def __init__(self, **options: float) -> None:
        self.clock = FakeClock(0.0)
        self.gate = Gate(self.clock, **options)  # type: ignore[arg-type]

    def frame(self, verdict: str = PERSON, takes: float = 0.0, gap: float = 0.033) -> int:
        self.clock.advance(gap)
        serial, captured = self.gate.register_frame()
        self.clock.advance(takes)
        if self.gate.accept_matte(serial, verdict):
            self.gate.publish(ComposedFrame(camera_frame(serial), serial, captured))
        return serial

    def shown(self) -> int | None:
        picture = self.gate.choose().picture
        return None if picture is None else picture.serial


def test_nothing_is_shown_before_the_first_good_matte() -> None:
    feed = Feed()
    assert feed.shown() is None and feed.gate.choose().reason == "starting"
    feed.frame(NOBODY)
    assert feed.shown() is None and feed.gate.choose().reason == "nobody is seen yet"


def test_one_good_matte_opens_it() -> None:
    feed = Feed()
    serial = feed.frame()
    assert feed.shown() == serial
    assert feed.shown() == serial, "and it is repeated"


def test_who_leaves_is_still_replaced_by_the_background() -> None:
    feed = Feed()
    feed.frame()
    serial = feed.frame(NOBODY)
    assert feed.shown() == serial


def test_an_unsure_matte_closes_it_until_three_are_good() -> None:
    feed = Feed()
    feed.frame()
    feed.frame(UNSURE)
    assert feed.shown() is None
    seen = []
    for _ in range(3):
        feed.frame()
        seen.append(feed.shown() is not None)
    assert seen == [False, False, True]


def test_what_was_captured_before_a_failure_is_never_shown() -> None:
    feed = Feed()
    feed.frame()
    serial, captured = feed.gate.register_frame()
    feed.gate.fail("the model failed")
    assert not feed.gate.accept_matte(serial, PERSON)
    assert not feed.gate.publish(ComposedFrame(camera_frame(), serial, captured))
    assert feed.shown() is None and feed.gate.choose().reason == "the model failed"


def test_a_late_matte_is_not_shown() -> None:
    feed = Feed(max_age=0.5, silence=10)
    feed.frame(takes=0.6)
    assert feed.shown() is None
    feed.frame(takes=0.4)
    assert feed.shown() is not None


@pytest.mark.parametrize("camera", [True, False], ids=["a late model", "a silent camera"])
def test_the_last_picture_stays_for_a_second_while_the_next_is_only_late(camera: bool) -> None:
    feed = Feed()
    for _ in range(30):
        serial = feed.frame(takes=0.3)
        assert feed.shown() == serial
    for _ in range(19):
        feed.clock.advance(0.05)
        if camera:
            feed.gate.register_frame()
        assert feed.shown() == serial and feed.gate.may_send(serial, feed.clock.now() - 5)
    for _ in range(2):
        feed.clock.advance(0.05)
        if camera:
            feed.gate.register_frame()
    assert feed.shown() is None and not feed.gate.may_send(serial, feed.clock.now() - 5)
    reason = "the model is too slow or hangs" if camera else "the camera sends nothing"
    assert feed.gate.choose().reason == reason


@pytest.mark.parametrize("gap", [0.04, 0.37, 0.9])
def test_gaps_shorter_than_a_second_show_no_placeholder(gap: float) -> None:
    """A model that is late again and again, as on a machine under load."""
    feed = Feed()
    feed.frame()
    for _ in range(40):
        feed.frame(takes=gap)
        for _ in range(int(gap / 0.033)):
            assert feed.shown() is not None
            feed.clock.advance(0.033)
            feed.gate.register_frame()


@pytest.mark.parametrize("failure", ["unsure", "fail", "camera gone"])
def test_a_failure_ends_a_held_picture_at_once(failure: str) -> None:
    feed = Feed()
    serial = feed.frame()
    assert feed.shown() == serial
    feed.clock.advance(0.5)
    if failure == "unsure":
        feed.frame(UNSURE)
    elif failure == "fail":
        feed.gate.fail("the model failed")
    else:
        feed.gate.camera_gone("the camera is gone")
    assert feed.shown() is None and not feed.gate.may_send(serial, feed.clock.now())


def test_what_was_only_late_is_good_again_with_the_next_frame() -> None:
    feed = Feed(max_age=0.5, silence=10)
    feed.frame()
    assert feed.shown() is not None
    feed.clock.advance(1.1)
    assert feed.shown() is None
    serial = feed.frame()
    assert feed.shown() == serial


def test_a_slow_camera_is_not_taken_for_a_silent_one() -> None:
    feed = Feed(hold=0.3)
    for _ in range(60):
        feed.frame(gap=0.125)  # 8 frames a second, in the dark
    feed.shown()
    feed.clock.advance(0.32)
    assert feed.shown() is None and "hangs" in feed.gate.choose().reason
    feed.clock.advance(0.1)
    assert feed.gate.choose().picture is None


def test_an_older_picture_never_follows_a_newer_one() -> None:
    feed = Feed()
    feed.frame()
    first, second = feed.gate.register_frame(), feed.gate.register_frame()
    assert feed.gate.publish(ComposedFrame(camera_frame(), *second))
    assert not feed.gate.publish(ComposedFrame(camera_frame(), *first))
    assert feed.shown() == second[0]


def test_a_delay_shows_each_picture_when_it_is_due() -> None:
    feed = Feed(delay=0.1)
    serials = [feed.frame(gap=0.033) for _ in range(3)]
    assert feed.shown() is None, "the first is 66 ms old"
    feed.clock.advance(0.04)
    assert feed.shown() == serials[0]
    feed.clock.advance(0.033)
    assert feed.shown() == serials[1]
    feed.clock.advance(0.033)
    assert feed.shown() == serials[2]


def test_a_delay_keeps_no_more_than_it_needs() -> None:
    feed = Feed(delay=0.2)
    for _ in range(300):
        feed.frame()
        feed.gate.choose()
    assert len(feed.gate._pictures) <= 8
