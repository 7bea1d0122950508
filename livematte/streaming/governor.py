"""Keeps the frame rate: less resolution when frames take too long, more when there is time again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from livematte.clock import Clock

BUSY, HALF_BUSY = 0.85, 0.5
"""Largest share of the frame interval that a step up may lead to; HALF_BUSY for levels better than the first,
since a video call needs the processor too."""

FIRST_PATIENCE, LONGEST_PATIENCE = 5.0, 60.0
"""Seconds of spare time before a step up is tried; doubled when a step up had to be undone soon."""

MIN_FRAMES = 5
"""Smallest number of frames for a decision."""


@dataclass(frozen=True)
class Level:
    """One trade-off between quality and time.

    Attributes:
        size: long side of the picture that the network sees; None as the model chooses.
        refine: ``guided``, ``none`` or the name of a refiner.
        cost: seconds a frame relative to the other levels; an estimate.
    """

    size: int | None
    refine: str
    cost: float


def ladder(size: int, refine: str, *, network: bool, smallest: int = 160) -> list[Level]:
    """Levels from the best, as requested, to the fastest.

    Args:
        size: long side of the picture that the network sees at best.
        refine: refinement at the best level.
        network: True if ``refine`` is a network; it is dropped before the resolution is reduced.
    """
    sizes = [size]
    for share in (0.8, 0.65, 0.5):  # smaller ones give broken mattes with a live model
        smaller = round(size * share / 32) * 32
        if smallest <= smaller < sizes[-1]:
            sizes.append(smaller)
    plain = "guided" if network else refine
    levels = [Level(size, refine, 2.0)] if network else []
    levels += [Level(side, plain, max(0.25, (side / size) ** 2)) for side in sizes]
    if plain != "none":
        levels.append(Level(sizes[-1], "none", 0.8 * levels[-1].cost))
    return levels


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of ``values`` do not exceed (nearest rank); 0 for none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


class Governor:
    """Steps down when p95 of the slowest stage exceeds the frame interval, and up when there is spare time.

    It steps down as far as the costs of the levels require, and up by one level, after a waiting time that
    grows while steps up are undone, so that it does not oscillate. Measurements from before a change are
    discarded.

    Args:
        levels: best first.
        interval: seconds per frame.
        level: number of the present level.
        first: number of the level to keep if the machine has time; better ones need half of the time free.
        window: seconds that decide on a step down.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        interval: float,
        clock: Clock,
        level: int = 0,
        first: int = 0,
        *,
        window: float = 1.5,
    ) -> None:
        self._levels, self._interval, self._clock, self._window = list(levels), interval, clock, window
        self._patience = FIRST_PATIENCE
        self._went_up: float | None = None
        self.level, self._first = level, first
        self.steps = 0
        self._lock = threading.Lock()
        self._begin()

    def successor(self, levels: Sequence[Level], level: int, first: int = 0) -> Governor:
        """A governor of other levels that starts at ``level`` and is as patient as this one."""
        new = Governor(levels, self._interval, self._clock, level, first, window=self._window)
        with self._lock:
            new.steps, new._patience = self.steps, self._patience
        return new

    @property
    def lowered(self) -> Level | None:
        """The present level if the load forced a lower one than the first."""
        return self._levels[self.level] if self.level > self._first else None

    def _begin(self) -> None:
        self._since = self._clock.now()
        self._taken: deque[tuple[float, float]] = deque()

    def add_frame(self, seconds: float) -> None:
        """Register a frame whose slowest stage took ``seconds``."""
        now = self._clock.now()
        with self._lock:
            self._taken.append((now, seconds))
            while len(self._taken) > MIN_FRAMES and self._taken[0][0] < now - self._patience:
                self._taken.popleft()

    def advise(self) -> int | None:
        """The level to change to, or None. After the change call :meth:`set_level`."""
        with self._lock:
            now, taken = self._clock.now(), list(self._taken)
            if self._went_up is not None and now - self._went_up > LONGEST_PATIENCE:
                self._patience, self._went_up = FIRST_PATIENCE, None
            if len(taken) < MIN_FRAMES or now - self._since < self._window:
                return None
            last = taken[-MIN_FRAMES][0]  # a machine that is very slow has few frames in any window
            recent = [seconds for when, seconds in taken if when >= min(now - self._window, last)]
            p95 = percentile(recent, 0.95)
            if p95 > 1.05 * self._interval:
                return self._lower(percentile(recent, 0.5), p95)
            if self.level > 0 and now - self._since >= self._patience:
                whole = percentile([seconds for _, seconds in taken], 0.95)
                share = BUSY if self.level > self._first else HALF_BUSY
                if whole * self._ratio(self.level - 1) < share * self._interval:
                    return self.level - 1
            return None

    def set_level(self, level: int) -> None:
        """From now on frames are processed at ``level``."""
        with self._lock:
            now = self._clock.now()
            if level > self.level and self._went_up is not None:
                if now - self._went_up < 4 * FIRST_PATIENCE:
                    self._patience = min(2 * self._patience, LONGEST_PATIENCE)
                self._went_up = None
            if level < self.level:
                self._went_up = now
            self.steps += level != self.level
            self.level = level
            self._begin()

    def _ratio(self, level: int) -> float:
        return self._levels[level].cost / self._levels[self.level].cost

    def _lower(self, typical: float, p95: float) -> int | None:
        """The first lower level that is fast enough; one step if only outliers are late."""
        for level in range(self.level + 1, len(self._levels)):
            if typical <= self._interval or p95 * self._ratio(level) <= self._interval:
                return level
        last = len(self._levels) - 1
        return last if last > self.level else None
