"""State of the renders into an output folder, from their manifests; it can be read on any computer."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livematte import __version__
from livematte.errors import InputError, OutputError, UsageError
from livematte.farm.manifest import CANCEL, FOLDER, read_segments
from livematte.farm.out_dir import OutDir, current_owner
from livematte.farm.run_owner import RunOwner
from livematte.farm.storage import input_path, is_url
from livematte.options.declaration import names
from livematte.options.many import RenderManyOptions

_CALL = "call.json"

_SECONDS, _URL_SECONDS = 0.5, 5.0
"""Interval at which a request to stop is looked for, in a folder and in shared storage."""


@dataclass(frozen=True)
class FileStatus:
    """State of one unfinished file.

    Attributes:
        name: its main output, relative to the output folder.
        done, segments: number of finished segments, and of all.
        failed: time range and error of each failed segment.
    """

    name: str
    done: int
    segments: int
    failed: list[str] = field(default_factory=list)


def read_status(out: OutDir) -> list[FileStatus]:
    """Return the state of each file that is not complete. Raises InputError if there is no such folder."""
    if not out.url and not out.folder.is_dir():
        raise InputError(f"{out.text}: no such folder")
    found = []
    for name in out.names(FOLDER):
        header, done, failed = read_segments(out, name)
        if isinstance(header, dict) and "name" in header:
            errors = [f"{entry['section']}: {entry['error']}" for entry in failed.values()]
            found.append(FileStatus(header["name"], len(done), len(header["segments"]), errors))
    return sorted(found, key=lambda each: each.name)


def request_cancel(out: OutDir) -> RunOwner:
    """Ask the render into a folder to stop, and return which one. Raises UsageError if none runs there."""
    owner = current_owner(out)
    if owner is None:
        raise UsageError(f"no render into {out.text} is running")
    out.write(CANCEL, {"token": owner.token})
    return owner


class CancelRequest:
    """Tells whether somebody asked the run into an output folder to stop."""

    def __init__(self, out: OutDir) -> None:
        self._out, self._read, self._found = out, time.monotonic(), False
        out.remove(CANCEL)

    def __call__(self) -> bool:
        """Return True if so; the folder is looked at once in some time."""
        now = time.monotonic()
        if not self._found and now - self._read >= (_URL_SECONDS if self._out.url else _SECONDS):
            self._read = now
            with suppress(OutputError):
                self._found = self._out.read(CANCEL) is not None
        return self._found


def write_call(out: OutDir, inputs: Sequence[str | os.PathLike[str]], options: Mapping[str, Any]) -> None:
    """Write down inputs and options of a render, for :func:`read_call`."""
    kept = {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in options.items() if name in names(RenderManyOptions)
    }  # fmt: skip
    given = [input_path(Path(each)) for each in inputs]
    call = {
        "version": __version__,
        "inputs": [each if is_url(each) else str(Path(each).absolute()) for each in given],
        "options": kept,
    }
    out.write(_CALL, call)


def read_call(out: OutDir) -> tuple[list[str], Any]:
    """Return inputs and options of the last render on a cluster. Raises UsageError if there was none."""
    call = out.read(_CALL)
    if not isinstance(call, dict):
        raise UsageError(f"nothing was rendered into {out.text} on a cluster")
    return list(call["inputs"]), dict(call["options"])
