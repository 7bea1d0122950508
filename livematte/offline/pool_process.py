"""Child process of :class:`livematte.offline.pool.ProcessPool`: runs the calls that it receives.

A process instead of a thread, so that only its own GPU is visible and libraries that use "the current device"
use the right one.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from livematte.errors import LivematteError

ENTRY = "from livematte.offline.pool_process import main; main()"
"""Code that starts the process. Unlike :mod:`multiprocessing`, it does not run the caller's script again."""


@dataclass(frozen=True)
class CallContext:
    """The last argument of every call that runs in a worker process.

    Attributes:
        stop: set to end early; a call keeps what it has.
        report: call it with the number of frames so far.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    report: Callable[[int], None] = lambda frames: None


def main() -> None:
    """Entry point of the process: read calls ``(function, *arguments)`` from stdin, write replies to stdout.

    All messages are pickled. Replies are ``("frames", number)``, ``("done", result)``,
    ``("failed", (class name, message, notes))`` and ``("broken", traceback)``, after which the process ends.
    """
    # Private copies of stdin and stdout, so that library output cannot enter the protocol. Also, a process
    # that a library forks closes sys.stdin, which would block forever while a thread reads from it.
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    os.dup2(2, 1)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK"):
        if hasattr(signal, name):  # the parent process requests the stop
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    lock = threading.Lock()

    def send(kind: str, value: Any = None) -> None:
        with lock:
            pickle.dump((kind, value), replies)
            replies.flush()

    calls: queue.Queue[tuple[Any, ...]] = queue.Queue()
    context = CallContext(report=lambda frames: send("frames", frames))
    threading.Thread(target=_listen, args=(requests, calls, context.stop), daemon=True).start()
    try:
        while True:
            function, *arguments = calls.get()
            try:
                send("done", function(*arguments, context))
            except LivematteError as error:
                send("failed", (type(error).__name__, str(error), error.notes))
    except BaseException:
        send("broken", traceback.format_exc())
    replies.close()
    os._exit(1)  # ends also threads and drivers that hang


def _listen(requests: BinaryIO, calls: queue.Queue[tuple[Any, ...]], stop: threading.Event) -> None:
    """Queue the calls from ``requests``. ``None`` sets ``stop``; the end of the stream ends the process."""
    while True:
        try:
            call: tuple[Any, ...] | None = pickle.load(requests)
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(0)
        except BaseException:  # a call whose module cannot be imported here
            traceback.print_exc()
            os._exit(1)
        if call is None:
            stop.set()
        else:
            calls.put(call)
