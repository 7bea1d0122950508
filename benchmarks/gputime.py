"""How long work takes on a GPU, what the card can do at most, and what crosses between it and the rest."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from livematte.errors import LivematteError
from livematte.kernels.cuda_launch import cupy

Run = Callable[[], Any]

FILL = 256 << 20
"""Bytes of what a copy is measured with: more than any card's cache holds."""

LONGEST = 4096
"""Copies put before what is timed, at most."""


def refuse_without_gpu() -> None:
    """Raise SystemExit, in one line, unless kernels and networks can run on a GPU here."""
    from livematte.device import cuda_trouble

    trouble = cuda_trouble(0)
    try:
        cupy()
    except LivematteError as error:
        trouble = trouble or str(error)
    if trouble:
        raise SystemExit(f"benchmarks.gpu measures an NVIDIA GPU and does not guess: {trouble}")


def device_seconds(runs: Sequence[Run], repeat: int = 7) -> float:
    """Seconds on the GPU for one of ``runs``, which are queued together; the median of ``repeat`` rounds.

    Each should work on memory of its own, more in all than the cache holds. Copies are queued before, long
    enough that the GPU never waits for Python: launching takes longer than many a kernel.
    """
    cuda = cupy().cuda
    busy = _copy()
    for run in runs:
        run()  # compiled, and memory in the pool
    times: list[float] = []
    copies = 4
    while len(times) < repeat:
        begin, end = cuda.Event(), cuda.Event()
        for _ in range(copies):
            busy()
        begin.record()
        for run in runs:
            run()
        end.record()
        waited = begin.done
        end.synchronize()
        if waited and copies < LONGEST:
            copies *= 2
            continue
        times.append(cuda.get_elapsed_time(begin, end) / 1000 / len(runs))
    return statistics.median(times)


def _copy() -> Run:
    module = cupy()
    source, target = module.empty((FILL,), np.uint8), module.empty((FILL,), np.uint8)
    return lambda: module.copyto(target, source)


def copy_bandwidth() -> float:
    """Bytes read and written a second by a copy within the card's memory."""
    return 2 * FILL / device_seconds([_copy()] * 8)


class Moved(NamedTuple):
    """Bytes between the computer and the GPU, and in how many transfers."""

    up: int
    uploads: int
    down: int
    downloads: int


def moved_in(trace: Mapping[str, Any]) -> Moved:
    """Of a Chrome trace that PyTorch's profiler wrote, whoever moved them."""
    found: dict[str, list[int]] = {"HtoD": [], "DtoH": []}
    for event in trace["traceEvents"]:
        for way, sizes in found.items():
            if event.get("cat") == "gpu_memcpy" and way in event.get("name", ""):
                sizes.append(int(event.get("args", {}).get("bytes", 0)))
    up, down = found["HtoD"], found["DtoH"]
    return Moved(sum(up), len(up), sum(down), len(down))


def moved_by(run: Run) -> Moved:
    """What ``run`` moves, CuPy's and torch's transfers alike."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        run()
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(path))
        return moved_in(json.loads(path.read_text(encoding="utf-8")))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown; all but the first column to the right."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}", *lines])
