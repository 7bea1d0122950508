"""Measure the latency and CPU time of the route to OBS; part of ``python -m benchmarks.live``.

    python -m benchmarks.obsroute gopher://127.0.0.1:24455/9/SECRET

reads the stream of the plug-in until its end, like OBS with the demuxer of FFmpeg, in a separate process. It
then prints as JSON at what time each frame was complete. Frames contain their number as black and white bars.
All times are from the monotonic clock of the system, which all processes share.
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
"""Number of distinguishable frames: about one second, which is longer than any latency."""
BARS = 0.25
"""Share of the rows, from the top, that contain the number."""


@dataclass(frozen=True)
class Route:
    """Latency and CPU use of a route to OBS. Times in milliseconds; CPU use as a share of one core.

    Attributes:
        latency: time from the call of ``send`` to the reader, for each received frame, in no order.
        sent: number of sent frames; frames that the reader missed are not in ``latency``.
        sender: CPU use of the sending process.
        reader: CPU use of the reading process, or the additional CPU use of OBS.
        earliest: with OBS, time from ``send`` to the request of the screenshot: a lower limit of the latency.
    """

    latency: tuple[float, ...]
    sent: int
    sender: float
    reader: float
    earliest: tuple[float, ...] = ()


def numbered(format: LiveFormat) -> list[Frame]:
    """Return :data:`NUMBERS` frames: bars with the number above half-transparent grey."""
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


def read_number(picture: Array) -> int:
    """Read the number from a picture, (h, w, C) uint8 in any channel order."""
    row = picture[int(BARS / 2 * len(picture)), :, 0]
    return sum(int(row[(2 * bit + 1) * len(row) // (2 * BITS)] > 127) << bit for bit in range(BITS))


def match_frames(sent: Sequence[float], seen: Sequence[tuple[float, int]]) -> list[tuple[int, int]]:
    """Match each received frame with its first observation.

    Args:
        sent: times at which frame 0, 1, 2 ... was sent; a frame shows its number modulo :data:`NUMBERS`.
        seen: (time, number) of each observation, in order of time.

    Returns:
        (frame, observation) pairs of indices, in order of frames.
    """
    times = np.array(sent)
    found: dict[int, int] = {}
    for index, (when, number) in enumerate(seen):
        newest = int(np.searchsorted(times, when, side="right")) - 1
        frame = newest - (newest - number) % NUMBERS
        if frame >= 0:
            found.setdefault(frame, index)
    return sorted(found.items())


def send_numbered(send: Callable[[Frame], None], format: LiveFormat, seconds: float) -> list[float]:
    """Send frames at the rate of ``format`` for ``seconds``; return the time of each."""
    frames, sent = numbered(format), list[float]()
    clock = SystemClock()
    pacer = Pacer(format.rate, clock)
    while len(sent) < seconds * format.rate:
        pacer.wait()
        sent.append(clock.now())
        send(frames[(len(sent) - 1) % NUMBERS])
    return sent


def stream_route(seconds: float) -> Route:
    """Measure the stream of the plug-in to a reader on this machine, without OBS.

    Run it in its own process.
    """
    from livematte.plugins.obs.sink import obs

    format = LiveFormat(1280, 720, Fraction(30), alpha=True)
    sink = obs(format, route="stream", stream_port=0)
    address = sink.notes[0].split()[3]
    command = [sys.executable, "-m", "benchmarks.obsroute", address]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines: list[str] = []
    reading = threading.Event()

    def listen() -> None:
        assert reader.stdout is not None
        for line in reader.stdout:
            lines.append(line)
            reading.set()
        reading.set()

    listening = threading.Thread(target=listen)
    listening.start()
    try:
        before = numbered(format)[-1]  # not one of the frames that are measured below
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
    answer = json.loads(lines[-1])
    seen = [(when, number) for when, number in answer["seen"] if when >= sent[0]]
    latency = [1000 * (seen[observation][0] - sent[frame]) for frame, observation in match_frames(sent, seen)]
    return Route(tuple(latency), len(sent), cpu / wall, answer["cpu"] / wall)


def read(address: str) -> None:
    """Read the stream at ``address`` and print the times as JSON (see the module)."""
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
                seen.append((when, read_number(picture)))
        except (av.FFmpegError, OSError):
            pass  # the sender closed the stream
    print(json.dumps({"seen": seen, "cpu": time.process_time() - cpu}))


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def obs_route(seconds: float) -> Route:
    """Measure a real OBS Studio with screenshots of its scene (Linux, Xvfb, a canvas of 320x180)."""
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
            idle = cpu_seconds(studio.program.pid)
            time.sleep(5)
            idle = (cpu_seconds(studio.program.pid) - idle) / 5
            sink = obs(format, port=studio.port, stream_port=0)
            before = numbered(format)[-1]
            for _ in range(150):  # until OBS has opened the stream
                sink.send(before)
                time.sleep(1 / 30)
            observations: list[tuple[float, float, int]] = []
            ended = threading.Event()

            def look() -> None:
                while not ended.is_set():
                    asked = time.monotonic()
                    shot = call("GetSourceScreenshot", sourceName="Scene", imageFormat="png")["imageData"]
                    data = np.frombuffer(base64.b64decode(shot.split(",", 1)[1]), np.uint8)
                    answered = time.monotonic()
                    observations.append(
                        (asked, answered, read_number(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))))
                    )

            cpu, taken, began = time.process_time(), cpu_seconds(studio.program.pid), time.monotonic()
            send_numbered(sink.send, format, seconds)  # without screenshots, which also use CPU time
            wall = time.monotonic() - began
            cpu, taken = time.process_time() - cpu, cpu_seconds(studio.program.pid) - taken
            looking = threading.Thread(target=look)
            looking.start()
            sent = send_numbered(sink.send, format, seconds)
            ended.set()
            looking.join()
            sink.close()
            client.close()
        finally:
            studio.stop()
    found = match_frames(sent, [(answered, number) for _, answered, number in observations])
    latency, earliest = (
        tuple(1000 * (observations[observation][end] - sent[frame]) for frame, observation in found)
        for end in (1, 0)
    )
    return Route(latency, len(sent), cpu / wall, taken / wall - idle, earliest)


if __name__ == "__main__":
    read(sys.argv[1])
