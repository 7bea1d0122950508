"""Measure times, bandwidth and transfers of a GPU."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from livematte.device.cuda import cupy
from livematte.errors import LivematteError

Run = Callable[[], Any]

FILL = 256 << 20
"""Size of the array for the copy measurement in bytes: larger than the cache of any GPU."""

LONGEST = 4096
"""Maximum number of copies queued before the timed work."""


def refuse_without_gpu() -> None:
    """Raise SystemExit with one line if kernels or networks cannot run on a GPU."""
    from livematte.device import cuda_trouble

    problem = cuda_trouble(0)
    try:
        cupy()
    except LivematteError as error:
        problem = problem or str(error)
    if problem:
        raise SystemExit(f"benchmarks.gpu needs an NVIDIA GPU: {problem}")


def device_seconds(runs: Sequence[Run], repeat: int = 7) -> float:
    """Return the mean GPU seconds of ``runs``, queued together; the median of ``repeat`` rounds.

    Each run should use its own memory, more in total than the cache holds. Copies are queued first, so that
    the
    GPU does not wait for Python: a launch takes longer than many kernels.
    """
    cuda = cupy().cuda
    copy = _copy()
    for run in runs:
        run()  # warm-up: compiles the kernels and fills the memory pool
    times: list[float] = []
    copies = 4
    while len(times) < repeat:
        begin, end = cuda.Event(), cuda.Event()
        for _ in range(copies):
            copy()
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
    """Return the bytes read and written per second by a copy within GPU memory."""
    return 2 * FILL / device_seconds([_copy()] * 8)


class Transfers(NamedTuple):
    """Bytes and number of transfers between host and GPU."""

    up: int
    uploads: int
    down: int
    downloads: int


def transfers_in_trace(trace: Mapping[str, Any]) -> Transfers:
    """Count all transfers in a Chrome trace of the profiler of PyTorch."""
    found: dict[str, list[int]] = {"HtoD": [], "DtoH": []}
    for event in trace["traceEvents"]:
        for way, sizes in found.items():
            if event.get("cat") == "gpu_memcpy" and way in event.get("name", ""):
                sizes.append(int(event.get("args", {}).get("bytes", 0)))
    up, down = found["HtoD"], found["DtoH"]
    return Transfers(sum(up), len(up), sum(down), len(down))


def measure_transfers(run: Run) -> Transfers:
    """Count the transfers of ``run`` by CuPy and torch."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        run()
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(path))
        return transfers_in_trace(json.loads(path.read_text(encoding="utf-8")))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns except the first are right-aligned."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}", *lines])
