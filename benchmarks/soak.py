"""Whether live stays as it began: memory and latency over a long time, drawn and judged.

    python -m benchmarks.soak --minutes 30 [--clip ...] --out runs/soak
    python -m benchmarks.soak --frames 864000 [--clip ...] --out runs/soak

``--minutes`` runs a session as a user does, from a looped clip into a virtual camera in memory, the model on,
and looks at it every few seconds. ``--frames`` puts eight hours' worth of frames (864000 at 30 a second)
through everything but the network, as fast as that goes and on a clock that is turned by hand, so that all
that waits for time lives through the eight hours too. The clip is decoded and begun again, a trivial model
stands in for the network, the matte is calmed, brought to full size and composited, and each frame is sent to
the virtual camera and to a reader of the OBS stream. Now and then the machine is slow, and the governor steps
down and up; now and then the camera is unplugged. Both write ``PATH.json`` and ``PATH.png`` and end with 1
where something grew.
"""

from __future__ import annotations

import argparse
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.memorycamera import BACKEND, register
from benchmarks.render import looped
from benchmarks.watching import RATE, apart, begin, cores, machine, memory, prepared, taken_by_others, watch
from livematte import registry
from livematte.backgrounds import parse_background
from livematte.composite import Compositor
from livematte.demo import background_path, clip_path
from livematte.errors import CameraLost
from livematte.frame import Array, Frame, Matte
from livematte.protocols import LiveFormat, LiveSink, Source, SourceInfo
from livematte.streaming.engine import LiveEngine
from livematte.streaming.governor import Level, ladder
from livematte.streaming.matting import Parts
from livematte.streaming.stages import LiveOptions
from livematte.video.camera import open_stand_in
from tests.clocks import FakeClock

HEIGHT, WIDTH = 90, 160
"""Of the frames of ``--frames``."""
SIDE, SMALLEST = 96, 32
"""Long side of what the trivial model is given at best, and at least: the governor has levels between."""
SLOW_EVERY, SLOW_FOR = 9000, 300
"""Frames between the beginnings of two slow times, and how long one is."""
UNPLUGGED_EVERY = 54000
GROWN = 0.03
"""Share of what was there by which memory may be more at the end than after the beginning, by its trend."""
SLOWER = 10.0
"""Milliseconds by which p95 may be more at the end, by its trend."""
OTHERS = "cores taken by others"
QUIET = 0.1
"""Of them, up to which a look at latency counts: for the rest another program answers."""
ENOUGH = 0.25
"""Share of the looks that has to count for a word on latency."""
SETTLING = 0.2
"""Share of the samples, from the first, in which caches fill and levels are made: not judged."""

Series = NDArray[np.float64]


def trend(times: Sequence[float], values: Sequence[float]) -> float:
    """How much ``values`` rise from the first time to the last: the Theil-Sen slope times the duration.

    The median of the slopes of all pairs; up to 29 % of outliers do not move it.
    """
    x, y = np.asarray(times, float), np.asarray(values, float)
    first, second = np.triu_indices(len(x), 1)
    apart_in_time = x[second] - x[first]
    usable = apart_in_time > 0
    if not usable.any():
        return 0.0
    slopes = (y[second] - y[first])[usable] / apart_in_time[usable]
    return float(np.median(slopes) * (x[-1] - x[0]))


@dataclass(frozen=True)
class Soaked:
    """Samples of a run. ``times`` in minutes, ``memory`` in MB; lines to draw by their name and unit."""

    what: str
    times: list[float]
    memory: list[float]
    lines: dict[str, list[float]]

    def settled(self, values: Sequence[float]) -> tuple[list[float], list[float]]:
        """Times and values without the beginning."""
        start = int(SETTLING * len(self.times))
        return self.times[start:], list(values[start:])

    def judged(self) -> dict[str, float | bool]:
        """What rose, and whether that is too much."""
        times, used = self.settled(self.memory)
        grew = trend(times, used)
        minutes = max(times[-1] - times[0], 1e-9)
        told: dict[str, float | bool] = {"minutes": self.times[-1] - self.times[0]}
        if np.isfinite(grew):  # it is not known where there is no /proc
            told["memory MB"] = float(np.median(used))
            told["memory MB a minute"] = grew / minutes
            told["memory is flat"] = grew <= GROWN * float(np.median(used))
        if "latency p95 ms" in self.lines:
            _, p95 = self.settled(self.lines["latency p95 ms"])
            _, others = self.settled(self.lines.get(OTHERS, [0.0] * len(self.times)))
            quiet = [number for number, taken in enumerate(others) if not taken > QUIET]
            told["share of looks on a quiet machine"] = len(quiet) / len(others)
            if len(quiet) >= ENOUGH * len(others):
                when, seen = [times[number] for number in quiet], [p95[number] for number in quiet]
                slower = trend(when, seen) / max(when[-1] - when[0], 1e-9)
                told["latency p95 ms"] = float(np.median(seen))
                told["latency p95 ms a minute"] = slower
                told["latency is flat"] = slower * minutes <= SLOWER
        return told


