"""The right command for common mistakes on the command line."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic"}
_WITH_FILES = ("render", "image", "trimap")
"""Commands that take IN and OUT."""
_FLAGS = {"-i": 0, "--input": 0, "--in": 0, "-o": 1, "--output": 1, "--out": 1}


def corrected(args: Sequence[str], commands: Collection[str]) -> str:
    """Return an error message with the right command, or an empty text if no known mistake was made.

    Args:
        args: the arguments after ``livematte``.
        commands: names of all commands.
    """
    command = args[0] if args and args[0] in commands else ""
    if command not in ("", *_WITH_FILES) or {"-h", "--help"} & set(args):
        return ""
    files, rest = _input_and_output(args[1:] if command else args)
    flags = [word for word in args if word in _FLAGS]
    if flags:
        why = f"there is no option {flags[0]}: IN and OUT are given without a name"
    elif not command and files and _is_file(files[0]):
        why = f"{files[0]} is a file, not a command"
    else:
        return ""
    first = files[0] if files else "IN"
    still = Path(first).suffix.lower() in _PICTURES and "%" not in first
    wanted = command or ("image" if still else "render")
    second = files[1] if len(files) > 1 else "OUT.png" if wanted == "image" else "OUT.mp4"
    right = _joined(["livematte", wanted, first, second, *files[2:], *rest])
    return f"{why}; did you mean: {right}"


def _input_and_output(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files, in the order IN, OUT, and all other arguments. Options take at most one value."""
    named: dict[int, str] = {}
    free: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word in _FLAGS:
            value = next(words, None)
            if value is not None:
                named[_FLAGS[word]] = value
        elif rest and rest[-1].startswith("-") and "=" not in rest[-1] and _is_value(word, named, free):
            rest.append(word)
        else:
            free.append(word)
    files = [named.get(0) or (free.pop(0) if free else "")]
    files.append(named.get(1) or (free.pop(0) if free else ""))
    return [each for each in (*files, *free) if each], rest


def _is_value(word: str, named: dict[int, str], free: list[str]) -> bool:
    """True if a word after an option is its value: it is no file, or IN and OUT are there already."""
    return len(named) + len(free) >= 2 or not _is_file(word)


def _is_file(word: str) -> bool:
    path = Path(word)
    return bool(path.suffix) or len(path.parts) > 1 or os.path.exists(path)  # noqa: PTH110 - also for a name that is too long


def _joined(words: list[str]) -> str:
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
