"""Measurements of a live session."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

from livematte.clock import Clock
from livematte.streaming.governor import percentile

WINDOW = 3.0
"""Seconds over which rates and percentiles are taken."""

PICTURE, FROZEN = "picture", "frozen"
"""Values of :attr:`LiveStats.showing` for pictures of people; others are reasons for a placeholder."""

STAGES = ("capture", "model", "composite", "send")


@dataclass(frozen=True)
class LiveStats:
    """Measurements of a live session. Rates and percentiles are of the last :data:`WINDOW` seconds."""

    seconds: float
    """Since the session, or the command, was started."""
    fps: float
    """New frames per second that viewers got; with several sinks, those of the fastest sink."""
    latency_p50: float
    latency_p95: float
    """Milliseconds from the arrival of a frame from the camera until a sink had it; all sinks, no repeats."""
    stages: dict[str, tuple[float, float]]
    """p50 and p95 of the milliseconds that a frame takes in each stage."""
    captured: int
    dropped: int
    """Frames that a newer one replaced, or that came too late to be shown."""
    matted: int
    sent: int
    """Frames offered to the sinks: new ones, repeats and placeholders. A slow sink misses some."""
    repeats: int
    placeholders: int
    late: int
    skipped: int
    """Ticks of the output that were late, and that were skipped."""
    errors: int
    reconnects: int
    first_good: float | None
    """Seconds from the start to the first frame that was no placeholder."""
    showing: str
    """``picture``, ``frozen`` for a frozen picture, or the reason for the placeholder."""
    level: int
    """The governor's level; 0 is the best."""
    steps: int
    """The number of changes of level."""
    size: tuple[int, int] | None
    """(height, width) of the network's input."""
    watched: bool | None
    hidden: dict[str, int] = field(default_factory=dict)
    """Number of placeholders for each reason."""
    notes: list[str] = field(default_factory=list)

    @property
    def visible(self) -> str:
        """Words for the picture that viewers see."""
        if self.showing == PICTURE:
            return "people"
        return "a frozen picture" if self.showing == FROZEN else f"the placeholder: {self.showing}"


class LiveMeter:
    """Collects the measurements of the stages. Any thread may call it."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._began = clock.now()
        self._counts: Counter[str] = Counter()
        self._hidden: Counter[str] = Counter()
        self._busy: dict[str, deque[tuple[float, float]]] = {name: deque(maxlen=600) for name in STAGES}
        self._latency: deque[tuple[float, float, int]] = deque(maxlen=1800)
        self._notes: list[str] = []
        self._last = -1
        self._reached: dict[int, int] = {}
        self._first_good: float | None = None
        self._showing = "starting"

    def count_from(self, began: float) -> None:
        """Count seconds from ``began``, an earlier time of the clock."""
        with self._lock:
            self._began = began

    def count(self, what: str) -> None:
        """Add one to ``captured``, ``dropped``, ``matted``, ``errors`` or ``reconnects``."""
        with self._lock:
            self._counts[what] += 1

    def took(self, stage: str, seconds: float) -> None:
        """Register the time that a frame took in a stage."""
        with self._lock:
            self._busy[stage].append((self._clock.now(), seconds))

    def handed(self, serial: int | None, reason: str) -> None:
        """Register a frame offered to the sinks.

        Args:
            serial: None for the placeholder.
            reason: for the placeholder, or :data:`FROZEN`; empty for a new or repeated picture.
        """
        with self._lock:
            self._counts["sent"] += 1
            self._showing = reason or PICTURE
            if serial is None:
                self._counts["placeholders"] += 1
                self._hidden[reason] += 1
            elif serial == self._last:
                self._counts["repeats"] += 1
            else:
                self._last = serial

    def reached(self, sink: int, serial: int, captured: float) -> None:
        """Register that a sink, identified by a number, has taken the frame with that serial number."""
        now = self._clock.now()
        with self._lock:
            if serial == self._reached.get(sink):
                return
            self._reached[sink] = serial
            self._latency.append((now, now - captured, sink))
            if self._first_good is None:
                self._first_good = now - self._began

    def note(self, line: str) -> None:
        """Add a line for the user; duplicates are ignored, and the last twenty lines are kept."""
        with self._lock:
            if line not in self._notes:
                self._notes = [*self._notes, line][-20:]

    def stats(
        self,
        *,
        late: int,
        skipped: int,
        level: int,
        steps: int,
        size: tuple[int, int] | None,
        watched: bool | None,
        sink_notes: list[str],
    ) -> LiveStats:
        """The present measurements."""
        with self._lock:
            now, counts = self._clock.now(), self._counts
            since = now - WINDOW
            recent_pictures = [picture for picture in self._latency if picture[0] > since]
            latency = [taken for _, taken, _ in recent_pictures]
            each = Counter(sink for _, _, sink in recent_pictures)
            seconds = now - self._began
            stages = {}
            for name, busy in self._busy.items():
                recent = [taken for when, taken in busy if when > since]
                stages[name] = (1000 * percentile(recent, 0.5), 1000 * percentile(recent, 0.95))
            return LiveStats(
                seconds=seconds,
                fps=max(each.values(), default=0) / min(WINDOW, max(seconds, 1e-3)),
                latency_p50=1000 * percentile(latency, 0.5),
                latency_p95=1000 * percentile(latency, 0.95),
                stages=stages,
                captured=counts["captured"],
                dropped=counts["dropped"],
                matted=counts["matted"],
                sent=counts["sent"],
                repeats=counts["repeats"],
                placeholders=counts["placeholders"],
                late=late,
                skipped=skipped,
                errors=counts["errors"],
                reconnects=counts["reconnects"],
                first_good=self._first_good,
                showing=self._showing,
                level=level,
                steps=steps,
                size=size,
                watched=watched,
                hidden=dict(self._hidden),
                notes=[*self._notes, *sink_notes],
            )
