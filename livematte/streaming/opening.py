"""Opens and checks the parts of a live session."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from typing import Any

from livematte.errors import UsageError
from livematte.matting.backgrounds import STRONGEST_BLUR, WEAKEST_LIVE_BLUR, Blur
from livematte.options import PathLike
from livematte.protocols import Background, LiveFormat
from livematte.resolve import resolve_background


def open_placeholder(spec: PathLike | Background, fit: str, format: LiveFormat) -> Background:
    """Open the placeholder. Raises UsageError with a message that begins with ``placeholder``."""
    try:
        placeholder = resolve_background(spec, fit)
    except UsageError as error:
        raise UsageError(f"placeholder: {error}") from error
    if placeholder.transparent and not format.alpha:
        raise UsageError("placeholder transparent: the output has no transparency; use a colour or a picture")
    return placeholder


def open_live_background(spec: PathLike | Background, fit: str) -> Background:
    """Open the background. Raises UsageError, also for a blur so weak that the room would be recognisable."""
    background = resolve_background(spec, fit)
    if isinstance(background, Blur) and background.strength < WEAKEST_LIVE_BLUR:
        background.close()
        raise UsageError(
            f"blur {background.strength:g} would show the room: use {WEAKEST_LIVE_BLUR:g} to "
            f"{STRONGEST_BLUR:g}"
        )
    return background


def live_format(width: int, height: int, rate: Fraction | float) -> LiveFormat:
    """Check the output format. Raises UsageError."""
    if width % 2 or height % 2 or not (64 <= width <= 7680 and 64 <= height <= 4320):
        raise UsageError(f"resolution {width}x{height} is invalid: use even numbers, 64x64 to 7680x4320")
    return LiveFormat(width, height, Fraction(rate).limit_denominator(1001))


class Resources:
    """Resources to close if a session cannot start."""

    def __init__(self) -> None:
        self._parts: list[Any] = []

    def add(self, part: Any) -> Any:
        """Add a part and return it."""
        self._parts.append(part)
        return part

    def close(self) -> None:
        """Close all parts, the last one first."""
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
        """Wait for the result, and return it or raise the error of the function."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value
