"""Keeping a pace: exact over hours, no burst after a pause."""

from __future__ import annotations

import threading
import time
from fractions import Fraction

import pytest

from livematte.clock import Clock, Pacer, SystemClock
from tests.clocks import FakeClock


def test_the_fake_clock_is_a_clock() -> None:
    assert isinstance(FakeClock(), Clock) and isinstance(SystemClock(), Clock)


def test_an_hour_of_ntsc_does_not_drift() -> None:
    clock = FakeClock(start=5.0)
    pacer = Pacer(Fraction(30000, 1001), clock)
    for _ in range(30 * 3600 + 1):
        pacer.wait()
    assert clock.now() == pytest.approx(5.0 + 3600 * 1.001, abs=1e-6)
    assert pacer.lates == pacer.skips == 0


def test_who_is_a_little_late_keeps_the_grid() -> None:
    clock = FakeClock(start=0.0)
    pacer = Pacer(Fraction(10), clock)
    pacer.wait()
    clock.advance(0.15)
    assert pacer.next_due() == pytest.approx(0.1) and pacer.lates == 1 and pacer.skips == 0
    assert pacer.next_due() == pytest.approx(0.2)


def test_who_is_very_late_skips_instead_of_sending_a_burst() -> None:
    clock = FakeClock(start=0.0)
    pacer = Pacer(Fraction(10), clock)
    pacer.wait()
    clock.advance(1.05)
    assert pacer.next_due() == pytest.approx(1.0)
    assert pacer.skips == 9 and pacer.tick == 10
    assert pacer.next_due() == pytest.approx(1.1)


def test_a_stop_ends_the_sleep() -> None:
    clock, stop = SystemClock(), threading.Event()
    stop.set()
    began = time.monotonic()
    assert clock.sleep_until(clock.now() + 60, stop) is False
    assert time.monotonic() - began < 5


def test_the_system_clock_sleeps_until_the_moment() -> None:
    clock = SystemClock()
    when = clock.now() + 0.02
    assert clock.sleep_until(when, threading.Event()) is True
    assert clock.now() >= when - 0.001


def test_no_rate_is_no_pace() -> None:
    with pytest.raises(ValueError, match="rate 0 is invalid"):
        Pacer(Fraction(0), FakeClock())
