"""A live session looked at from beside: what the live benchmark and the soak share."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import av

import livematte
from benchmarks.memorycamera import BACKEND, Look, register
from livematte.defaults import DEFAULT_MODEL
from livematte.demo import background_path
from livematte.streaming.session import Session
from livematte.streaming.stats import LiveStats

T = TypeVar("T")

WIDTH, HEIGHT, RATE = 1280, 720, 30


@dataclass(frozen=True)
class Seen:
    """A running session, looked at once. ``cpu`` in seconds, ``memory`` in MB."""

    when: float
    cpu: float
    memory: float
    stats: LiveStats

    @property
    def pictures(self) -> int:
        """New ones that were handed to the virtual camera by now."""
        return self.stats.sent - self.stats.repeats - self.stats.placeholders


def apart(work: Callable[..., T], *given: Any) -> T:
    """Do ``work`` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> float:
    """Resident MB of this process; NaN where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def taken_by_others() -> float:
    """Seconds of processor time that all but this process had since the machine was started, and that other
    machines on the same hardware had meanwhile ("steal"); NaN where there is no /proc.
    """
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except OSError:
        return float("nan")
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def prepared(clip: Path, target: Path) -> Path:
    """``clip`` where it is 1280x720 at 30 frames a second; otherwise its frames as that, in ``target``."""
    with av.open(str(clip)) as source:
        video = source.streams.video[0]
        if (video.width, video.height, video.average_rate) == (WIDTH, HEIGHT, Fraction(RATE)):
            return clip
        with av.open(str(target), "w") as out:
            stream: Any = out.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "20"})
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for number, picture in enumerate(source.decode(video)):
                picture = picture.reformat(WIDTH, HEIGHT, "yuv420p")
                picture.pts, picture.time_base = number, Fraction(1, RATE)
                out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
    return target


def begin(clip: Path, device: str | None = None, look: Look | None = None) -> Session:
    """Camera to virtual camera as a user starts it, with a first picture."""
    register(look)
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


def watch(session: Session, seconds: float, every: float = 0.25) -> Iterator[Seen]:
    """Looks at it, the last one after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        yield Seen(time.monotonic(), time.process_time(), memory(), session.stats())
        left = end - time.monotonic()
        if left <= 0:
            return
        session.wait(min(every, left))


def rates(seen: Sequence[Seen], span: float = 1.0) -> list[float]:
    """New pictures a second over each ``span`` of seconds."""
    found, start = [], 0
    for look in seen:
        while start + 1 < len(seen) and look.when - seen[start + 1].when >= span - 1e-3:
            start += 1
        if look.when - seen[start].when >= span - 1e-3:
            found.append((look.pictures - seen[start].pictures) / (look.when - seen[start].when))
    return found


def machine() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
