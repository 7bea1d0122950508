"""Pool of worker processes on this computer, with the futures of :mod:`concurrent.futures`.

``concurrent.futures.ProcessPoolExecutor`` with "spawn" was tried in place of these processes: it runs the
caller's script again, cannot be used inside ``multiprocessing.Pool``, and Ctrl-C kills workers that are still
importing. Its workers outlive a parent that was killed and keep their GPU, it does not report exit codes, and
one that dies breaks the whole pool. A local Ray would be a large dependency of every installation, with a
server of its own for each render. So this computer and a cluster have the scheduler in common
(:mod:`livematte.offline.schedule`), and each its own way to start processes.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from livematte import errors
from livematte.errors import DeviceError, LivematteError, ModelError, UsageError
from livematte.offline.pool_process import ENTRY
from livematte.offline.schedule import Slot, WorkerCrashed
from livematte.sudden_end import before_sudden_end

_EXIT_SECONDS = 10.0
"""Maximum time for a process to end."""


@dataclass
class WorkerProcess:
    """A worker process and its present call.

    Attributes:
        name: its device, for messages.
        attempt, future: number and future of the call; None while it waits for one.
    """

    name: str
    process: subprocess.Popen[bytes]
    attempt: int | None = None
    future: Future[Any] | None = None

    def send(self, message: Any) -> None:
        """Send a message. If the process has ended, :meth:`listen` reports it."""
        assert self.process.stdin is not None
        data = pickle.dumps(message)
        with suppress(OSError):
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def listen(self, take: Callable[[WorkerProcess, str, Any], None]) -> None:
        """Pass on the replies of the process, and its end. Only this method closes the pipe."""
        assert self.process.stdout is not None
        with self.process.stdout as replies:
            try:
                while True:
                    kind, value = pickle.load(replies)
                    take(self, kind, value)
            except (EOFError, OSError, pickle.UnpicklingError):
                take(self, "gone", None)

    def close(self) -> None:
        """End the process and wait for it. A forked child may still keep the pipe of :meth:`listen` open."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class ProcessPool:
    """Runs each call in the worker process of its slot, which is started for the first call.

    Args:
        devices: device of each slot. Those on the CPU divide its cores between them.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        on_cpu = sum(not device.startswith("cuda") for device in devices)
        share = max(1, (os.cpu_count() or 1) // max(1, on_cpu))
        self._slots = [
            Slot(
                f"{number}/{device}",
                device,
                environment(device)[1],
                None if device.startswith("cuda") else share,
            )
            for number, device in enumerate(devices)
        ]
        self.report: Callable[[int, int], None] = lambda attempt, frames: None
        self._workers: dict[str, WorkerProcess] = {}
        self._forget = before_sudden_end(self._put_away)

    def slots(self) -> Sequence[Slot]:
        """Return one slot for each device."""
        return self._slots

    def start(self, attempt: int, slot: Slot, call: tuple[Any, ...]) -> Future[Any]:
        """Run a call in the process of ``slot``."""
        worker = self._workers.get(slot.key)
        if worker is None or worker.process.poll() is not None:
            worker = self._workers[slot.key] = _start_process(slot.name)
            threading.Thread(target=worker.listen, args=(self._take,), daemon=True).start()
        future: Future[Any] = Future()
        worker.attempt, worker.future = attempt, future
        worker.send(call)
        return future

    def _take(self, worker: WorkerProcess, kind: str, value: Any) -> None:
        """Take a reply, in the thread that listens to the process."""
        future, attempt = worker.future, worker.attempt
        if future is None or attempt is None:
            return
        if kind == "frames":
            self.report(attempt, value)
            return
        if kind == "broken":
            with suppress(subprocess.TimeoutExpired):  # so that the next call gets a new process
                worker.process.wait(_EXIT_SECONDS)
        worker.future = None
        with suppress(Exception):  # it may have been finished by poll
            if kind == "done":
                future.set_result(value)
            else:
                future.set_exception(worker_error(worker, kind, value))

    def cancel(self, attempt: int) -> None:
        """Kill the process that runs an attempt."""
        for worker in self._workers.values():
            if worker.attempt == attempt and worker.future is not None:
                worker.future = None
                worker.process.kill()
                worker.process.wait()

    def request_stop(self) -> None:
        """Ask every process to end its call early."""
        for worker in self._workers.values():
            worker.send(None)

    def poll(self) -> None:
        """Report processes that have ended: a forked child may keep their pipes open."""
        for worker in list(self._workers.values()):
            if worker.future is not None and worker.process.poll() is not None:
                worker.process.wait()
                threading.Timer(0.2, self._take, (worker, "gone", None)).start()  # after its last replies

    def close(self) -> None:
        """End all processes and wait for them."""
        for worker in self._workers.values():
            worker.close()
        self._forget()

    def _put_away(self) -> None:
        for worker in list(self._workers.values()):
            worker.process.kill()
        for worker in list(self._workers.values()):
            worker.process.wait(_EXIT_SECONDS)


def environment(device: str) -> tuple[dict[str, str], str]:
    """Return the environment of a worker, with only its GPU visible, and the name of the device there."""
    variables = dict(os.environ)
    if not device.startswith("cuda"):
        return variables, device
    index = int(device.partition(":")[2] or 0)
    visible = [name for name in variables.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    variables["CUDA_VISIBLE_DEVICES"] = visible[index] if index < len(visible) else str(index)
    return variables, "cuda:0"


def _start_process(device: str) -> WorkerProcess:
    process = subprocess.Popen(
        [sys.executable, "-c", ENTRY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(device)[0],
        start_new_session=True,  # Ctrl-C reaches only this process, which stops the workers
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
    return WorkerProcess(device, process)


def worker_error(worker: WorkerProcess, kind: str, value: Any) -> BaseException:
    """Return the error of a worker as an exception of the same class."""
    if kind == "failed":
        return rebuilt_error(worker.name, *value)
    if kind == "broken":
        return RuntimeError(f"the worker on {worker.name} failed:\n{value}")
    code = worker.process.wait(_EXIT_SECONDS)
    return WorkerCrashed(
        f"the worker on {worker.name} ended unexpectedly (exit code {code}): it may need more memory; "
        "close other programs or use fewer devices"
    )


def rebuilt_error(where: str, name: str, message: str, notes: Sequence[str]) -> LivematteError:
    """Return a LivematteError that another process raised: its class by name, with its message and notes."""
    error_class = getattr(errors, name, LivematteError)
    if error_class is errors.MissingExtraError:  # its constructor takes other arguments
        error_class = UsageError
    if issubclass(error_class, (DeviceError, ModelError)):
        message = f"on {where}: {message}"
    error: LivematteError = error_class(message)
    error.notes = tuple(notes)
    return error
