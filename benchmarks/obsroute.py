"""How long a frame takes to OBS, and what that costs: a part of ``python -m benchmarks.live``.

    python -m benchmarks.obsroute tcp://127.0.0.1:24455

reads the plug-in's stream as OBS does, with FFmpeg's demuxer in a process of its own, until it ends; then it
says as JSON when each frame's bytes were whole. Frames carry their number as bars of black and white. All
clocks are the system's monotonic one, which processes share.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.clock import Pacer, SystemClock
from livematte.frame import Frame
from livematte.protocols import LiveFormat

Array = NDArray[Any]

BITS = 5
NUMBERS = 1 << BITS
"""Frames that can be told apart: a second of them, which no route takes."""
BARS = 0.25
"""Share of the rows, from above, that hold the number."""


@dataclass(frozen=True)
class Route:
    """What a route cost. Milliseconds; shares are of one core.

    Attributes:
        latency: of each frame that was seen, from ``send`` called to seen, in no order.
        sent: frames sent; those that the reader missed are not in ``latency``.
        sender: processor share of the process that sends.
        reader: of the one that reads, or of OBS beyond what it takes anyway.
        earliest: with OBS the same from ``send`` to the request for the screenshot: the truth is between.
    """

    latency: tuple[float, ...]
    sent: int
    sender: float
    reader: float
    earliest: tuple[float, ...] = ()


def numbered(format: LiveFormat) -> list[Frame]:
    """:data:`NUMBERS` frames that differ in the number they show; half-transparent grey below it."""
    height, width = format.height, format.width
    bars, chroma = round(BARS * height), np.full((height // 2, width // 2), 128, np.uint8)
    alpha = np.full((height, width), 128, np.uint8)
    alpha[:bars] = 255
    frames = []
    for number in range(NUMBERS):
        luma = np.full((height, width), 126, np.uint8)
        for bit in range(BITS):
            luma[:bars, bit * width // BITS : (bit + 1) * width // BITS] = 235 if number >> bit & 1 else 16
        frames.append(Frame((luma, chroma, chroma, alpha), "yuva420p", number, 1 / format.rate))
    return frames


def number_in(picture: Array) -> int:
    """The number that a picture shows. ``picture`` is (h, w, C) uint8, any channel order."""
    row = picture[int(BARS / 2 * len(picture)), :, 0]
    return sum(int(row[(2 * bit + 1) * len(row) // (2 * BITS)] > 127) << bit for bit in range(BITS))


def matched(sent: Sequence[float], seen: Sequence[tuple[float, int]]) -> list[tuple[int, int]]:
    """(frame, sight) of each frame's first sight, both counted from 0.

    Args:
        sent: when frame 0, 1, 2 ... was sent; each shows its number modulo :data:`NUMBERS`.
        seen: time and number of each sight, in order of time.
    """
    times = np.array(sent)
    found: dict[int, int] = {}
    for sight, (when, number) in enumerate(seen):
        newest = int(np.searchsorted(times, when, side="right")) - 1
        frame = newest - (newest - number) % NUMBERS
        if frame >= 0:
            found.setdefault(frame, sight)
    return sorted(found.items())


def send_numbered(send: Callable[[Frame], None], format: LiveFormat, seconds: float) -> list[float]:
    """Send frames at their pace; when each was."""
    frames, sent = numbered(format), list[float]()
    clock = SystemClock()
    pacer = Pacer(format.rate, clock)
    while len(sent) < seconds * format.rate:
        pacer.wait()
        sent.append(clock.now())
        send(frames[(len(sent) - 1) % NUMBERS])
    return sent


def stream_route(seconds: float) -> Route:
    """The plug-in's stream to a reader on this machine, without OBS. Meant for a process of its own."""
    from livematte.plugins.obs.sink import obs

    format = LiveFormat(1280, 720, Fraction(30), alpha=True)
    sink = obs(format, route="stream", stream_port=0)
    address = sink.notes[0].split()[3]
    words = [sys.executable, "-m", "benchmarks.obsroute", address]
    reader = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    told: list[str] = []
    reading = threading.Event()

    def listen() -> None:
        assert reader.stdout is not None
        for line in reader.stdout:
            told.append(line)
            reading.set()
        reading.set()

    listening = threading.Thread(target=listen)
    listening.start()
    try:
        before = numbered(format)[-1]  # counts as none that is sent below
        while not reading.wait(1 / 30):
            sink.send(before)
        cpu, began = time.process_time(), time.monotonic()
        sent = send_numbered(sink.send, format, seconds)
        cpu, wall = time.process_time() - cpu, time.monotonic() - began
        time.sleep(0.3)
    finally:
        sink.close()
        listening.join()
        reader.wait()
    answer = json.loads(told[-1])
    seen = [(when, number) for when, number in answer["seen"] if when >= sent[0]]
    latency = [1000 * (seen[sight][0] - sent[frame]) for frame, sight in matched(sent, seen)]
    return Route(tuple(latency), len(sent), cpu / wall, answer["cpu"] / wall)


