"""Keys of a terminal, read without Enter."""

from __future__ import annotations

import re
import sys
from typing import Any

_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
"""What a terminal sends for arrows, function keys and Alt (ECMA-48, section 5.4)."""


def keys_in(text: str) -> list[str]:
    """The plain keys in what a terminal sent, small letters; arrows and the like are left out."""
    return [key for key in _SEQUENCE.sub("", text).lower() if key.isprintable()]


if sys.platform == "win32":
    import msvcrt

    class TerminalKeys:
        """The console's keys, as they are pressed."""

        def read(self) -> list[str]:
            """What was pressed since the last call; never waits."""
            text = ""
            while msvcrt.kbhit():
                key = msvcrt.getwch()
                if key in "\x00\xe0":  # arrows and function keys send two
                    msvcrt.getwch()
                else:
                    text += key
            return keys_in(text)

        def close(self) -> None:
            """Nothing to put back."""

else:
    import os
    import select
    import termios
    import tty

    class TerminalKeys:
        """The terminal's keys, as they are pressed. Ctrl-C keeps its meaning.

        None come where standard input is no terminal, or belongs to another job of the shell.
        """

        def __init__(self, file: int | None = None) -> None:
            """Take the terminal behind the file descriptor ``file``, standard input otherwise."""
            self._before: list[Any] | None = None
            try:
                self._file = sys.stdin.fileno() if file is None else file
                if os.tcgetpgrp(self._file) != os.getpgrp():
                    return  # in the background, changing the terminal would stop the process
                before = termios.tcgetattr(self._file)
                tty.setcbreak(self._file, termios.TCSANOW)
            except (OSError, ValueError, AttributeError, termios.error):
                return
            self._before = before

        def read(self) -> list[str]:
            """What was pressed since the last call; never waits."""
            if self._before is None or not select.select([self._file], [], [], 0)[0]:
                return []
            return keys_in(os.read(self._file, 256).decode(errors="ignore"))

        def close(self) -> None:
            """Give the terminal back as it was. Safe twice."""
            before, self._before = self._before, None
            if before is not None:
                termios.tcsetattr(self._file, termios.TCSANOW, before)
