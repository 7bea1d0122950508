"""Scheduler of work units (segments of files, or whole files) for a pool of worker processes.

The pool is a :class:`Pool`: the processes of this computer (:class:`livematte.offline.pool.ProcessPool`), or
those of a cluster. The order of work, further tries, time-outs and copies of slow units are the same for
both and are decided only here.
"""

from __future__ import annotations

import queue
import time
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from livematte.errors import DeviceError

TICK_SECONDS = 0.1
"""Interval at which ``stop``, time-outs and the state of the pool are checked."""


@dataclass(frozen=True)
class Slot:
    """A place for one unit at a time.

    Attributes:
        key: unique in its pool.
        name: name for messages, e.g. of the device.
        device: name of the device as the worker process sees it.
        threads: number of CPU threads for a unit; None leaves it to the unit.
        machine: name of the machine; empty for this computer.
    """

    key: str
    name: str
    device: str = "auto"
    threads: int | None = None
    machine: str = ""


@dataclass(frozen=True, eq=False)
class Unit:
    """A piece of work.

    Attributes:
        key: name of the unit for its owner.
        call: returns the function to run in a worker process, and its arguments, for a slot.
        frames: expected number of frames, from which the expected time follows; 0 if it is unknown.
    """

    key: Any
    call: Callable[[Slot], tuple[Any, ...]]
    frames: int = 0


class WorkerCrashed(DeviceError):  # noqa: N818 - an event of a unit; users see a DeviceError
    """A worker process ended without a result."""


class MachineLost(Exception):  # noqa: N818 - never reaches a user
    """A unit was lost through no fault of its own: its machine is gone, or its disk is full."""


class UnitTimeout(DeviceError):  # noqa: N818 - as WorkerCrashed
    """A unit took far longer than others of its length."""


