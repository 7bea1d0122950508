"""Part of ``benchmarks.soak``: run the live engine at full speed, without a network and with a fake clock."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.clips import RATE
from benchmarks.memorycamera import BACKEND, register
from benchmarks.sampling import resident_mb
from benchmarks.soaksamples import SoakRun
from livematte import registry
from livematte.errors import CameraLost
from livematte.frame import Array, Frame, Matte
from livematte.matting.backgrounds import parse_background
from livematte.matting.compositor import Compositor
from livematte.protocols import LiveFormat, LiveSink, Source, SourceInfo
from livematte.streaming.behaviour import Behaviour, Scene
from livematte.streaming.capture import Camera
from livematte.streaming.engine import LiveEngine
from livematte.streaming.governor import Level, ladder
from livematte.streaming.live_matting import ModelBundle
from livematte.streaming.model_loader import PreparedModels
from livematte.tools.demo import background_path
from livematte.video.camera import open_file_camera
from tests.clocks import FakeClock

HEIGHT, WIDTH = 90, 160
"""Size of the frames with ``--frames``, in pixels."""
SIDE, SMALLEST = 96, 32
"""Long side of the model input at the best and the worst level of the governor, in pixels."""
SLOW_EVERY, SLOW_FOR = 9000, 300
"""A slow period starts every SLOW_EVERY frames and lasts SLOW_FOR frames."""
UNPLUGGED_EVERY = 54000
"""The camera is unplugged after this number of frames."""


class EllipseModel:
    """A model that always returns an ellipse; each call advances the fake clock by up to ``slow`` seconds."""

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


class UnpluggedSource:
    """A source that raises CameraLost after ``frames`` frames."""

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


def run_in_one_thread(engine: LiveEngine, after: Callable[[], None]) -> None:
    """Run all stages in the capture thread, so that no frame is dropped; call ``after`` for each frame."""
    stages = engine.stages

    def step(frame: Frame, opened: int) -> None:
        stages.capture_step(frame, opened)
        if (captured := stages.to_model.take(0)) is not None:
            stages.model_step(captured)
        if (matted := stages.to_composite.take(0)) is not None:
            stages.composite_step(matted)
        stages.pacer.wait()
        stages.send_step()
        engine.check_step()
        after()

    engine.capture.step = step
    try:
        engine.capture.run()
    finally:
        engine.close()


def drain(url: str) -> None:
    """Read the OBS stream in a thread until it ends, and discard the data."""
    address = urlsplit(url)

    def body() -> None:
        buffer = bytearray(1 << 20)
        with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
            connection.sendall(address.path.removeprefix("/9").encode() + b"\n")
            while connection.recv_into(buffer):
                pass

    threading.Thread(target=body, daemon=True).start()


def run_frames(clip: Path, frames: int) -> SoakRun:
    """Send ``frames`` frames through everything except the network, at full speed; return samples."""
    register()
    clock, format = FakeClock(), LiveFormat(WIDTH, HEIGHT, Fraction(RATE))
    models: dict[Level, EllipseModel] = {}
    slow = 0.0

    def make_models(level: Level, error: BaseException | None) -> ModelBundle:
        side = level.size or SIDE
        models[level] = EllipseModel(clock, round(side * HEIGHT / WIDTH), side)
        models[level].slow = slow
        return ModelBundle(models[level], Compositor())

    levels = ladder(SIDE, "guided", network=False, smallest=SMALLEST)
    sinks: list[LiveSink] = [
        registry.load("sinks", "virtualcam")(format, backend=BACKEND),
        registry.load("sinks", "obs")(format, route="stream", stream_port=0),
    ]
    drain(sinks[1].notes[0].split()[3])
    engine = LiveEngine(
        Camera(lambda: UnpluggedSource(open_file_camera(clip, clock), UNPLUGGED_EVERY)),
        PreparedModels(make_models, levels, make_models(levels[0], None)),
        Scene(parse_background(str(background_path()))),
        sinks,
        format,
        Behaviour(),
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
            stats, minutes = engine.stages.stats(), (time.monotonic() - began) / 60
            times.append(minutes)
            used.append(resident_mb())
            figures = (done / 1000 / minutes, stats.level, stats.reconnects, stats.placeholders)
            for name, figure in zip(names, figures, strict=True):
                lines[name].append(float(figure))
        if done >= frames:
            engine.stages.stop.set()

    run_in_one_thread(engine, after)
    rate = done / (time.monotonic() - began)
    what = f"{done} frames, everything but the network, {rate:.0f} a second"
    return SoakRun(what, times, used, lines)
