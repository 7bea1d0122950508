"""What live costs and holds: camera to virtual camera, the governor, the start, the way to OBS; one table.

    python -m benchmarks.live [--clip ../shared/data/clips/room_woman_720p.mp4] [--write docs/live.md]

The camera is a clip played in real time, 1280x720 at 30 frames a second; without ``--clip`` it is the
bundled one. The virtual camera is the plug-in with a back-end that writes into memory
(``benchmarks.memorycamera``), or the real one of ``--device``. Each part runs in a process of its own, whose
processor time and memory are its alone. With LIVEMATTE_REAL_OBS=1 a real OBS Studio is measured too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import livematte
from benchmarks.memorycamera import BACKEND
from benchmarks.obsroute import Route, obs_route, stream_route
from benchmarks.render import looped
from benchmarks.section import Section
from benchmarks.watching import (
    HEIGHT,
    RATE,
    WIDTH,
    Seen,
    apart,
    begin,
    cores,
    machine,
    prepared,
    rates,
    watch,
)
from livematte.defaults import DEFAULT_MODEL
from livematte.demo import background_path, clip_path
from livematte.streaming.governor import percentile
from livematte.streaming.stats import WINDOW

"""Between these lines of a document ``--write`` puts the table."""
ROOM = "#ff00ff"
"""The wall of the clip that the governor is watched with; nothing else in the picture has its colour."""
SHOWN = 0.02
"""Share of a picture in the wall's colour above which it shows the room; the wall is more than half of it."""
PATIENCE = 120.0
"""Seconds that the governor may take to be back up."""


class Row(NamedTuple):
    """A line of the table; ``met`` is None where nothing is demanded."""

    measure: str
    figure: str
    target: str = "reported"
    met: bool | None = None


@dataclass(frozen=True)
class Governed:
    """A session before, while and after a core was taken away.

    Attributes:
        share: what the other process got of its core.
        room: largest share of a picture in the room's colour, of every picture sent.
        rooms: pictures of more than :data:`SHOWN`.
        back: seconds after it let go until the level was the best again; None if it was not.
    """

    quiet: tuple[Seen, ...]
    busy: tuple[Seen, ...]
    after: tuple[Seen, ...]
    share: float
    pictures: int
    room: float
    rooms: int
    back: float | None


def camera(clip: Path, device: str | None, settle: float, seconds: float) -> list[Seen]:
    """The stand-in camera to the virtual one, looked at each time its percentiles are new."""
    with begin(clip, device) as session:
        session.wait(settle)
        return list(watch(session, max(seconds, WINDOW), WINDOW))


def camera_rows(seen: Sequence[Seen], device: str | None) -> Iterator[Row]:
    """What the looks of :func:`camera` say."""
    first, last = seen[0], seen[-1]
    wall = last.when - first.when
    fps = (last.pictures - first.pictures) / wall
    into = device or "memory in place of the driver"
    label = f"720p30 camera (a clip) → virtual camera ({into}), `{DEFAULT_MODEL}`, guided, temporal on"
    gone = {
        name: getattr(last.stats, name) - getattr(first.stats, name)
        for name in ("sent", "dropped", "repeats", "placeholders")
    }
    windows = [look.stats for look in seen[1:]]
    p50 = percentile([each.latency_p50 for each in windows], 0.5)
    p95 = percentile([each.latency_p95 for each in windows], 0.5)
    worst = max(each.latency_p95 for each in windows)
    height, width = last.stats.size or (0, 0)
    yield Row(
        f"{label}: frames a second, over {wall:.0f} s",
        f"{fps:.2f}; of {gone['sent']} frame times {gone['repeats']} repeats and {gone['placeholders']} "
        f"placeholders; {gone['dropped']} camera frames dropped; network {width}x{height}, "
        f"{last.stats.steps - first.stats.steps} changes of level",
        "30 held",
        fps >= 0.995 * RATE,
    )
    yield Row(
        "— latency, a frame's arrival from the camera until it was written, median 3 s (worst 3 s)",
        f"p50 {p50:.0f} ms, p95 {p95:.0f} ms ({worst:.0f} ms)",
        "p95 ≤ 66 ms",
        p95 <= 66,
    )
    share = (last.cpu - first.cpu) / wall / cores()
    yield Row(
        f"— processor, decoding of the clip included, of {cores()} cores",
        f"{100 * share:.0f} %",
        "≤ 75 %",
        share <= 0.75,
    )
    yield Row("— resident memory", f"{last.memory:.0f} MB")


