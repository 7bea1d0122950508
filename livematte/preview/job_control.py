"""Ctrl-Z, ``bg`` and ``fg`` while a program draws on the whole terminal."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any


class JobControl:
    """Notes Ctrl-Z and the continuation after it, so that the drawing thread can act on both.

    Nothing is done in the signal handlers: they may interrupt a line that is half written.
    """

    def __init__(self) -> None:
        self._stop_asked = self._continued = False
        self._before: dict[Any, Any] = {}
        if not hasattr(signal, "SIGTSTP") or threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTSTP) != signal.SIG_IGN:
            self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._on_stop)
            self._before[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._on_continue)

    def _on_stop(self, *_: object) -> None:
        self._stop_asked = True

    def _on_continue(self, *_: object) -> None:
        self._continued = True

    @property
    def stop_asked(self) -> bool:
        """True after Ctrl-Z, until :meth:`stop`."""
        return self._stop_asked

    def stop(self) -> None:
        """Stop this process, as Ctrl-Z does; returns when it is continued."""
        self._stop_asked = False
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._on_stop)

    def take_continued(self) -> bool:
        """Return True once after the process was continued."""
        continued, self._continued = self._continued, False
        return continued

    def in_foreground(self) -> bool:
        """Return False while the terminal belongs to the shell or to another job."""
        if sys.platform == "win32" or not self._before:
            return True
        try:
            return os.tcgetpgrp(sys.__stderr__.fileno()) == os.getpgrp()  # type: ignore[union-attr]
        except (OSError, ValueError, AttributeError):  # not a terminal of this session
            return True

    def close(self) -> None:
        """Put back the handlers that were there before. May be called twice."""
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)
