"""Exceptions that livematte raises on purpose.

::

    LivematteError              base class; str(error) is one printable line of at most 300 characters
    ├── UsageError              an invalid option, name or combination (exit code 2)
    │   ├── MissingExtraError   an optional package is not installed; names the extra
    │   └── OptionError         a keyword that a call does not take, or a value of another type
    ├── InputError              a source cannot be opened or read
    │   └── CameraLost          an open camera disappeared; it may come back
    ├── OutputError             a sink cannot be opened or written
    ├── SessionError            a live session to be controlled cannot be reached
    ├── ModelError              a model, its weights or its card cannot be used
    │   └── WeightsError        wrong file, wrong hash, wrong architecture
    └── DeviceError             a requested device or runtime is not available

A message says what is wrong, with which value, what is allowed and what to do next.
"""

from __future__ import annotations

from importlib.util import find_spec

from livematte.printable import error_line


class LivematteError(Exception):
    """Base class of all errors raised on purpose. ``exit_code`` is the exit code of the CLI."""

    exit_code = 1
    notes: tuple[str, ...] = ()
    """Further lines for the user, e.g. the path of a partial output file that was kept."""

    def __init__(self, message: str = "", *args: object) -> None:
        """Take the message. Very long names and values in it are printed without their middle."""
        super().__init__(error_line(message), *args)


class UsageError(LivematteError):
    """An option, a name or a combination of options is invalid."""

    exit_code = 2


class MissingExtraError(UsageError):
    """An optional package is missing. The message names the extra that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs an extra package: run pip install '.[{extra}]' "
            f"(with pipx: pipx install --force '.[{extra}]') in the livematte folder"
        )
        self.extra = extra


def check_extra(module: str, what: str, extra: str) -> None:
    """Check, without importing it, that an optional module is installed.

    Args:
        module: name for ``import``.
        what: what needs it, as the beginning of a sentence.
        extra: the extra that installs it.

    Raises:
        MissingExtraError: it is not installed.
    """
    if find_spec(module) is None:
        raise MissingExtraError(what, extra)


class OptionError(UsageError, TypeError):
    """A keyword that a call does not take, or a value of another type; a TypeError, too, as Python's own."""


class InputError(LivematteError):
    """A source cannot be opened, has no video, or fails while it is read."""


class CameraLost(InputError):  # noqa: N818 - callers handle it as an event and retry
    """An open camera or live stream was unplugged or stopped. Opening it again may succeed."""


class OutputError(LivematteError):
    """A sink cannot be opened or written: folder, permission, full disk, codec."""


class SessionError(LivematteError):
    """A live session cannot be controlled: none is running, several are, or it does not answer."""


class ModelError(LivematteError):
    """A model is unknown or cannot run."""


class WeightsError(ModelError):
    """Weights are missing, damaged, of another architecture, or have another hash."""


class DeviceError(LivematteError):
    """A requested device or runtime is not available."""
