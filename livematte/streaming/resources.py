"""Parts of a session that is starting: closed again if it cannot start, or made in a thread meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Resources:
    """Resources to close if a session cannot start."""

    def __init__(self) -> None:
        self._parts: list[Any] = []

    def add(self, part: Any) -> Any:
        """Keep ``part`` and return it."""
        self._parts.append(part)
        return part

    def close(self) -> None:
        """Close all parts, the newest first. Never raises."""
        for part in reversed(self._parts):
            with suppress(Exception):  # the user gets the error that stopped the start
                part.close()


class ThreadResult:
    """Result of a function that runs in a thread."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._body, args=(work,), daemon=True)
        self._thread.start()

    def _body(self, work: Callable[[], Any]) -> None:
        try:
            self._value = work()
        except BaseException as error:
            self._error = error

    def join(self, timeout: float = 30.0) -> None:
        """Wait for the thread: returning from C++ code while Python shuts down would crash the process."""
        self._thread.join(timeout)

    def result(self) -> Any:
        """Wait for the function; return its result or raise its error."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value
