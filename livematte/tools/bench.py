"""Benchmark: the network alone, and rendering from file to file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from typing_extensions import Unpack

from livematte.assets import background_path, clip_path
from livematte.errors import InputError
from livematte.frame import Array
from livematte.matting.frame_matting import FrameMatting
from livematte.offline import engine
from livematte.options import BenchOptions, PathLike
from livematte.options.declaration import complete, documented
from livematte.protocols import Model
from livematte.resolve import Resolved, resolve
from livematte.video.reader import open_video
from livematte.video.writer import open_sink

WARM_UP = 5
"""Number of frames skipped at the start: compilation, caches, the encoder's look-ahead."""


@dataclass(frozen=True)
class LatencyPercentiles:
    """Percentiles of frame times in milliseconds."""

    p50: float
    p95: float
    p99: float
    frames: int

    @staticmethod
    def from_seconds(seconds: Sequence[float]) -> LatencyPercentiles:
        """Compute percentiles of durations in seconds."""
        p50, p95, p99 = np.percentile(np.asarray(seconds) * 1000, (50, 95, 99))
        return LatencyPercentiles(float(p50), float(p95), float(p99), len(seconds))


@dataclass(frozen=True)
class BenchReport:
    """Results of a benchmark. The end-to-end value is what users experience."""

    clip: str
    model: str
    width: int
    height: int
    network_size: tuple[int, int]
    """(height, width) of the network input."""
    start_up: float
    """Seconds to load the network and matte one picture."""
    tensor: LatencyPercentiles
    """The network alone on pictures at network size, one after another."""
    end_to_end: LatencyPercentiles
    """Time between two written frames, file to file."""
    fps: float
    """End-to-end frames per second, from the first frame after warm-up to the last."""
    stages: dict[str, float]
    """Busy milliseconds per frame of each stage, while all stages share the machine."""

    @property
    def slowest(self) -> str:
        """The stage with the most busy time."""
        return max(self.stages, key=lambda name: self.stages[name])


@documented(BenchOptions)
def bench(clip: PathLike | None = None, **options: Unpack[BenchOptions]) -> BenchReport:
    """Measure a model on ``clip``, which is begun again until so many frames are rendered after warming up.

    Args:
        clip: the bundled one by default.

    Raises:
        LivematteError: any error of rendering.
    """
    began = time.perf_counter()
    clip = clip or clip_path()
    chosen = complete(BenchOptions, options)
    frames, resolved = chosen["frames"], resolve(chosen)
    network = resolved.model()
    pictures, (height, width) = _pictures(clip, network, 50)
    network(pictures[0], None)
    start_up = time.perf_counter() - began
    tensor = _tensor(network, pictures, frames)
    gaps, busy = _end_to_end(clip, network, resolved, frames)
    return BenchReport(
        clip=str(clip),
        model=resolved.name,
        width=width,
        height=height,
        network_size=network.input_size(height, width),
        start_up=start_up,
        tensor=tensor,
        end_to_end=LatencyPercentiles.from_seconds(gaps),
        fps=len(gaps) / sum(gaps),
        stages=busy,
    )


def _pictures(clip: PathLike, network: Model, count: int) -> tuple[list[Array], tuple[int, int]]:
    """The small pictures of the first frames, and the frames' (height, width)."""
    matting = FrameMatting.unfiltered(network)
    with closing(open_video(str(clip))) as source:
        pictures = [matting.shrink(frame).rgb for frame in islice(source, count)]
        if not pictures:
            raise InputError(f"{clip} has no decodable picture")
        return pictures, (source.info.height, source.info.width)


def _tensor(network: Model, pictures: list[Array], frames: int) -> LatencyPercentiles:
    state, durations = None, []
    for number in range(frames + WARM_UP):
        start = time.perf_counter()
        _, state = network(pictures[number % len(pictures)], state)
        durations.append(time.perf_counter() - start)
    return LatencyPercentiles.from_seconds(durations[WARM_UP:])


def _end_to_end(
    clip: PathLike, network: Model, resolved: Resolved, frames: int
) -> tuple[list[float], dict[str, float]]:
    """Return the seconds between written frames, and busy milliseconds per frame of each stage."""
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
                resolved.background(background_path()),
                [engine.Output(sink)],
                compositor=resolved.compositor(),
                **resolved.filters(),
                progress=lambda _, marks=marks: marks.append(time.perf_counter()),  # type: ignore[misc]
            )
            if len(marks) < WARM_UP + 2:
                raise InputError(f"{clip} is too short: use a clip of at least {WARM_UP + 2} frames")
            gaps += np.diff(marks[WARM_UP:]).tolist()
            rendered += stats.frames
            for name, clock in stats.stages.items():
                busy[name] = busy.get(name, 0.0) + clock.wall * 1000
    return gaps, {name: total / rendered for name, total in busy.items()}
