"""Records of finished files, in the output folder, by which a second call skips what is unchanged."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livematte import __version__
from livematte.farm.files import PRIVATE, PlannedFile
from livematte.farm.storage import input_path, is_url, url_stamp
from livematte.options import RenderOptions
from livematte.options.declaration import input_files, names

_NO_EFFECT = frozenset({"device", "threads", "hwaccel", "overwrite"})
"""Options of a render that do not change what is in its outputs."""


def hash_options(options: Mapping[str, Any]) -> str:
    """Return a hash of the options that change the outputs, of the files they name, and of the version."""
    chosen = {name: str(options[name]) for name in sorted(names(RenderOptions) - _NO_EFFECT)}
    files = {
        name: file_stamp(Path(value))
        for name, value in input_files(RenderOptions, options).items()
        if isinstance(value, (str, os.PathLike)) and Path(value).is_file()
    }
    text = json.dumps([__version__, chosen, files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_stamp(path: Path) -> list[int] | None:
    """Return size in bytes and time of change in nanoseconds of a file; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def input_stamp(path: Path) -> list[Any] | None:
    """Return what identifies the version of an input file or URL. Raises InputError for a URL."""
    text = input_path(path)
    return url_stamp(text) if is_url(text) else file_stamp(path)


@dataclass(frozen=True)
class FileResult:
    """Result of one of many files.

    Attributes:
        input, output: the video, and its main output.
        state: ``done``, ``unchanged`` (it was whole already), ``failed`` or ``stopped``.
        error: one line, if it failed.
        frames, seconds: frames written, and wall time.
        notes: lines for the user.
    """

    input: Path
    output: Path
    state: str
    error: str = ""
    frames: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Records:
    """Records of an output folder, for one set of options.

    Attributes:
        folder: the output folder.
        options: hash of the options.
    """

    folder: Path
    options: str

    def _path(self, file: PlannedFile) -> Path:
        return self.folder / PRIVATE / "records" / f"{file.name}.json"

    def read(self, file: PlannedFile) -> dict[str, Any]:
        """Return the record of a file; empty if there is none that fits its input and the options."""
        try:
            record = json.loads(self._path(file).read_text(encoding="utf-8"))
            fits = record["options"] == self.options and record["stamp"] == input_stamp(file.input)
            fits = fits and record["input"] == str(file.input.resolve())
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return dict(record) if fits else {}

    def _last(self, file: PlannedFile) -> dict[str, Any]:
        """Return the record of a file, whatever its input and the options; empty if there is none."""
        try:
            record = json.loads(self._path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def wrote(self, file: PlannedFile, target: str) -> bool:
        """Return True if an output is as a render into this folder left it, with whatever options."""
        left = self._last(file).get("wrote")
        stamp = file_stamp(self.folder / target)
        return isinstance(left, dict) and stamp is not None and left.get(target) == stamp

    def is_whole(self, file: PlannedFile) -> bool:
        """Return True if the outputs of a file are as they were when it was finished."""
        outputs = self.read(file).get("outputs")
        return outputs is not None and outputs == self._outputs(file)

    def failed(self, file: PlannedFile) -> str:
        """Return the error with which the unchanged file failed before; empty if it did not."""
        return str(self.read(file).get("error", ""))

    def _outputs(self, file: PlannedFile) -> dict[str, list[int] | None]:
        return {target: file_stamp(self.folder / target) for target in file.targets.values()}

    def write(self, file: PlannedFile, stamp: list[Any] | None, **facts: Any) -> None:
        """Write that a file is finished; ``stamp`` is of its input before the render."""
        outputs = self._outputs(file)
        self._write(file, {"stamp": stamp, "outputs": outputs, "wrote": outputs, **facts})

    def write_failure(
        self, file: PlannedFile, stamp: list[Any] | None, error: str, *, written: bool = False
    ) -> None:
        """Write that a file failed; ``written`` if its outputs were written, although parts are missing."""
        left = self._outputs(file) if written else self._last(file).get("wrote")
        self._write(file, {"stamp": stamp, "error": error, "wrote": left})

    def _write(self, file: PlannedFile, facts: Mapping[str, Any]) -> None:
        path = self._path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "input": str(file.input.resolve()),
            "options": self.options,
            "version": __version__,
            **facts,
        }
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps(record, indent=1), encoding="utf-8")
        os.replace(new, path)