def live(clip: Path, minutes: float, every: float) -> Soaked:
    """A session as users have it, looked at ``every`` seconds."""
    times: list[float] = []
    used: list[float] = []
    names = ("latency p50 ms", "latency p95 ms", "frames a second", "level", OTHERS)
    lines: dict[str, list[float]] = {name: [] for name in names}
    with begin(clip) as session:
        began, taken = time.monotonic(), taken_by_others()
        session.wait(every)
        for look in watch(session, 60 * minutes, every):
            stats = look.stats
            times.append(look.when / 60)
            used.append(look.memory)
            now, by_now = time.monotonic(), taken_by_others()
            others, began, taken = (by_now - taken) / (now - began), now, by_now
            figures = (stats.latency_p50, stats.latency_p95, stats.fps, float(stats.level), others)
            for name, figure in zip(names, figures, strict=True):
                lines[name].append(figure)
    return Soaked(f"live for {minutes:g} minutes, model on", [t - times[0] for t in times], used, lines)


class Ellipse:
    """A model that finds a person wherever it looks, at no cost; ``slow`` seconds pass on the clock at each
    call.
    """

    def __init__(self, clock: FakeClock, height: int, width: int) -> None:
        self._clock, self.slow = clock, 0.0
        y, x = (np.mgrid[:height, :width] + 0.5) / np.array([[[height]], [[width]]]) - 0.5
        self._alpha = np.clip(8 * (1 - (x / 0.25) ** 2 - (y / 0.45) ** 2) + 0.5, 0, 1).astype(np.float32)

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        height, width = self._alpha.shape
        return height, width

    def __call__(self, rgb: Array, state: Any) -> tuple[Matte, Any]:
        self._clock.advance(self.slow * self._alpha.shape[1] / SIDE)
        return Matte(self._alpha.copy()), (state or 0) + 1


class Unplugged:
    """A source that is lost after a number of frames."""

    def __init__(self, source: Source, frames: int) -> None:
        self._source, self._frames = source, frames

    @property
    def info(self) -> SourceInfo:
        return self._source.info

    def __iter__(self) -> Iterator[Frame]:
        for number, frame in enumerate(self._source):
            if number == self._frames:
                raise CameraLost("unplugged")
            yield frame

    def close(self) -> None:
        self._source.close()


class InOneThread(LiveEngine):
    """The live engine with all stages one after another in the camera's thread: no frame is dropped."""

    after: Callable[[], None]
    """Called after each frame."""

    def capture_step(self, frame: Frame, opened: int) -> None:
        super().capture_step(frame, opened)
        if (shot := self.to_model.take(0)) is not None:
            self.model_step(shot)
        if (matted := self.to_composite.take(0)) is not None:
            self.composite_step(matted)
        self.pacer.wait()
        self.send_step()
        self.check_step()
        self.after()


def drain(url: str) -> None:
    """Read a loopback stream until it ends, in a thread: a client for the OBS stream."""
    host, port = url.removeprefix("tcp://").split(":")

    def body() -> None:
        room = bytearray(1 << 20)
        with socket.create_connection((host, int(port))) as connection:
            while connection.recv_into(room):
                pass

    threading.Thread(target=body, daemon=True).start()


