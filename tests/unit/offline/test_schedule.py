"""The scheduler with a pool that does what a test says: order, tries, time-outs, copies, stop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from livematte.errors import InputError
from livematte.offline import schedule
from livematte.offline.schedule import (
    Event,
    MachineLost,
    Policy,
    Scheduler,
    Slot,
    Unit,
    UnitFailed,
    UnitFinished,
    UnitRepeated,
    UnitTimeout,
    WorkerCrashed,
)

Answer = Callable[["FakePool", int, Slot, str], None]


class FakePool:
    """Two machines with a slot each; ``answer`` says what becomes of an attempt."""

    def __init__(self, answer: Answer, machines: int = 2) -> None:
        self.answer, self.log, self.cancelled = answer, list[tuple[str, str]](), list[int]()
        self.futures: dict[int, Future[Any]] = {}
        self.report: Callable[[int, int], None] = lambda attempt, frames: None
        self.polls, self.on_poll = 0, lambda: None
        self._slots = [Slot(f"s{n}", f"machine {n}", machine=f"m{n}") for n in range(machines)]

    def slots(self) -> list[Slot]:
        return self._slots

    def start(self, attempt: int, slot: Slot, call: tuple[Any, ...]) -> Future[Any]:
        self.log.append((call[0], slot.machine))
        self.futures[attempt] = Future()
        self.answer(self, attempt, slot, call[0])
        return self.futures[attempt]

    def cancel(self, attempt: int) -> None:
        self.cancelled.append(attempt)

    def request_stop(self) -> None:
        for future in self.futures.values():
            if not future.done():
                future.set_result("early")

    def poll(self) -> None:
        self.polls += 1
        self.on_poll()

    def close(self) -> None:
        pass


def units(*names: str, frames: int = 10) -> list[Unit]:
    return [Unit(name, lambda slot, name=name: (name,), frames) for name in names]


def ran(pool: FakePool, *names: str, policy: Policy | None = None) -> list[Event]:
    return list(Scheduler(units(*names), pool, policy).events())


def well(pool: FakePool, attempt: int, slot: Slot, name: str) -> None:
    pool.futures[attempt].set_result(name.upper())


def failing(error: Exception, times: int) -> Answer:
    """The unit ``b`` fails a number of times."""
    left = [times]

    def answer(pool: FakePool, attempt: int, slot: Slot, name: str) -> None:
        if name == "b" and left[0]:
            left[0] -= 1
            pool.futures[attempt].set_exception(error)
        else:
            well(pool, attempt, slot, name)

    return answer


def kinds(events: list[Event], kind: type) -> list[str]:
    return [event.unit.key for event in events if isinstance(event, kind)]


def test_units_run_in_order_and_each_has_one_result() -> None:
    pool = FakePool(well)
    events = ran(pool, "a", "b", "c", "d", "e")
    assert [name for name, _ in pool.log] == ["a", "b", "c", "d", "e"]
    assert sorted(kinds(events, UnitFinished)) == ["a", "b", "c", "d", "e"]
    assert {event.value for event in events if isinstance(event, UnitFinished)} == set("ABCDE")


@pytest.mark.parametrize(
    ("error", "times", "fine"),
    [
        (InputError("bad"), 1, True),
        (InputError("bad"), 2, False),
        (WorkerCrashed("killed"), 3, True),
        (WorkerCrashed("killed"), 4, False),
        (MachineLost("gone"), 9, True),
    ],
)
def test_a_unit_is_tried_as_often_as_the_kind_of_its_fault_allows(
    error: Exception, times: int, fine: bool
) -> None:
    policy = Policy(tries=2, crashes=4, losses=20)
    pool = FakePool(failing(error, times))
    events = ran(pool, "a", "b", "c", policy=policy)
    assert kinds(events, UnitFailed) == ([] if fine else ["b"])
    assert sorted(kinds(events, UnitFinished)) == (["a", "b", "c"] if fine else ["a", "c"])
    assert len(kinds(events, UnitRepeated)) == (times if fine else times - 1)
    assert [name for name, _ in pool.log].count("b") == (times + 1 if fine else times)


def test_on_one_computer_every_error_is_final() -> None:
    for error in (InputError("bad"), WorkerCrashed("killed"), MachineLost("gone")):
        events = ran(FakePool(failing(error, 1)), "a", "b")
        assert [event.error for event in events if isinstance(event, UnitFailed)] == [error]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that only the pool's polls move."""
    moved = Clock()
    monkeypatch.setattr(schedule, "time", moved)
    monkeypatch.setattr(schedule, "TICK_SECONDS", 0.001)
    return moved


def test_a_unit_that_hangs_twice_is_given_up_and_the_others_come_out(clock: Clock) -> None:
    def answer(pool: FakePool, attempt: int, slot: Slot, name: str) -> None:
        if name != "b":
            well(pool, attempt, slot, name)

    pool = FakePool(answer)

    def later() -> None:
        clock.now += 10

    pool.on_poll = later
    policy = Policy(tries=2, timeout_factor=5.0, least_timeout=60.0)
    events = ran(pool, "a", "b", "c", policy=policy)
    (failed,) = (event for event in events if isinstance(event, UnitFailed))
    assert failed.unit.key == "b" and isinstance(failed.error, UnitTimeout)
    assert sorted(kinds(events, UnitFinished)) == ["a", "c"]
    assert len(pool.cancelled) == 2


def test_a_slow_unit_gets_one_copy_elsewhere_and_the_first_result_counts(clock: Clock) -> None:
    def answer(pool: FakePool, attempt: int, slot: Slot, name: str) -> None:
        slow = name == "d" and slot.machine == first_of_d.setdefault("machine", slot.machine)
        if not slow:
            running.append(attempt)

    running: list[int] = []
    first_of_d: dict[str, str] = {}
    pool = FakePool(answer)

    def later() -> None:
        clock.now += 5
        while running:
            attempt = running.pop()
            if not pool.futures[attempt].done():
                pool.futures[attempt].set_result("value")

    pool.on_poll = later
    events = ran(pool, "a", "b", "c", "d", policy=Policy(copy_factor=1.5))
    assert [name for name, _ in pool.log].count("d") == 2
    assert len({machine for name, machine in pool.log if name == "d"}) == 2
    assert kinds(events, UnitRepeated) == ["d"]
    assert sorted(kinds(events, UnitFinished)) == ["a", "b", "c", "d"]
    assert len(pool.cancelled) == 1


def test_after_a_stop_nothing_is_started_and_what_runs_ends_early() -> None:
    pool = FakePool(lambda *_: None)
    events = list(Scheduler(units("a", "b", "c", "d"), pool, stop=lambda: len(pool.log) == 2).events())
    assert [name for name, _ in pool.log] == ["a", "b"]
    assert {event.value for event in events if isinstance(event, UnitFinished)} == {"early"}


def test_who_stops_listening_cancels_what_runs() -> None:
    def answer(pool: FakePool, attempt: int, slot: Slot, name: str) -> None:
        if name == "a":
            well(pool, attempt, slot, name)

    pool = FakePool(answer)
    events = Scheduler(units("a", "b"), pool).events()
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert pool.cancelled == [1]