class Pool(Protocol):
    """Runs the calls of units in worker processes.

    Attributes:
        report: called in any thread with the number of an attempt and its frames so far; 0 at its start.
    """

    report: Callable[[int, int], None]

    def slots(self) -> Sequence[Slot]:
        """Return the slots that can be used now; machines may come and go."""
        ...

    def start(self, attempt: int, slot: Slot, call: tuple[Any, ...]) -> Future[Any]:
        """Run a call. Its future raises WorkerCrashed, MachineLost, or the error of the call."""
        ...

    def cancel(self, attempt: int) -> None:
        """End an attempt, by force if necessary. Its result is not used."""
        ...

    def request_stop(self) -> None:
        """Ask running calls to end early with what they have."""
        ...

    def poll(self) -> None:
        """Look after the workers; called about every :data:`TICK_SECONDS`."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass(frozen=True)
class Policy:
    """Further tries and time-outs. The defaults are for one computer: every error is final.

    Attributes:
        tries: attempts of a unit that fails or hangs.
        crashes: attempts of a unit whose worker process ends; such a unit may be innocent.
        losses: attempts of a unit that is lost with its machine.
        timeout_factor: a unit may take this many times its expected time; None: no time-out.
        least_timeout: shortest time-out in seconds, also for a unit whose expected time is unknown, and the
            longest time without a new frame.
        copy_factor: a slow unit gets a copy on another machine if its remaining time is this many times the
            expected time of the copy; None: no copies.
    """

    tries: int = 1
    crashes: int = 1
    losses: int = 1
    timeout_factor: float | None = None
    least_timeout: float = 120.0
    copy_factor: float | None = None


@dataclass(frozen=True)
class UnitAdvanced:
    """A running unit has rendered ``frames`` frames."""

    unit: Unit
    frames: int


@dataclass(frozen=True)
class UnitFinished:
    """A unit has its result. Each unit has exactly one, or one :class:`UnitFailed`."""

    unit: Unit
    value: Any
    slot: Slot
    seconds: float


@dataclass(frozen=True)
class UnitFailed:
    """A unit failed in every attempt; ``error`` is the last one."""

    unit: Unit
    error: BaseException
    slot: Slot


@dataclass(frozen=True)
class UnitRepeated:
    """An attempt failed or is slow, and the unit is started again, for ``reason``."""

    unit: Unit
    reason: str
    slot: Slot


Event = UnitAdvanced | UnitFinished | UnitFailed | UnitRepeated


@dataclass
class _Attempt:
    number: int
    unit: Unit
    slot: Slot
    future: Future[Any]
    began: float
    advanced: float
    frames: int = 0


@dataclass
class _Counts:
    failed: int = 0
    crashed: int = 0
    lost: int = 0


@dataclass
class _Speeds:
    """Measured seconds per frame, sorted."""

    every: list[float] = field(default_factory=list)

    def add(self, unit: Unit, seconds: float) -> None:
        if unit.frames:
            insort(self.every, seconds / unit.frames)

    def expected(self, unit: Unit) -> float | None:
        """Return the expected seconds of a unit; None before anything was measured."""
        median = self.every[len(self.every) // 2] if self.every else None
        return median * unit.frames if median is not None and unit.frames else None


class Scheduler:
    """Runs units in order on the free slots of a pool. Iterate over :meth:`events`.

    Args:
        units: the most important first.
        stop: returns True if no unit is to be started any more; running ones are asked to end early.
    """

    def __init__(
        self, units: Sequence[Unit], pool: Pool, policy: Policy | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._waiting = list(units)
        self._pool, self._policy, self._stop = pool, policy or Policy(), stop
        self._inbox: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
        self._running: dict[int, _Attempt] = {}
        self._counts: defaultdict[int, _Counts] = defaultdict(_Counts)
        self._speeds = _Speeds()
        self._next = 0
        self._stopping = False
        self._out: list[Event] = []
        pool.report = lambda attempt, frames: self._inbox.put(("frames", attempt, frames))

    @property
    def running(self) -> int:
        """Number of running attempts."""
        return len(self._running)

    def events(self) -> Iterator[Event]:
        """Yield what happens until every unit has its result, or running ones have ended after a stop.

        Ending the iteration early cancels all running attempts.
        """
        try:
            while True:
                if not self._stopping and self._stop():
                    self._stopping = True
                    self._waiting.clear()
                    self._pool.request_stop()
                self._start_units()
                yield from self._take_out()
                if not self._running and (not self._waiting or self._stopping):
                    return
                self._wait()
                self._pool.poll()
                self._check_times()
        finally:
            for number in list(self._running):
                self._pool.cancel(number)
            self._running.clear()

    def _take_out(self) -> Iterator[Event]:
        while self._out:
            yield self._out.pop(0)

    def _start_units(self) -> None:
        if self._stopping:
            return
        busy = {attempt.slot.key for attempt in self._running.values()}
        free = [slot for slot in self._pool.slots() if slot.key not in busy]
        slow: list[_Attempt] | None = None
        for slot in free:
            if self._waiting:
                self._start(self._waiting.pop(0), slot)
                continue
            slow = self._slow_attempts() if slow is None else slow
            elsewhere = (each for each in slow if each.slot.machine != slot.machine)
            if (worst := next(elsewhere, None)) is not None:
                slow.remove(worst)
                reason = f"it is slow on {worst.slot.name}: a copy runs"
                self._out.append(UnitRepeated(worst.unit, reason, slot))
                self._start(worst.unit, slot)

    def _start(self, unit: Unit, slot: Slot) -> None:
        number, self._next = self._next, self._next + 1
        future = self._pool.start(number, slot, unit.call(slot))
        now = time.monotonic()
        self._running[number] = _Attempt(number, unit, slot, future, now, now)
        future.add_done_callback(lambda _: self._inbox.put(("done", number, 0)))

    def _slow_attempts(self) -> list[_Attempt]:
        """Return the attempts for which a copy elsewhere is worth it, the one with the longest rest first."""
        if self._policy.copy_factor is None:
            return []
        attempts = Counter(attempt.unit for attempt in self._running.values())
        left: dict[int, float] = {}
        for attempt in self._running.values():
            expected = self._speeds.expected(attempt.unit)
            elapsed = time.monotonic() - attempt.began
            if expected is None or attempts[attempt.unit] > 1 or elapsed <= expected:
                continue
            rest = elapsed
            if attempt.frames:
                rest = elapsed / attempt.frames * max(0, attempt.unit.frames - attempt.frames)
            if rest > self._policy.copy_factor * expected:
                left[attempt.number] = rest
        return [self._running[number] for number in sorted(left, key=lambda number: -left[number])]

    def _wait(self) -> None:
        try:
            kind, number, frames = self._inbox.get(timeout=TICK_SECONDS)
            while True:
                self._take(kind, number, frames)
                kind, number, frames = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _take(self, kind: str, number: int, frames: int) -> None:
        attempt = self._running.get(number)
        if attempt is None:  # it was cancelled
            return
        now = time.monotonic()
        if kind == "frames":
            if frames == 0:
                attempt.began = now
            attempt.advanced, attempt.frames = now, frames
            if frames:
                self._out.append(UnitAdvanced(attempt.unit, frames))
            return
        del self._running[number]
        error = attempt.future.exception()
        if error is not None:
            self._failed(attempt, error)
            return
        seconds = now - attempt.began
        self._speeds.add(attempt.unit, seconds)
        self._end_others(attempt.unit)
        self._out.append(UnitFinished(attempt.unit, attempt.future.result(), attempt.slot, seconds))

    def _end_others(self, unit: Unit) -> None:
        for other in [each for each in self._running.values() if each.unit is unit]:
            del self._running[other.number]
            self._pool.cancel(other.number)

    def _failed(self, attempt: _Attempt, error: BaseException) -> None:
        """Try again, wait for a copy that runs, or give up."""
        policy, counts = self._policy, self._counts[id(attempt.unit)]
        if isinstance(error, MachineLost):
            counts.lost += 1
            again = counts.lost < policy.losses
        elif isinstance(error, WorkerCrashed):
            counts.crashed += 1
            again = counts.crashed < policy.crashes
        else:
            counts.failed += 1
            again = counts.failed < policy.tries
        if any(other.unit is attempt.unit for other in self._running.values()) and again:
            return
        if again and not self._stopping:
            self._waiting.insert(0, attempt.unit)
            self._out.append(UnitRepeated(attempt.unit, str(error), attempt.slot))
            return
        self._end_others(attempt.unit)
        self._out.append(UnitFailed(attempt.unit, error, attempt.slot))

    def _check_times(self) -> None:
        policy, now = self._policy, time.monotonic()
        if policy.timeout_factor is None:
            return
        for attempt in list(self._running.values()):
            expected = self._speeds.expected(attempt.unit)
            most = max(policy.least_timeout, policy.timeout_factor * (expected or 0.0))
            late = expected is not None and now - attempt.began > most
            if late or now - attempt.advanced > most:
                del self._running[attempt.number]
                self._pool.cancel(attempt.number)
                took = f"{now - attempt.began:.0f} s"
                self._failed(
                    attempt, UnitTimeout(f"no result after {took} on {attempt.slot.name}: it was ended")
                )
