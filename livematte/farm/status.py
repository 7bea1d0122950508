"""State of the renders into an output folder, from their manifests; it can be read on any computer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livematte import __version__
from livematte.errors import InputError, UsageError
from livematte.farm.files import PRIVATE
from livematte.farm.manifest import CANCEL, manifest_folder, read_lines
from livematte.farm.storage import is_url
from livematte.options.declaration import names
from livematte.options.many import RenderManyOptions

_CALL = "call.json"


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


def read_status(out_dir: Path) -> list[FileStatus]:
    """Return the state of each file that is not complete. Raises InputError if there is no such folder."""
    if not out_dir.is_dir():
        raise InputError(f"{out_dir}: no such folder")
    found = []
    for path in sorted(manifest_folder(out_dir).glob("*/manifest.jsonl")):
        header, *lines = read_lines(path) or [{}]
        if "name" not in header:
            continue
        done = {line["done"] for line in lines if "done" in line}
        failed = {line["failed"]: f"{line['section']}: {line['error']}" for line in lines if "failed" in line}
        errors = [line for number, line in failed.items() if number not in done]
        found.append(FileStatus(header["name"], len(done), len(header["segments"]), errors))
    return sorted(found, key=lambda each: each.name)


def request_cancel(out_dir: Path) -> None:
    """Ask the render into a folder to stop. Raises UsageError if none has begun there."""
    if not manifest_folder(out_dir).is_dir():
        raise UsageError(f"nothing was rendered into {out_dir} on a cluster")
    (out_dir / PRIVATE / CANCEL).touch()


def write_call(out_dir: Path, inputs: Sequence[str | os.PathLike[str]], options: Mapping[str, Any]) -> None:
    """Write down inputs and options of a render, for :func:`read_call`."""
    kept = {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in options.items() if name in names(RenderManyOptions)
    }  # fmt: skip
    call = {
        "version": __version__,
        "inputs": [os.fspath(each) if is_url(each) else str(Path(each).absolute()) for each in inputs],
        "options": kept,
    }
    new = out_dir / PRIVATE / f"{_CALL}.new"
    new.write_text(json.dumps(call, indent=1), encoding="utf-8")
    os.replace(new, out_dir / PRIVATE / _CALL)


def read_call(out_dir: Path) -> tuple[list[str], Any]:
    """Return inputs and options of the last render on a cluster. Raises UsageError if there was none."""
    try:
        call = json.loads((out_dir / PRIVATE / _CALL).read_text(encoding="utf-8"))
        return list(call["inputs"]), dict(call["options"])
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"nothing was rendered into {out_dir} on a cluster") from error
