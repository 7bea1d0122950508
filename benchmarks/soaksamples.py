"""Samples of a soak test and their verdict: memory and latency must not increase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GROWN = 0.03
"""Allowed increase of the memory trend, as a share of the median memory."""
SLOWER = 10.0
"""Allowed increase of the p95 latency trend, in milliseconds."""
OTHERS = "cores taken by others"
QUIET = 0.1
"""Largest number of cores used by other programs at which a latency sample counts."""
ENOUGH = 0.25
"""Smallest share of counted samples at which latency is judged."""
SETTLING = 0.2
"""Share of the first samples that is not judged, because caches fill and levels are created."""

Series = NDArray[np.float64]


def trend(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the increase of ``values`` from the first to the last time: Theil-Sen slope times duration.

    The Theil-Sen slope is the median of the slopes of all pairs. It tolerates up to 29 % of outliers.
    """
    x, y = np.asarray(times, float), np.asarray(values, float)
    first, second = np.triu_indices(len(x), 1)
    differences = x[second] - x[first]
    usable = differences > 0
    if not usable.any():
        return 0.0
    slopes = (y[second] - y[first])[usable] / differences[usable]
    return float(np.median(slopes) * (x[-1] - x[0]))


@dataclass(frozen=True)
class SoakRun:
    """Samples of a run: ``times`` in minutes, ``memory`` in MB, other series by name and unit."""

    what: str
    times: list[float]
    memory: list[float]
    lines: dict[str, list[float]]

    def settled(self, values: Sequence[float]) -> tuple[list[float], list[float]]:
        """Times and values without the beginning."""
        start = int(SETTLING * len(self.times))
        return self.times[start:], list(values[start:])

    def verdict(self) -> dict[str, float | bool]:
        """Return the trends and, for each judged one, True if it is within its limit."""
        times, used = self.settled(self.memory)
        grew = trend(times, used)
        minutes = max(times[-1] - times[0], 1e-9)
        verdict: dict[str, float | bool] = {"minutes": self.times[-1] - self.times[0]}
        if np.isfinite(grew):  # NaN without /proc
            verdict["memory MB"] = float(np.median(used))
            verdict["memory MB a minute"] = grew / minutes
            verdict["memory is flat"] = grew <= GROWN * float(np.median(used))
        if "latency p95 ms" in self.lines:
            _, p95 = self.settled(self.lines["latency p95 ms"])
            _, others = self.settled(self.lines.get(OTHERS, [0.0] * len(self.times)))
            quiet = [number for number, taken in enumerate(others) if not taken > QUIET]
            verdict["share of samples on a quiet machine"] = len(quiet) / len(others)
            if len(quiet) >= ENOUGH * len(others):
                when, seen = [times[number] for number in quiet], [p95[number] for number in quiet]
                slower = trend(when, seen) / max(when[-1] - when[0], 1e-9)
                verdict["latency p95 ms"] = float(np.median(seen))
                verdict["latency p95 ms a minute"] = slower
                verdict["latency is flat"] = slower * minutes <= SLOWER
        return verdict