def hours(clip: Path, frames: int) -> Soaked:
    """``frames`` through everything but the network, at full speed."""
    register()
    clock, format = FakeClock(), LiveFormat(WIDTH, HEIGHT, Fraction(RATE))
    models: dict[Level, Ellipse] = {}
    slow = 0.0

    def make(level: Level, broke: BaseException | None) -> Parts:
        side = level.size or SIDE
        models[level] = Ellipse(clock, round(side * HEIGHT / WIDTH), side)
        models[level].slow = slow
        return Parts(models[level], Compositor())

    levels = ladder(SIDE, "guided", network=False, smallest=SMALLEST)
    sinks: list[LiveSink] = [
        registry.load("sinks", "virtualcam")(format, backend=BACKEND),
        registry.load("sinks", "obs")(format, route="stream", stream_port=0),
    ]
    drain(sinks[1].notes[0].split()[3])
    engine = InOneThread(
        lambda: Unplugged(open_stand_in(clip, clock), UNPLUGGED_EVERY),
        make,
        levels,
        make(levels[0], None),
        parse_background(str(background_path())),
        sinks,
        format,
        LiveOptions(),
        clock=clock,
        spawn=lambda work: work(),
    )
    done = 0
    began = time.monotonic()
    times: list[float] = []
    used: list[float] = []
    names = ("thousand frames a minute", "level", "reconnects", "placeholders")
    lines: dict[str, list[float]] = {name: [] for name in names}

    def after() -> None:
        nonlocal done, slow
        done += 1
        slow = 0.045 if done % SLOW_EVERY < SLOW_FOR and done >= SLOW_EVERY else 0.0
        for model in models.values():
            model.slow = slow
        if done % max(1, frames // 500) == 0:
            stats, minutes = engine.stats(), (time.monotonic() - began) / 60
            times.append(minutes)
            used.append(memory())
            figures = (done / 1000 / minutes, stats.level, stats.reconnects, stats.placeholders)
            for name, figure in zip(names, figures, strict=True):
                lines[name].append(float(figure))
        if done >= frames:
            engine.stop.set()

    engine.after = after
    try:
        engine.capture.run()
    finally:
        engine.close()
    rate = done / (time.monotonic() - began)
    what = f"{done} frames, everything but the network, {rate:.0f} a second"
    return Soaked(what, times, used, lines)


def draw(soaked: Soaked, out: Path) -> None:
    """Memory above, the other lines below, over minutes, to a PNG.

    Raises:
        ImportError: matplotlib is not installed; the ``[train]`` extra has it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.2 * (1 + len(soaked.lines))), dpi=100, layout="constrained")
    axes = figure.subplots(1 + len(soaked.lines), 1, sharex=True)
    rows = {"memory MB": soaked.memory, **soaked.lines}
    for number, (axis, (name, values)) in enumerate(zip(axes, rows.items(), strict=True)):
        axis.plot(soaked.times, values, color=f"C{number}", linewidth=1)
        axis.set_ylim(0, 1.15 * max([*values, 1e-3]))
        axis.set_ylabel(name)
        axis.axvline(soaked.settled(soaked.times)[0][0], color="0.8", linewidth=1)
    axes[0].set_title(soaked.what)
    axes[-1].set_xlabel("minutes")
    figure.savefig(out)


def main(words: Sequence[str] | None = None) -> int:
    """Run it; 1 where something grew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--minutes", type=float, help="live, the model on; 30 is what is promised")
    how.add_argument("--frames", type=int, help="at full speed without the network; 864000 are eight hours")
    parser.add_argument("--clip", type=Path, default=clip_path())
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks at --minutes")
    parser.add_argument("--out", type=Path, default=Path("runs/soak"), help="without an ending")
    options = parser.parse_args(words)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        if options.minutes is not None:
            clip = prepared(options.clip, Path(name) / "720p30.mp4")
            soaked = apart(live, clip, options.minutes, options.every)
        else:
            clip = looped(options.clip, 4, HEIGHT, Path(name) / "small.mp4")
            soaked = apart(hours, clip, options.frames)
    verdict = soaked.judged()
    told = {"machine": f"{cores()} cores, {machine()}", "verdict": verdict, **vars(soaked)}
    options.out.with_suffix(".json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    draw(soaked, options.out.with_suffix(".png"))
    print(soaked.what)
    for fact, value in verdict.items():
        print(f"{fact}: {value:.3f}" if isinstance(value, float) else f"{fact}: {value}")
    return 0 if all(value is not False for value in verdict.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