def read(address: str) -> None:
    """See the module."""
    seen: list[tuple[float, int]] = []
    cpu = 0.0
    with av.open(address, format="nut", options={"fflags": "nobuffer"}) as container:
        stream = container.streams.video[0]
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                when = time.monotonic()
                picture = np.frombuffer(cast(Any, packet), np.uint8).reshape(stream.height, stream.width, 4)
                if not seen:
                    cpu = time.process_time()
                    print("reading", flush=True)
                seen.append((when, number_in(picture)))
        except (av.FFmpegError, OSError):
            pass  # the sender has gone
    print(json.dumps({"seen": seen, "cpu": time.process_time() - cpu}))


def seconds_of(pid: int) -> float:
    """Processor time of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def obs_route(seconds: float) -> Route:
    """Through a real OBS Studio to screenshots of its scene (Linux, Xvfb, a 320x180 canvas)."""
    from livematte.plugins.obs.client import ObsClient
    from livematte.plugins.obs.controller import ObsController
    from livematte.plugins.obs.sink import obs
    from tests.integration.test_obs_real import PASSWORD, RealObs, screen

    os.environ["OBS_PASSWORD"] = PASSWORD
    format = LiveFormat(1280, 720, Fraction(30), alpha=True)
    with tempfile.TemporaryDirectory() as home, screen() as display:
        studio = RealObs(Path(home), display)
        studio.start()
        try:
            client = ObsClient(port=studio.port, password=PASSWORD, timeout=20)
            call = ObsController(client)._call
            assert studio.program is not None
            idle = seconds_of(studio.program.pid)
            time.sleep(5)
            idle = (seconds_of(studio.program.pid) - idle) / 5
            sink = obs(format, port=studio.port, stream_port=0)
            before = numbered(format)[-1]
            for _ in range(150):  # OBS opens the stream and settles
                sink.send(before)
                time.sleep(1 / 30)
            sights: list[tuple[float, float, int]] = []
            ended = threading.Event()

            def look() -> None:
                while not ended.is_set():
                    asked = time.monotonic()
                    shot = call("GetSourceScreenshot", sourceName="Scene", imageFormat="png")["imageData"]
                    data = np.frombuffer(base64.b64decode(shot.split(",", 1)[1]), np.uint8)
                    answered = time.monotonic()
                    sights.append(
                        (asked, answered, number_in(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))))
                    )

            cpu, taken, began = time.process_time(), seconds_of(studio.program.pid), time.monotonic()
            send_numbered(sink.send, format, seconds)  # screenshots would cost something, too
            wall = time.monotonic() - began
            cpu, taken = time.process_time() - cpu, seconds_of(studio.program.pid) - taken
            looking = threading.Thread(target=look)
            looking.start()
            sent = send_numbered(sink.send, format, seconds)
            ended.set()
            looking.join()
            sink.close()
            client.close()
        finally:
            studio.stop()
    found = matched(sent, [(answered, number) for _, answered, number in sights])
    latency, earliest = (
        tuple(1000 * (sights[sight][end] - sent[frame]) for frame, sight in found) for end in (1, 0)
    )
    return Route(latency, len(sent), cpu / wall, taken / wall - idle, earliest)


if __name__ == "__main__":
    read(sys.argv[1])
