"""Part of ``benchmarks.live``: the governor while another process uses one core."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.clips import HEIGHT, WIDTH
from benchmarks.sampling import Sample, picture_rates, sample_session, start_session
from livematte.streaming.gate import LATE

ROOM = "#ff00ff"
"""Colour of the wall in the test clip. Nothing else in the picture has this colour."""
VISIBLE_SHARE = 0.02
"""Share of pixels in the colour of the wall above which a picture shows the room; the wall has over 0.5."""
RECOVERY_SECONDS = 120.0
"""Longest allowed time until the best level is reached again, in seconds."""


class Row(NamedTuple):
    """A row of the table; ``met`` is None if there is no target."""

    measure: str
    figure: str
    target: str = "reported"
    met: bool | None = None


@dataclass(frozen=True)
class GovernorRun:
    """Samples of a session before, while and after another process uses a core.

    Attributes:
        share: share of the core that the other process got.
        room: largest share of pixels in the colour of the wall in a sent picture.
        rooms: number of pictures above :data:`VISIBLE_SHARE`.
        back: seconds from the end of the other process to the best level; None if it was not reached.
    """

    quiet: tuple[Sample, ...]
    busy: tuple[Sample, ...]
    after: tuple[Sample, ...]
    share: float
    pictures: int
    room: float
    rooms: int
    back: float | None


_BUSY_LOOP = """
import os, sys, threading, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
began = time.monotonic()
while not ended.is_set():
    for _ in range(10000):
        pass
print(time.process_time() / (time.monotonic() - began))
"""


class RoomDetector:
    """Measures the share of the colour :data:`ROOM` in each I420 picture."""

    def __init__(self) -> None:
        self.pictures = self.rooms = 0
        self.most = 0.0

    def __call__(self, picture: NDArray[np.uint8]) -> None:
        blue, red = picture[WIDTH * HEIGHT :].reshape(2, HEIGHT // 2, WIDTH // 2)[:, ::2, ::2]
        share = float(((blue > 180) & (red > 190)).mean())
        self.pictures += 1
        self.rooms += share > VISIBLE_SHARE
        self.most = max(self.most, share)


def governor(clip: Path, settle: float, seconds: float) -> GovernorRun:
    """Run a session; for ``seconds``, run another process that uses one core completely."""
    detector = RoomDetector()
    with start_session(clip, on_picture=detector) as session:
        quiet = tuple(sample_session(session, settle))
        command = [sys.executable, "-c", _BUSY_LOOP]
        other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            busy = tuple(sample_session(session, seconds))
        finally:
            share, _ = other.communicate()
        after: list[Sample] = []
        for seen in sample_session(session, RECOVERY_SECONDS):
            after.append(seen)
            if seen.stats.level == 0:
                break
    back = after[-1].when - after[0].when if after[-1].stats.level == 0 else None
    return GovernorRun(
        quiet, busy, tuple(after), float(share), detector.pictures, detector.most, detector.rooms, back
    )


def governor_rows(found: GovernorRun) -> Iterator[Row]:
    """Return the table rows for a result of :func:`governor`."""
    first, last = found.busy[0], found.busy[-1]
    wall = last.when - first.when
    fps = (last.pictures - first.pictures) / wall
    lowest = min(picture_rates(found.busy), default=float("nan"))
    deepest = max(found.busy, key=lambda sample: sample.stats.level).stats
    height, width = deepest.size or (0, 0)
    yield Row(
        f"governor, while another process uses {100 * found.share:.0f} % of one core for {wall:.0f} s: "
        "frames per second",
        f"{fps:.1f}; level {deepest.level}, network input {width}x{height}, "
        f"{last.stats.placeholders - first.stats.placeholders} placeholders",
        "≥ 25",
        fps >= 25,
    )
    yield Row("— lowest rate over any 1 s of this time", f"{lowest:.1f}", "≥ 25", lowest >= 25)
    yield Row(
        f"— pictures that show the room, out of {found.pictures} (largest share of the room's colour)",
        f"{found.rooms} ({100 * found.room:.2f} % of a picture)",
        "0",
        found.rooms == 0,
    )
    begun, ended = found.quiet[0].stats.hidden, found.after[-1].stats.hidden
    late = sum(ended.get(reason, 0) - begun.get(reason, 0) for reason in LATE)
    others = "; ".join(
        f"{count}: {reason}"
        for reason, number in sorted(ended.items())
        if (count := number - begun.get(reason, 0)) and reason not in LATE
    )
    yield Row(
        "— placeholders because the model or the camera was late, before, during and after it",
        f"{late}" + (f" (for other reasons: {others})" if others else ""),
        "0",
        late == 0,
    )
    stays = "" if deepest.level else "the level never fell"
    yield Row(
        "— time until the best level is reached again after the core is free",
        stays
        or (f"{found.back:.1f} s" if found.back is not None else f"not within {RECOVERY_SECONDS:.0f} s"),
        f"≤ {RECOVERY_SECONDS:.0f} s",
        found.back is not None,
    )
