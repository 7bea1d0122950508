"""Plan of a render on a cluster: a pilot measures each machine; time and cost follow from that."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from livematte.errors import DeviceError, InputError, LivematteError, UsageError
from livematte.farm.batch import Batch, find_batch, listed
from livematte.farm.cut_file import CutFile, cut_file
from livematte.farm.manifest import read_manifest
from livematte.farm.memory import render_bytes
from livematte.farm.out_dir import open_out_dir
from livematte.farm.ray_task import code_hash, measure_part
from livematte.farm.records import FileResult
from livematte.offline.schedule import Pool, Slot
from livematte.offline.worker import SegmentResult, Task, on_device
from livematte.options import PathLike
from livematte.options.declaration import complete, documented, pick
from livematte.options.groups import DevicesOption
from livematte.options.many import RenderManyOptions
from livematte.video.split import Segment

PILOT_SECONDS = 4
"""Length of the pilot: the beginning of a file."""

PILOT_SIZES = 3
"""Number of frame sizes that are measured: those with the most frames. For others the pixels are counted."""

TASK_SECONDS = 0.2
"""Start of a task and bringing its parts here; ``python -m benchmarks.farm`` measures it."""

_LONGEST_PILOT = 600.0
"""Seconds after which a machine that has not finished its pilot counts as unusable."""


@dataclass(frozen=True)
class MachinePlan:
    """A machine in a plan.

    Attributes:
        kind: ``cpu`` or ``gpu``.
        slots: segments that it renders at the same time.
        fps: frames per second of all its slots together, at the frame size with the most frames.
        cost: its price for the whole time; None without a price.
    """

    name: str
    kind: str
    slots: int
    fps: float
    cost: float | None


@dataclass(frozen=True)
class RenderPlan:
    """Time and cost of a render.

    Attributes:
        files, segments, frames: what is to be rendered; finished files and segments are left out.
        seconds: wall time.
        cost: price of all machines for this time; None without a price.
        failed: error of each file that cannot be rendered, by its name.
    """

    files: int
    segments: int
    frames: int
    machines: list[MachinePlan]
    seconds: float
    cost: float | None
    failed: dict[str, str]


@documented(RenderManyOptions)
def plan_many(
    inputs: PathLike | Iterable[PathLike],
    out_dir: PathLike,
    *,
    price: Mapping[str, float] | None = None,
    noted: Callable[[str], None] = lambda note: None,
    stop: threading.Event | None = None,
    **options: Unpack[RenderManyOptions],
) -> RenderPlan:
    """Tell how long a render on a cluster will take and what it will cost. Nothing is written.

    Args:
        inputs: files and folders, as for :func:`livematte.render_many`.
        out_dir: folder for the outputs; what is whole there is left out.
        price: price of a machine for an hour by its kind, ``cpu`` or ``gpu``.
        noted: called with lines about the machines of the cluster.
        stop: set this event to stop early.

    Raises:
        UsageError: no cluster is given, or a price is missing.
        DeviceError: no machine can be used.
        InputError: nothing is to be rendered.
    """
    chosen = complete(RenderManyOptions, options)
    if chosen["cluster"] is None:
        raise UsageError("a plan is of the machines of a cluster: add --cluster ADDRESS")
    out = open_out_dir(out_dir)
    batch = find_batch(listed(inputs), out, chosen)
    waiting, failed = _cut(batch, resume=chosen["resume"])
    if not waiting:
        reason = "; ".join(failed.values()) or "every output is whole"
        raise InputError(f"nothing is to be rendered into {out.text}: {reason}")
    from livematte.farm.ray_pool import RayPool, connect

    folder = Path(tempfile.mkdtemp(prefix="livematte-plan-"))
    memory = max(render_bytes(cut.size) for cut, _ in waiting)
    pool = RayPool(
        connect(chosen["cluster"]), folder, code_hash(), memory=memory, noted=noted,
        **pick(DevicesOption, batch.options),
    )  # fmt: skip
    try:
        speeds = measure_speeds(pool, [cut for cut, _ in waiting], stop)
    finally:
        pool.close()
        shutil.rmtree(folder, ignore_errors=True)
    return make_plan(waiting, speeds, price, failed)


def _cut(batch: Batch, *, resume: bool) -> tuple[list[tuple[CutFile, int]], dict[str, str]]:
    """Return each file to render with the number of its segments that are left, and errors of the others."""
    records, failed, waiting = batch.records(), dict[str, str](), list[tuple[CutFile, int]]()

    def end(number: int, result: FileResult) -> None:
        if result.state == "failed":
            failed[batch.files[number].name] = result.error

    for number in batch.waiting(records, resume=resume, end=end):
        file = batch.files[number]
        try:
            cut = cut_file(file, batch.out, batch.render_options(), records, transparent=batch.transparent)
            done = read_manifest(batch.out, file.name, cut.facts).done
            waiting.append((cut, len(cut.segments) - len(done)))
        except LivematteError as error:
            failed[file.name] = str(error)
    return sorted(waiting, key=lambda pair: -pair[0].frames), failed


@dataclass(frozen=True)
class Speed:
    """Measured frames per second of a slot, by frame size (height, width)."""

    slot: Slot
    fps: Mapping[tuple[int, int], float]

    def seconds(self, frames: int, size: tuple[int, int]) -> float:
        """Return the time for frames of a size; that of another size is scaled by its pixels."""
        pixels = size[0] * size[1]
        near = min(self.fps, key=lambda each: abs(each[0] * each[1] - pixels))
        return frames / self.fps[near] * pixels / (near[0] * near[1])


def measure_speeds(pool: Pool, cuts: Sequence[CutFile], stop: threading.Event | None = None) -> list[Speed]:
    """Render the beginning of a file of each size on all slots at once, as they will be used later.

    Raises:
        DeviceError: no slot can be used.
    """
    frames: defaultdict[tuple[int, int], int] = defaultdict(int)
    for cut in cuts:
        frames[cut.size] += cut.frames
    sizes = sorted(frames, key=lambda size: -frames[size])[:PILOT_SIZES]
    slots: dict[str, Slot] = {}
    found: defaultdict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    attempt, error = 0, None
    for size in sizes:
        cut = next(each for each in cuts if each.size == size)
        futures: dict[str, Future[SegmentResult]] = {}
        for slot in list(pool.slots()) if not slots else [slots[key] for key in found]:
            slots[slot.key] = slot
            futures[slot.key] = pool.start(attempt, slot, _pilot(cut, slot))
            attempt += 1
        end = time.monotonic() + _LONGEST_PILOT
        while not all(future.done() for future in futures.values()) and time.monotonic() < end:
            if stop is not None and stop.is_set():
                raise KeyboardInterrupt
            time.sleep(0.1)
            pool.poll()
        for key, future in futures.items():
            error = future.exception() if future.done() else error
            if not future.done() or future.exception() is not None:
                found.pop(key, None)
            elif count := len((result := future.result()).parts[0].times):
                found[key][size] = count / result.seconds
    if not found:
        reason = f": {error}" if error is not None else ""
        raise DeviceError(f"no machine of the cluster has finished the pilot{reason}")
    return [Speed(slots[key], fps) for key, fps in found.items()]


def _pilot(cut: CutFile, slot: Slot) -> tuple[Any, ...]:
    first = cut.segments[0]
    begins = first.read or Fraction(0)
    ends = begins + PILOT_SECONDS
    segment = Segment(first.read, None, ends if first.end is None else min(ends, first.end))
    return measure_part, on_device(cut.job, slot.device, slot.threads), Task(0, segment, Path())


def make_plan(
    waiting: Sequence[tuple[CutFile, int]], speeds: Sequence[Speed], price: Mapping[str, float] | None,
    failed: Mapping[str, str],
) -> RenderPlan:  # fmt: skip
    """Return the plan of files, each with the number of its segments that are left, the longest first.

    A segment counts where it would end first: if a slow machine has it, a fast one gets a copy of it.
    """
    free = [0.0] * len(speeds)
    for cut, left in waiting:
        for number in range(left):
            frames = cut.share + (cut.lead_in if number else 0)
            ended = [
                began + TASK_SECONDS + speed.seconds(frames, cut.size)
                for began, speed in zip(free, speeds, strict=True)
            ]
            first = ended.index(min(ended))
            free[first] = ended[first]
    ends = max(free)
    by_machine: defaultdict[str, list[Speed]] = defaultdict(list)
    for speed in speeds:
        by_machine[speed.slot.machine].append(speed)
    chief = waiting[0][0].size
    machines = []
    for each in by_machine.values():
        kind = "gpu" if each[0].slot.device.startswith("cuda") else "cpu"
        cost = None if price is None else _price(price, kind) * ends / 3600
        fps = sum(1 / speed.seconds(1, chief) for speed in each)
        machines.append(MachinePlan(each[0].slot.name, kind, len(each), fps, cost))
    return RenderPlan(
        files=len(waiting),
        segments=sum(left for _, left in waiting),
        frames=sum(cut.frames * left // len(cut.segments) for cut, left in waiting),
        machines=machines,
        seconds=ends,
        cost=None if price is None else sum(machine.cost or 0.0 for machine in machines),
        failed=dict(failed),
    )


def _price(price: Mapping[str, float], kind: str) -> float:
    if kind not in price:
        raise UsageError(f"--price has no price for {kind}: use one number for all machines, or {kind}=0.40")
    return price[kind]