_BUSY = """
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


class RoomWatch:
    """How much of each I420 picture has the colour of :data:`ROOM`."""

    def __init__(self) -> None:
        self.pictures = self.rooms = 0
        self.most = 0.0

    def __call__(self, picture: NDArray[np.uint8]) -> None:
        blue, red = picture[WIDTH * HEIGHT :].reshape(2, HEIGHT // 2, WIDTH // 2)[:, ::2, ::2]
        share = float(((blue > 180) & (red > 190)).mean())
        self.pictures += 1
        self.rooms += share > SHOWN
        self.most = max(self.most, share)


def governor(clip: Path, settle: float, seconds: float) -> Governed:
    """A session whose machine is shared with a process that never rests, for ``seconds``."""
    look = RoomWatch()
    with begin(clip, look=look) as session:
        quiet = tuple(watch(session, settle))
        words = [sys.executable, "-c", _BUSY]
        other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            busy = tuple(watch(session, seconds))
        finally:
            share, _ = other.communicate()
        after: list[Seen] = []
        for seen in watch(session, PATIENCE):
            after.append(seen)
            if seen.stats.level == 0:
                break
    back = after[-1].when - after[0].when if after[-1].stats.level == 0 else None
    return Governed(quiet, busy, tuple(after), float(share), look.pictures, look.most, look.rooms, back)


def governor_rows(found: Governed) -> Iterator[Row]:
    """What :func:`governor` saw."""
    first, last = found.busy[0], found.busy[-1]
    wall = last.when - first.when
    fps = (last.pictures - first.pictures) / wall
    lowest = min(rates(found.busy), default=float("nan"))
    deepest = max(found.busy, key=lambda look: look.stats.level).stats
    height, width = deepest.size or (0, 0)
    yield Row(
        f"the governor, another process holding {100 * found.share:.0f} % of a core for {wall:.0f} s: "
        "frames a second",
        f"{fps:.1f}; level {deepest.level}, network {width}x{height}, "
        f"{last.stats.placeholders - first.stats.placeholders} placeholders",
        "≥ 25",
        fps >= 25,
    )
    yield Row("— the lowest over any 1 s of it", f"{lowest:.1f}", "≥ 25", lowest >= 25)
    yield Row(
        f"— pictures that show the room, of {found.pictures} (most of its colour in any)",
        f"{found.rooms} ({100 * found.room:.2f} % of the picture)",
        "0",
        found.rooms == 0,
    )
    stays = "" if deepest.level else "it never went down"
    yield Row(
        "— at its best level again after the core is free",
        stays or (f"{found.back:.1f} s" if found.back is not None else f"not within {PATIENCE:.0f} s"),
        "yes",
        found.back is not None,
    )


def start(clip: Path) -> float:
    """Seconds from the start of ``livematte live`` as a process to its first good picture being written."""
    words = [
        sys.executable,
        "-m",
        "benchmarks.memorycamera",
        "live",
        "--input",
        str(clip),
        "--json",
        "--stats",
    ]
    words += ["--background", str(background_path()), "--quiet", "--seconds", "30"]
    words += ["--sink-option", f"virtualcam.backend={BACKEND}"]
    began = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            told, now = json.loads(line), time.monotonic()
            if told["event"] == "stats" and told["first_good"] is not None:
                process.terminate()
                return now - began - float(told["seconds"] - told["first_good"])
        why = process.stderr.read()
    raise SystemExit(f"livematte live showed no picture within 30 s: {why}")


def start_row(runs: Sequence[float]) -> Row:
    """Of several starts."""
    return Row(
        f"start to first good frame, fresh `livematte live`, warm cache, median of {len(runs)} (worst)",
        f"{percentile(runs, 0.5):.1f} s ({max(runs):.1f} s)",
        "≤ 3 s",
        percentile(runs, 0.5) <= 3,
    )


def route_row(what: str, route: Route, other: str) -> Row:
    """Of a way to OBS."""
    p50, p95 = (percentile(route.latency, share) for share in (0.5, 0.95))
    earliest = f"p50 {percentile(route.earliest, 0.5):.0f} to " if route.earliest else "p50 "
    return Row(
        f"added by the OBS route, 720p30: {what}",
        f"{earliest}{p50:.0f} ms, p95 {p95:.0f} ms, {len(route.latency)} of {route.sent} frames seen; "
        f"{100 * route.sender:.0f} % of a core to send, {100 * route.reader:.0f} % {other}",
    )


def measured(options: argparse.Namespace) -> Iterator[Row]:
    """One row of the table after another."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = prepared(options.clip, folder / "720p30.mp4")
        if "camera" in options.only:
            # A camera does not begin again, and opening a file anew costs three frames: long enough for once.
            long = looped(clip, options.settle + options.seconds + 10, HEIGHT, folder / "long.mp4")
            seen = apart(camera, long, options.device, options.settle, options.seconds)
            yield from camera_rows(seen, options.device)
        if "governor" in options.only:
            walled = folder / "walled.mp4"
            livematte.render(clip, walled, background=ROOM)
            yield from governor_rows(apart(governor, walled, options.settle, options.busy))
        if "start" in options.only:
            start(clip)
            yield start_row([start(clip) for _ in range(options.starts)])
        if "obs" in options.only:
            route = apart(stream_route, options.seconds / 2)
            yield route_row("frame handed over → its bytes with a local reader, no OBS", route, "to read")
            if "LIVEMATTE_REAL_OBS" in os.environ:
                what = "frame handed over → screenshot of OBS's scene, from its request to its answer"
                yield route_row(what, apart(obs_route, options.seconds / 2), "for OBS")


