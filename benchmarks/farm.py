"""Measure renders on Ray's test cluster: speed of two machines against one, and the memory of the driver.

    python -m benchmarks.farm [--clips 6] [--frames 500] [--segment 20]
    python -m benchmarks.farm --memory 60 [--cores 2]

A machine has one core: its processes may use no other (on Linux). The start of Ray is left out: each machine
renders a short clip first. The overhead of a segment is the time between its start and its result here, less
the time that its worker spends in it. ``--memory`` renders that many minutes of a plain 720p video with a
small network, in a process of its own, whose resident memory is read every second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from livematte.farm.batch import prepare_batch
from livematte.farm.cluster import ClusterRender
from livematte.farm.files import PRIVATE, find_inputs
from livematte.farm.out_dir import open_out_dir
from livematte.farm.ray_pool import RayPool, connect
from livematte.farm.ray_task import code_hash
from livematte.farm.records import FileResult
from livematte.options.declaration import complete
from livematte.options.many import RenderManyOptions
from livematte.tools import demo


def write_video(path: Path, frames: Iterator[Any], size: tuple[int, int]) -> Path:
    """Write frames at 25 per second, with a key frame each second."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "25"})
        (stream.height, stream.width), stream.pix_fmt = size, "yuv420p"
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def demo_frames(count: int) -> Iterator[Any]:
    """Return the bundled clip, repeated, at 640x360."""
    while count > 0:
        with av.open(str(demo.clip_path())) as film:
            for frame in film.decode(video=0):
                if (count := count - 1) < 0:
                    return
                yield frame.reformat(640, 360, "yuv420p")


def plain_frames(count: int) -> Iterator[Any]:
    """Return 720p frames of one grey each."""
    for number in range(count):
        plane = np.full((1080, 1280), 128, np.uint8)
        plane[:720] = 64 + number % 128
        yield av.VideoFrame.from_ndarray(plane, "yuv420p")


class Timed(RayPool):
    """Measures the overhead of each call: in ``overheads``, in seconds, with the seconds of its worker."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.overheads: list[tuple[float, float]] = []

    def start(self, attempt: int, slot: Any, call: tuple[Any, ...]) -> Any:
        began, future = time.perf_counter(), super().start(attempt, slot, call)

        def ended(done: Any) -> None:
            if done.exception() is None:
                inside = done.result().seconds
                self.overheads.append((time.perf_counter() - began - inside, inside))

        future.add_done_callback(ended)
        return future


def render(address: str, folder: Path, place: Path, seconds: float) -> tuple[float, list[FileResult], Timed]:
    """Render all clips of a folder on the cluster. Returns wall time, results and the pool."""
    chosen: Any = complete(RenderManyOptions, {"device": "cpu", "threads": 1, "preset": "ultrafast"})
    out = open_out_dir(place)
    out.prepare()
    batch = prepare_batch(find_inputs([folder], recursive=False, leave_out=place), out, chosen)
    results: list[FileResult] = []

    def end(number: int, result: FileResult) -> None:
        results.append(result)

    began = time.perf_counter()
    renders = ClusterRender(
        batch.files, out, batch.options, batch.records(), transparent=False, seconds=seconds
    )
    memory = renders.open(range(len(batch.files)), end)
    pool = Timed(connect(address), place / PRIVATE, code_hash(), memory=memory, device="cpu")
    try:
        renders.run(pool, end=end)
    finally:
        pool.close()
    return time.perf_counter() - began, results, pool


@contextmanager
def start_cluster(count: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Start a head without cores and ``count`` machines. Yields its address and a call that adds one."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    small, cores = {"object_store_memory": 100 << 20}, sorted(os.sched_getaffinity(0))
    cluster = Cluster(
        initialize_head=True, head_node_args={**small, "num_cpus": 0, "include_dashboard": False}
    )

    def add() -> None:
        os.sched_setaffinity(0, {cores.pop(0)})  # the processes of the machine inherit it
        try:
            cluster.add_node(num_cpus=1, **small)
        finally:
            os.sched_setaffinity(0, everywhere)

    everywhere = set(cores)
    try:
        for _ in range(count):
            add()
        yield cluster.address, add
    finally:
        ray.shutdown()
        cluster.shutdown()


def measure_speed(place: Path, clips: int, frames: int, segment: float) -> None:
    """Print the times of one and of two machines."""
    folder, warm = place / "clips", place / "warm"
    for each, count, length in ((folder, clips, frames), (warm, 2, 25)):
        each.mkdir()
        for number in range(count):
            write_video(each / f"{number}.mp4", demo_frames(length), (360, 640))
    times = {}
    with start_cluster(0) as (address, add):
        for nodes in (1, 2):
            add()
            render(address, warm, place / f"warm-{nodes}", segment)
            times[nodes], results, pool = render(address, folder, place / f"out-{nodes}", segment)
            done = sum(result.frames for result in results)
            assert done == clips * frames, [result.error for result in results]
            over, inside = (statistics.median(each) for each in zip(*pool.overheads, strict=True))
            print(
                f"{nodes} machine(s): {times[nodes]:.1f} s, {done / times[nodes]:.1f} frames/s; a segment: "
                f"{inside:.2f} s and {over:.2f} s overhead ({100 * over / inside:.1f} %)",
                flush=True,
            )
    same = all(
        (place / "out-1" / path.name).read_bytes() == (place / "out-2" / path.name).read_bytes()
        for path in folder.iterdir()
    )
    print(f"{times[1] / times[2]:.2f} times as fast; outputs {'identical' if same else 'DIFFERENT'}")


DRIVER = """
import sys, livematte
(result,) = livematte.render_many(
    sys.argv[1], sys.argv[2], cluster=sys.argv[3], size=32, temporal="off", refine="none", preset="ultrafast",
    device="cpu", foreground=False, jobs=None,
)
print(result.state, result.frames, result.error)
"""


def measure_memory(place: Path, minutes: float, cores: int) -> None:
    """Print the resident memory of the driver over a long render."""
    frames = round(minutes * 60 * 25)
    film = write_video(place / "long.mp4", plain_frames(frames), (720, 1280))
    used: list[int] = []
    with start_cluster(cores) as (address, _):
        words = [sys.executable, "-c", DRIVER, str(film), str(place / "out"), address]
        driver, began = subprocess.Popen(words), time.monotonic()
        while driver.poll() is None:
            time.sleep(1)
            lines = Path(f"/proc/{driver.pid}/status").read_text(encoding="ascii").splitlines()
            used += [int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS")]
    quarters = [max(used[n * len(used) // 4 : (n + 1) * len(used) // 4], default=0) for n in range(4)]
    print(
        f"{minutes:g} minutes of 720p in {time.monotonic() - began:.0f} s: the driver has at most "
        f"{max(used)} MB, by quarters {', '.join(map(str, quarters))}"
    )


def main(words: Sequence[str] | None = None) -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--segment", type=float, default=20.0, help="seconds")
    parser.add_argument("--memory", type=float, help="minutes of video")
    parser.add_argument("--cores", type=int, default=2, help="machines with one core each, for --memory")
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as place:
        if given.memory is None:
            measure_speed(Path(place), given.clips, given.frames, given.segment)
        else:
            measure_memory(Path(place), given.memory, given.cores)


if __name__ == "__main__":
    main()
