"""Pool of a Ray cluster: each call is a Ray task on a machine that the scheduler has chosen.

Ray starts and watches the processes, moves the results, and tells which machines are there. Order, tries and
copies are those of :mod:`livematte.offline.schedule`. Ray is imported only by :class:`RayPool`.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from livematte.errors import DeviceError, MissingExtraError
from livematte.farm import ray_task
from livematte.offline.pool import rebuilt_error
from livematte.offline.schedule import MachineLost, Slot, WorkerCrashed

FULL_SECONDS = 60.0
"""Time for which a machine whose disk is full gets no work."""

LOST_SECONDS = 10.0
"""Time for which a machine that was lost gets no work: Ray may list a dead one for some seconds more."""

NO_MACHINE_SECONDS = 120.0
"""Time for which a cluster without usable machines is waited for."""

_CONNECT_SECONDS = 10.0

_BOARD_SECONDS = 1.0
"""Interval at which the frames of running calls are read."""


@dataclass
class _Running:
    slot: Slot
    reference: Any
    future: Future[Any]
    began: bool = False


def connect(address: str) -> Any:
    """Return the module ``ray``, connected to a cluster: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``.

    Raises:
        MissingExtraError: Ray is not installed.
        DeviceError: there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("--cluster", "farm") from error
    if ray.is_initialized():
        return ray
    _check_reachable(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise _unreachable(address, reason) from error
    return ray


def _check_reachable(address: str) -> None:
    """Raise DeviceError if nothing listens at an address: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise _unreachable(address, str(error)) from error


def _unreachable(address: str, reason: str) -> DeviceError:
    return DeviceError(
        f"no Ray cluster answers at {address}: {reason}; start one with "
        "`ray start --head --node-ip-address=127.0.0.1`, and set RAY_AUTH_MODE=token here if it has a token"
    )


def dashboard(ray: Any) -> str:
    """Return the URL of the dashboard of the connected cluster; empty if it has none."""
    with suppress(Exception):  # it is no part of Ray's public interface
        from ray._private import worker

        find: Callable[[], Any] = worker.get_dashboard_url
        return f"http://{url}" if (url := find()) else ""
    return ""


class RayPool:
    """Runs calls as Ray tasks, each on the machine of its slot.

    Args:
        ray: the connected module.
        folder: folder on this computer for the files that the calls make.
        code: hash of the code and weights here; a machine with another one is not used.
        device: ``auto`` uses the GPUs of machines that have some and the cores of others; ``cpu`` and
            ``cuda`` use only these.
        cpus: cores for each call on a CPU.
        memory: bytes that each call needs; a machine runs as many calls as fit, but at least one.
        noted: called once with each line about a machine.
    """

    def __init__(
        self, ray: Any, folder: Path, code: str, *, device: str = "auto", cpus: int = 1, memory: int = 0,
        noted: Callable[[str], None] = lambda note: None,
    ) -> None:  # fmt: skip
        self._ray, self._folder, self._code, self._device, self._cpus = ray, folder, code, device, cpus
        self._memory, self._noted = memory, noted
        self._memory_of: dict[str, int] = {}
        self.report: Callable[[int, int], None] = lambda attempt, frames: None
        self.notes: list[str] = []
        self._running: dict[int, _Running] = {}
        self._lock = threading.Lock()
        self._collectors = ThreadPoolExecutor(4, "livematte-collect")
        self._resting: dict[str, float] = {}
        self._slots: list[Slot] = []
        self._seen_machine = self._board_read = time.monotonic()
        self._nodes_read = -1e9
        options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1}
        if not ray.util.client.ray.is_connected():  # the driver is on a machine of the cluster
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            here = ray.get_runtime_context().get_node_id()
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(here, soft=True)
        self._board = ray.remote(ray_task.Board).options(**options).remote()
        self._task = ray.remote(ray_task.run_call)

    def slots(self) -> Sequence[Slot]:
        """Return the free and busy slots of the machines that can be used."""
        now = time.monotonic()
        if now - self._nodes_read > 1.0:
            self._nodes_read = now
            self._slots = [slot for node in self._ray.nodes() if node["Alive"] for slot in self._on(node)]
        usable = [slot for slot in self._slots if self._resting.get(slot.machine, 0.0) <= now]
        if usable:
            self._seen_machine = now
        return usable

    def _on(self, node: Mapping[str, Any]) -> list[Slot]:
        key, resources, address = node["NodeID"], node["Resources"], node["NodeManagerAddress"]
        there = int(resources.get("memory", 0))
        self._memory_of[key] = min(self._memory, there)
        fit = max(1, there // self._memory) if self._memory else 1 << 20
        gpus = int(resources.get("GPU", 0)) if self._device != "cpu" else 0
        if gpus or self._device.startswith("cuda"):
            count = min(gpus, fit)
            return [Slot(f"{key}/cuda/{n}", f"{address} (GPU)", "cuda:0", None, key) for n in range(count)]
        count = min(int(resources.get("CPU", 0)) // self._cpus, fit)
        return [Slot(f"{key}/cpu/{n}", address, "cpu", self._cpus, key) for n in range(count)]

    def start(self, attempt: int, slot: Slot, call: tuple[Any, ...]) -> Future[Any]:
        """Run a call as a task on the machine of ``slot``."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options: dict[str, Any] = {
            "scheduling_strategy": NodeAffinitySchedulingStrategy(slot.machine, soft=False),
            "max_retries": 0,
            "num_cpus": 0 if slot.device.startswith("cuda") else self._cpus,
            "num_gpus": 1 if slot.device.startswith("cuda") else 0,
            "memory": self._memory_of.get(slot.machine, 0),
        }
        reference = self._task.options(**options).remote(self._code, self._board, attempt, *call)
        future: Future[Any] = Future()
        with self._lock:
            self._running[attempt] = _Running(slot, reference, future)
        reference.future().add_done_callback(partial(self._hand_over, attempt))
        return future

    def _hand_over(self, attempt: int, done: Future[Any]) -> None:
        """Let a collector take the reply of a task; after :meth:`close` nobody does."""
        with suppress(RuntimeError):
            self._collectors.submit(self._collect, attempt, done)

    def _collect(self, attempt: int, done: Future[Any]) -> None:
        """Take the reply of a task, and bring the files that it made to this computer."""
        running = self._running.get(attempt)
        if running is None:
            return
        slot = running.slot
        try:
            kind, value = done.result()
            if kind == "done":
                if isinstance(value, ray_task.SentFiles):
                    value = ray_task.bring_files(value, self._folder / f"attempt-{attempt}", self._ray.get)
                self._end(attempt, value, None)
            elif kind == "failed":
                self._end(attempt, None, rebuilt_error(slot.name, *value))
            elif kind == "full":
                self._rest(slot, f"the disk of {slot.name} is full: {value}", FULL_SECONDS)
                self._end(attempt, None, MachineLost(value))
            elif kind == "refused":
                self._rest(slot, f"{slot.name} is not used: {value}", float("inf"))
                self._end(attempt, None, MachineLost(value))
            else:
                self._end(attempt, None, RuntimeError(f"the task on {slot.name} failed:\n{value}"))
        except OSError as error:  # of this computer: its disk is full
            self._end(attempt, None, error)
        except BaseException as error:
            self._end(attempt, None, self._lost(slot, error))

    def _lost(self, slot: Slot, error: BaseException) -> Exception:
        """Return the error of a task whose process or machine is gone."""
        name = type(error).__name__
        line = " ".join(str(error).split())[:200]
        if name in ("WorkerCrashedError", "OutOfMemoryError"):
            return WorkerCrashed(f"the worker on {slot.name} ended unexpectedly ({name})")
        resting = self._resting.get(slot.machine, 0.0)
        self._resting[slot.machine] = max(resting, time.monotonic() + LOST_SECONDS)
        return MachineLost(f"{slot.name} was lost: {name}: {line}")

    def _end(self, attempt: int, value: Any, error: BaseException | None) -> None:
        with self._lock:
            running = self._running.pop(attempt, None)
        if running is None:
            return
        if error is None:
            running.future.set_result(value)
        else:
            running.future.set_exception(error)

    def _rest(self, slot: Slot, note: str, seconds: float) -> None:
        self._resting[slot.machine] = time.monotonic() + seconds
        if note not in self.notes:
            self.notes.append(note)
            self._noted(note)

    def cancel(self, attempt: int) -> None:
        """Kill the process of a task."""
        with self._lock:
            running = self._running.pop(attempt, None)
        if running is not None:
            with suppress(Exception):
                self._ray.cancel(running.reference, force=True)

    def request_stop(self) -> None:
        """End all tasks: what is finished is on this computer already."""
        for attempt, running in list(self._running.items()):
            self.cancel(attempt)
            running.future.set_exception(MachineLost("stopped"))

    def poll(self) -> None:
        """Read the frames of running tasks. Raises DeviceError if no machine can be used for long."""
        now = time.monotonic()
        if now - self._board_read >= _BOARD_SECONDS and self._running:
            self._board_read = now
            with suppress(Exception):  # the board is restarted elsewhere
                read = self._ray.get(self._board.read.remote(), timeout=5)
                for attempt, frames in read.items():
                    running = self._running.get(attempt)
                    if running is not None:
                        if not running.began:
                            running.began = True
                            self.report(attempt, 0)
                        if frames:
                            self.report(attempt, frames)
        if now - self._seen_machine > NO_MACHINE_SECONDS or (
            not self.slots()
            and self._slots
            and all(self._resting.get(s.machine) == float("inf") for s in self._slots)
        ):
            reasons = "; ".join(self.notes) or "no machine is there, or none has a free core or GPU"
            raise DeviceError(f"no machine of the cluster can be used: {reasons}")

    def close(self) -> None:
        """End all tasks."""
        for attempt in list(self._running):
            self.cancel(attempt)
        self._collectors.shutdown(wait=False, cancel_futures=True)
        with suppress(Exception):
            self._ray.kill(self._board)
