"""Simulate a render farm: wall time, cost and lost work by number of machines and length of segments.

    python -m benchmarks.farm_sim [--nodes 1000] [--hours 500] [--segments 5 10 20 40 80 160]

The scheduler is the real one (:class:`livematte.offline.schedule.Scheduler`); only its clock and its pool are
simulated. A machine has one slot. The time of a segment is the measured time of a frame, times its frames and
the frames that it reads before its first one, plus the measured start of a task, and for the first segment on
a machine the measured start of a worker. Machines fail at random and come back after ten minutes; some are
slower than others by a constant factor. The random numbers are the same in each run.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from livematte.farm.cluster import POLICY
from livematte.offline import schedule
from livematte.offline.parallel import LEAD_IN_FRAMES
from livematte.offline.schedule import MachineLost, Scheduler, Slot, Unit, UnitFinished

RATE = 25
"""Frames per second of the videos."""

_STEP_SECONDS = 2.0
"""Longest step of the simulated clock."""


@dataclass(frozen=True)
class Measured:
    """Times of one core, in seconds, from ``python -m benchmarks.farm``.

    Attributes:
        frame: one frame of 720p.
        worker: start of a worker process with its network.
        task: start of a task, and bringing its files to the driver.
    """

    frame: float = 0.037
    worker: float = 3.0
    task: float = 0.2


@dataclass(frozen=True)
class Machines:
    """Faults of the machines.

    Attributes:
        failures: failures of a machine per hour.
        slow, factor: share of slow machines, and how many times slower they are.
        speed: standard deviation of the speed of all machines.
    """

    failures: float = 1 / 50
    slow: float = 0.02
    factor: float = 5.0
    speed: float = 0.1


class SimulatedPool:
    """Pool with a clock of its own: each poll moves it to the next event."""

    def __init__(self, nodes: int, measured: Measured, machines: Machines, seed: int) -> None:
        chance = random.Random(seed)
        self._chance, self._measured, self._machines = chance, measured, machines
        self.now = 0.0
        self.report: Callable[[int, int], None] = lambda attempt, frames: None
        self._slots = [Slot(f"{n}", f"machine {n}", "cpu", 1, f"{n}") for n in range(nodes)]
        slow = {n for n in range(nodes) if chance.random() < machines.slow}
        self._slowness = {
            f"{n}": max(0.5, chance.gauss(1, machines.speed)) * (machines.factor if n in slow else 1)
            for n in range(nodes)
        }
        self._warm: set[str] = set()
        self._away: dict[str, float] = {}
        self._events: list[tuple[float, int, str]] = []
        self._futures: dict[int, tuple[Future[Any], str, float]] = {}
        self.busy = 0.0
        self._is_taken = True

    def monotonic(self) -> float:
        """The simulated clock, in place of :func:`time.monotonic`."""
        return self.now

    def slots(self) -> Sequence[Slot]:
        self._away = {machine: until for machine, until in self._away.items() if until > self.now}
        return [slot for slot in self._slots if slot.machine not in self._away] if self._away else self._slots

    def start(self, attempt: int, slot: Slot, call: tuple[Any, ...]) -> Future[Any]:
        frames, machine = call[0], slot.machine
        seconds = self._measured.task + frames * self._measured.frame
        if machine not in self._warm:
            seconds += self._measured.worker
        self._warm.add(machine)
        seconds *= self._slowness[machine]
        fails = self._chance.expovariate(self._machines.failures / 3600) if self._machines.failures else 1e12
        future: Future[Any] = Future()
        self._futures[attempt] = (future, machine, self.now)
        kind = "lost" if fails < seconds else "done"
        heapq.heappush(self._events, (self.now + min(fails, seconds), attempt, kind))
        return future

    def cancel(self, attempt: int) -> None:
        future = self._futures.pop(attempt, None)
        if future is not None:
            self.busy += self.now - future[2]

    def request_stop(self) -> None:
        raise AssertionError("nobody stops a simulation")

    def poll(self) -> None:
        if not self._is_taken:  # the scheduler takes the last event first, and fills the slot
            self._is_taken = True
            return
        if self._events and self._events[0][0] > self.now + _STEP_SECONDS:
            self.now += _STEP_SECONDS  # time-outs and slow segments are looked for
            return
        self._is_taken = False
        while self._events:
            self.now, attempt, kind = heapq.heappop(self._events)
            if attempt not in self._futures:
                continue  # it was cancelled
            future, machine, began = self._futures.pop(attempt)
            self.busy += self.now - began
            if kind == "done":
                future.set_result(None)
            else:
                self._warm.discard(machine)
                self._away[machine] = self.now + 600
                future.set_exception(MachineLost("failed"))
            return
        self.now = min((time for time in self._away.values() if time > self.now), default=self.now + 1)

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Outcome:
    """Result of a simulation.

    Attributes:
        wall: seconds until the last segment is done.
        busy: machine-seconds with work.
        lost: share of ``busy`` that was not needed: lead-in, starts, failed and duplicate attempts.
    """

    wall: float
    busy: float
    lost: float


def simulate(
    nodes: int, hours: float, seconds: float, measured: Measured, machines: Machines, *,
    lead_in: int = LEAD_IN_FRAMES["on"], copies: bool = True, seed: int = 1,
) -> Outcome:  # fmt: skip
    """Simulate the render of ``hours`` of video in files of one hour, in segments of ``seconds``."""
    pool = SimulatedPool(nodes, measured, machines, seed)
    count = max(1, round(hours * 3600 / seconds))
    own = round(hours * 3600 * RATE / count)
    units = [Unit(number, lambda slot: (own + lead_in,), own) for number in range(count)]
    policy = replace(POLICY, least_timeout=7200.0)  # running attempts report no frames here
    policy = policy if copies else replace(policy, copy_factor=None)
    real_time, real_tick = schedule.time, schedule.TICK_SECONDS
    schedule.time, schedule.TICK_SECONDS = pool, 0.0  # type: ignore[assignment]
    try:
        events = list(Scheduler(units, pool, policy).events())
    finally:
        schedule.time, schedule.TICK_SECONDS = real_time, real_tick
    done = [event.unit.key for event in events if isinstance(event, UnitFinished)]
    assert sorted(done) == list(range(count)), "a segment is missing, or there twice"
    pure = count * own * measured.frame
    return Outcome(pool.now, pool.busy, max(0.0, 1 - pure / pool.busy))


def main(words: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--hours", type=float, default=500.0, help="hours of video")
    parser.add_argument("--segments", type=float, nargs="+", default=[5, 10, 20, 40, 80, 160, 600])
    parser.add_argument("--price", type=float, default=0.05, help="price of a machine per hour")
    parser.add_argument("--frame", type=float, default=Measured.frame, help="seconds per frame")
    parser.add_argument("--no-copies", action="store_true", help="no copies of slow segments")
    given = parser.parse_args(words)
    measured = Measured(frame=given.frame)
    print("| machines | segment | wall time | bound | cost | lost work |\n|---|---|---|---|---|---|")
    for nodes in given.nodes:
        bound = given.hours * 3600 * RATE * measured.frame / nodes
        for seconds in given.segments:
            found = simulate(nodes, given.hours, seconds, measured, Machines(), copies=not given.no_copies)
            cost = found.wall * nodes / 3600 * given.price
            print(
                f"| {nodes} | {seconds:g} s | {found.wall / 60:.1f} min | {bound / 60:.1f} min | "
                f"{cost:.2f} | {100 * found.lost:.1f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
