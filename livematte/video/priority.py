"""The priority of the process stays as the user chose it, whatever libraries do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def kept_priority() -> Iterator[None]:
    """Context manager that undoes changes of the scheduling policy of threads of this process.

    SVT-AV1 gives its threads, and the thread that opens it, real-time priority where it may: as root,
    and so in most containers. An encoder in the background then stops everything else on the machine, and the
    programs that this process starts inherit the priority. Only Linux has these policies.
    """
    tasks = Path("/proc/self/task")
    if not hasattr(os, "sched_getscheduler") or not tasks.is_dir():
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for task in tasks.iterdir():
            with contextlib.suppress(OSError):  # a thread that has ended
                if os.sched_getscheduler(int(task.name)) != policy:
                    os.sched_setscheduler(int(task.name), policy, parameters)
