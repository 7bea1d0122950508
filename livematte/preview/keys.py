"""Read the keys of a terminal without waiting for Enter."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import Any

_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
"""The escape sequences of arrow keys, function keys and Alt (ECMA-48, section 5.4)."""


def parse_keys(text: str) -> list[str]:
    """Return the printable keys in the input of a terminal, in lower case, without escape sequences."""
    return [key for key in _SEQUENCE.sub("", text).lower() if key.isprintable()]


if sys.platform == "win32":
    import msvcrt

    class TerminalKeys:
        """Reads the keys of the Windows console as they are pressed."""

        def read(self) -> list[str]:
            """Return the keys pressed since the last call. Never waits."""
            text = ""
            while msvcrt.kbhit():
                key = msvcrt.getwch()
                if key in "\x00\xe0":  # arrow and function keys send two characters
                    msvcrt.getwch()
                else:
                    text += key
            return parse_keys(text)

        def resume(self) -> None:
            """Do nothing: the console was not changed."""

        def close(self) -> None:
            """Do nothing: the console was not changed."""

else:
    import os
    import select
    import termios
    import tty

    class TerminalKeys:
        """Reads the keys of a POSIX terminal as they are pressed. Ctrl-C still interrupts.

        There are no keys if standard input is not a terminal, or belongs to another job of the shell.
        """

        def __init__(self, file: int | None = None) -> None:
            """Switch the terminal ``file`` (a descriptor; default: standard input) to unbuffered input."""
            self._before: list[Any] | None = None
            try:
                self._file = sys.stdin.fileno() if file is None else file
                if os.tcgetpgrp(self._file) != os.getpgrp():
                    return  # in the background, a change of the terminal would stop the process
                before = termios.tcgetattr(self._file)
                tty.setcbreak(self._file, termios.TCSANOW)
            except (OSError, ValueError, AttributeError, termios.error):
                return
            self._before = before

        def resume(self) -> None:
            """Switch to unbuffered input again, after the shell has changed the terminal."""
            if self._before is not None:
                with contextlib.suppress(OSError, termios.error):
                    tty.setcbreak(self._file, termios.TCSANOW)

        def read(self) -> list[str]:
            """Return the keys pressed since the last call. Never waits."""
            if self._before is None or not select.select([self._file], [], [], 0)[0]:
                return []
            try:
                return parse_keys(os.read(self._file, 256).decode(errors="ignore"))
            except OSError:  # the terminal is gone
                return []

        def close(self) -> None:
            """Restore the settings of the terminal. May be called twice."""
            before, self._before = self._before, None
            if before is not None:
                with contextlib.suppress(OSError, termios.error):  # the terminal is gone
                    termios.tcsetattr(self._file, termios.TCSANOW, before)