def document(rows: Sequence[Row], options: argparse.Namespace, load: str) -> str:
    """What goes between the marks."""
    day = datetime.now(timezone.utc).date()
    told = {None: "", True: "yes", False: "**no**"}
    return "\n".join([
        f"Made on {day} by `python -m benchmarks.live --clip {options.clip.name}`",
        f"on {cores()} cores ({machine()}), {load}.",
        "",
        "| measure | figure | target | met |",
        "|---|---|---|---|",
        *(f"| {row.measure} | {row.figure} | {row.target} | {told[row.met]} |" for row in rows),
    ])  # fmt: skip


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("camera", "governor", "start", "obs")
    parser.add_argument("--clip", type=Path, default=clip_path())
    parser.add_argument("--device", help="a real virtual camera, e.g. /dev/video10, for the first rows")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the camera's rows; half for OBS")
    parser.add_argument("--settle", type=float, default=15.0, help="before anything is measured")
    parser.add_argument("--busy", type=float, default=20.0, help="seconds that a core is taken away")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=parts, default=parts, metavar="PART", help=str(parts))
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this document")
    options = parser.parse_args()
    section = options.write and Section(options.write, "live")
    load = (
        f"other load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else "load unknown"
    )
    rows = []
    for row in measured(options):
        rows.append(row)
        print(*row, sep=" | ", flush=True)
    text = document(rows, options, load)
    print(f"\n{text}")
    if options.json:
        told = {"load": load, "cores": cores(), "rows": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(told, indent=1), encoding="utf-8")
    if section:
        section.write(text)


if __name__ == "__main__":
    main()
