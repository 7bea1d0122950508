"""The owner of a run into an output folder: computer, process and time of its beginning."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import uuid4


@dataclass(frozen=True)
class RunOwner:
    """A run.

    Attributes:
        host, process: name of its computer, and process ID there.
        began, seen: time of its beginning, and when it last said that it is alive, in seconds since 1970.
        token: unique for each run.
    """

    host: str
    process: int
    began: float
    seen: float
    token: str

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.began).strftime("%Y-%m-%d %H:%M")
        return f"process {self.process} on {self.host}, since {since}"

    @staticmethod
    def read(stored: Any) -> RunOwner | None:
        """Return the run of a stored object; None if it is none."""
        try:
            return RunOwner(**stored)
        except TypeError:
            return None

    def now(self) -> RunOwner:
        """Return the same run, seen now."""
        return replace(self, seen=time.time())

    def is_alive(self, seconds: float) -> bool:
        """Return True if the run was seen within ``seconds`` and, on this computer, its process exists."""
        if self.host == socket.gethostname() and os.name == "posix":
            try:
                os.kill(self.process, 0)
            except ProcessLookupError:
                return False
            except OSError:
                pass
        return abs(time.time() - self.seen) < seconds


def owner_here() -> RunOwner:
    """Return a new run of this process."""
    now = time.time()
    return RunOwner(socket.gethostname(), os.getpid(), now, now, uuid4().hex)
