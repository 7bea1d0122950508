"""Every error a user can meet, one small tree.

::

    LivematteError              the base: str(error) is one line, fit to print
    ├── UsageError              what was asked for cannot be meant (exit code 2)
    │   └── MissingExtraError   an optional package is not installed; names the extra
    ├── InputError              a source cannot be opened or read
    │   └── CameraLost          a camera that was open is gone; it may come back
    ├── OutputError             a sink cannot be opened or written
    ├── SessionError            a live session that is to be steered cannot be reached
    ├── ModelError              a model, its weights or its card are unusable
    │   └── WeightsError        wrong file, wrong hash, wrong architecture
    └── DeviceError             a device or runtime that was asked for is not there

A message says what is wrong, with which value, what is allowed and what to do next.
"""

from __future__ import annotations


class LivematteError(Exception):
    """Base of all errors that livematte raises on purpose. ``exit_code`` is what the CLI ends with."""

    exit_code = 1
    notes: tuple[str, ...] = ()
    """What else a user should know, e.g. where the part of a file that was finished is kept."""


class UsageError(LivematteError):
    """An option, name or combination that cannot be meant."""

    exit_code = 2


class MissingExtraError(UsageError):
    """An optional package is missing; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra package: pip install 'livematte[{extra}]'")
        self.extra = extra


class InputError(LivematteError):
    """A source that cannot be opened, has no video, or breaks while it is read."""


class CameraLost(InputError):  # noqa: N818 - an event to wait after, more than a mistake
    """A camera or live stream that was open was unplugged or broke off. Opening it again may succeed."""


class OutputError(LivematteError):
    """A sink that cannot be opened or written: folder, permission, full disk, codec."""


class SessionError(LivematteError):
    """A live session that is to be steered: none runs, which one is meant is not clear, or it is silent."""


class ModelError(LivematteError):
    """A model that is unknown or cannot run."""


class WeightsError(ModelError):
    """Weights that are missing, damaged, of another architecture or with another hash."""


class DeviceError(LivematteError):
    """A device or runtime that was asked for and is not there."""
