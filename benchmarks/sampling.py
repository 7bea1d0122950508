"""Run a live session and take samples of it; shared by the live benchmark and the soak test."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import livematte
from benchmarks.memorycamera import BACKEND, PictureCallback, register
from livematte.options import DEFAULT_MODEL
from livematte.streaming.session import Session
from livematte.streaming.stats import LiveStats
from livematte.tools.demo import background_path

T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """A sample of a running session: ``when`` and ``cpu`` in seconds, ``memory`` in MB."""

    when: float
    cpu: float
    memory: float
    stats: LiveStats

    @property
    def pictures(self) -> int:
        """Number of new pictures sent to the virtual camera so far."""
        return self.stats.sent - self.stats.repeats - self.stats.placeholders


def run_in_process(work: Callable[..., T], *arguments: Any) -> T:
    """Call ``work`` in a new process and return its result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resident_mb() -> float:
    """Return the resident memory of this process in MB; NaN without /proc."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def other_cpu_seconds() -> float:
    """Return the CPU seconds since boot of all other processes and of other virtual machines ("steal").

    NaN without /proc.
    """
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except OSError:
        return float("nan")
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def start_session(
    clip: Path, device: str | None = None, on_picture: PictureCallback | None = None
) -> Session:
    """Start a normal session from a clip to a virtual camera, and wait for its first picture."""
    register(on_picture)
    session = livematte.live(
        input=clip,
        to="virtualcam",
        sink_options={"virtualcam": {"device": device} if device else {"backend": BACKEND}},
        background=background_path(),
        model=DEFAULT_MODEL,
        refine="guided",
        temporal="on",
    )
    while session.stats().first_good is None:
        session.wait(0.1)
    return session


def sample_session(session: Session, seconds: float, every: float = 0.25) -> Iterator[Sample]:
    """Yield a sample every ``every`` seconds, the last one after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        yield Sample(time.monotonic(), time.process_time(), resident_mb(), session.stats())
        left = end - time.monotonic()
        if left <= 0:
            return
        session.wait(min(every, left))


def picture_rates(samples: Sequence[Sample], span: float = 1.0) -> list[float]:
    """Return the new pictures per second over each window of ``span`` seconds."""
    found, start = [], 0
    for sample in samples:
        while start + 1 < len(samples) and sample.when - samples[start + 1].when >= span - 1e-3:
            start += 1
        if sample.when - samples[start].when >= span - 1e-3:
            found.append((sample.pictures - samples[start].pictures) / (sample.when - samples[start].when))
    return found


def processor_name() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
