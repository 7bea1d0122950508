"""Measure a render on Ray's test cluster: clips on two machines with one core each, against one such machine.

    python -m benchmarks.farm [--clips 6] [--frames 500] [--segment 20]

The start of Ray is left out: each machine renders a short clip first. The overhead of a segment is the time
between its start and the result here, less the time that its worker spends in it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from livematte.farm.batch import prepare_batch, prepare_folder
from livematte.farm.cluster import render_on_cluster
from livematte.farm.files import find_inputs
from livematte.farm.records import FileResult
from livematte.options.declaration import complete
from livematte.options.many import RenderManyOptions
from livematte.tools import demo


def make_clip(path: Path, frames: int) -> Path:
    """Write the bundled clip, repeated, at 640x360."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "25"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        number = 0
        while number < frames:
            with av.open(str(demo.clip_path())) as film:
                for frame in film.decode(video=0):
                    if number == frames:
                        break
                    small = frame.reformat(640, 360, "yuv420p")
                    small.pts, small.time_base = number, Fraction(1, 25)
                    out.mux(stream.encode(small))
                    number += 1
        out.mux(stream.encode(None))
    return path


def render(address: str, folder: Path, out: Path, seconds: float) -> tuple[float, list[FileResult]]:
    """Render all clips of a folder on the cluster. Returns wall time and results."""
    chosen: Any = complete(RenderManyOptions, {"device": "cpu", "threads": 1, "preset": "ultrafast"})
    batch = prepare_batch(find_inputs([folder], recursive=False, leave_out=out), out, chosen)
    prepare_folder(out)
    results: list[FileResult] = []
    began = time.perf_counter()
    render_on_cluster(
        batch.files, out, batch.options, batch.records(), address, transparent=False,
        waiting=range(len(batch.files)), end=lambda number, result: results.append(result), seconds=seconds,
    )  # fmt: skip
    return time.perf_counter() - began, results


def main(words: Sequence[str] | None = None) -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--segment", type=float, default=20.0, help="seconds")
    given = parser.parse_args(words)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 100 << 20}
    with tempfile.TemporaryDirectory() as place:
        folder, warm = Path(place, "clips"), Path(place, "warm")
        for each in (folder, warm):
            each.mkdir()
        for number in range(given.clips):
            make_clip(folder / f"{number}.mp4", given.frames)
        for number in range(2):
            make_clip(warm / f"{number}.mp4", 25)
        cluster = Cluster(initialize_head=True, head_node_args={**small, "num_cpus": 0})
        times = {}
        for nodes in (1, 2):
            cluster.add_node(num_cpus=1, **small)
            render(cluster.address, warm, Path(place, f"warm-{nodes}"), given.segment)
            times[nodes], results = render(
                cluster.address, folder, Path(place, f"out-{nodes}"), given.segment
            )
            frames = sum(result.frames for result in results)
            assert frames == given.clips * given.frames, [result.error for result in results]
            print(
                f"{nodes} machine(s): {times[nodes]:.1f} s, {frames / times[nodes]:.1f} frames/s", flush=True
            )
        same = all(
            Path(place, "out-1", path.name).read_bytes() == Path(place, "out-2", path.name).read_bytes()
            for path in folder.iterdir()
        )
        print(f"{times[1] / times[2]:.2f} times as fast; outputs {'identical' if same else 'DIFFERENT'}")
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
