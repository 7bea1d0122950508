"""How fast this machine is: the network alone, and the whole way from file to file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from livematte import api, engine
from livematte.backgrounds import parse_background
from livematte.errors import InputError
from livematte.frame import Array
from livematte.protocols import Model
from livematte.temporal import TemporalFilter
from livematte.video.reader import open_video
from livematte.video.writer import open_sink

WARM_UP = 5
"""Frames left out at the beginning: compilation, caches, the encoder's look-ahead."""


@dataclass(frozen=True)
class Spread:
    """Milliseconds a frame."""

    p50: float
    p95: float
    p99: float
    frames: int

    @staticmethod
    def of(seconds: Sequence[float]) -> Spread:
        """Percentiles of durations in seconds."""
        p50, p95, p99 = np.percentile(np.asarray(seconds) * 1000, (50, 95, 99))
        return Spread(float(p50), float(p95), float(p99), len(seconds))


@dataclass(frozen=True)
class BenchReport:
    """What was measured. The end-to-end figure is the one a user gets."""

    clip: str
    width: int
    height: int
    network_size: tuple[int, int]
    """(height, width) the network saw."""
    start_up: float
    """Seconds to load the network and matte one picture."""
    tensor: Spread
    """The network alone on pictures already small, one after another."""
    end_to_end: Spread
    """Between two frames written, file to file."""
    fps: float
    """End to end, from the first frame after warming up to the last."""
    stages: dict[str, float]
    """Busy milliseconds a frame of each stage, while all of them share the machine."""

    @property
    def slowest(self) -> str:
        """The stage that everything waits for."""
        return max(self.stages, key=lambda name: self.stages[name])


def bench(
    clip: Path | str,
    *,
    background: str,
    model: str,
    frames: int = 200,
    size: int | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
) -> BenchReport:
    """Measure ``model`` on ``clip``, which is begun again until ``frames`` frames are rendered.

    Args:
        background: as for :func:`livematte.render`.
        frames: how many to render after warming up.

    Raises:
        LivematteError: whatever rendering raises.
    """
    began = time.perf_counter()
    network = api.load_model(
        model, size=size, device=device, runtime=runtime, precision=precision, threads=threads
    )
    pictures, (height, width) = _pictures(clip, network, 50)
    network(pictures[0], None)
    start_up = time.perf_counter() - began
    tensor = _tensor(network, pictures, frames)
    gaps, busy = _end_to_end(clip, network, background, frames)
    return BenchReport(
        clip=str(clip),
        width=width,
        height=height,
        network_size=network.input_size(height, width),
        start_up=start_up,
        tensor=tensor,
        end_to_end=Spread.of(gaps),
        fps=len(gaps) / sum(gaps),
        stages=busy,
    )


def _pictures(clip: Path | str, network: Model, count: int) -> tuple[list[Array], tuple[int, int]]:
    """The small pictures of the first frames, and the frames' (height, width)."""
    matting = engine.Matting(network, TemporalFilter("off"))
    with closing(open_video(str(clip))) as source:
        pictures = [matting.shrink(frame).rgb for frame in islice(source, count)]
        if not pictures:
            raise InputError(f"{clip} has no picture that decodes")
        return pictures, (source.info.height, source.info.width)


def _tensor(network: Model, pictures: list[Array], frames: int) -> Spread:
    state, durations = None, []
    for number in range(frames + WARM_UP):
        began = time.perf_counter()
        _, state = network(pictures[number % len(pictures)], state)
        durations.append(time.perf_counter() - began)
    return Spread.of(durations[WARM_UP:])


def _end_to_end(
    clip: Path | str, network: Model, background: str, frames: int
) -> tuple[list[float], dict[str, float]]:
    """Seconds between frames written, and busy milliseconds a frame of each stage."""
    gaps: list[float] = []
    busy: dict[str, float] = {}
    rendered = 0
    with tempfile.TemporaryDirectory(prefix="livematte-bench-") as folder:
        while len(gaps) < frames:
            marks: list[float] = []
            source = open_video(str(clip))
            sink = open_sink(Path(folder) / "bench.mp4", source.info)
            stats = engine.render(
                source,
                network,
                parse_background(background),
                [engine.Output(sink)],
                progress=lambda _, marks=marks: marks.append(time.perf_counter()),  # type: ignore[misc]
            )
            if len(marks) < WARM_UP + 2:
                raise InputError(f"{clip} is too short to measure: give one of {WARM_UP + 2} frames or more")
            gaps += np.diff(marks[WARM_UP:]).tolist()
            rendered += stats.frames
            for name, clock in stats.stages.items():
                busy[name] = busy.get(name, 0.0) + clock.wall * 1000
    return gaps, {name: total / rendered for name, total in busy.items()}
