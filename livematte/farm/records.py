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
from livematte.errors import InputError
from livematte.farm.files import PlannedFile
from livematte.farm.out_dir import OutDir, file_stamp
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


def file_result(file: PlannedFile, out: OutDir, state: str, **facts: Any) -> FileResult:
    """Return the result of a file in an output folder."""
    return FileResult(file.input, Path(out.url or out.folder) / file.name, state, **facts)


@dataclass(frozen=True)
class Records:
    """Records of an output folder, for one set of options.

    Attributes:
        options: hash of the options.
    """

    out: OutDir
    options: str

    def read(self, file: PlannedFile) -> dict[str, Any]:
        """Return the record of a file; empty if there is none that fits its input and the options."""
        record = self._last(file)
        try:
            fits = record["options"] == self.options and record["stamp"] == input_stamp(file.input)
            fits = fits and record["input"] == _identity(file)
        except (KeyError, InputError):
            return {}
        return record if fits else {}

    def _last(self, file: PlannedFile) -> dict[str, Any]:
        """Return the record of a file, whatever its input and the options; empty if there is none."""
        record = self.out.read(_name(file))
        return dict(record) if isinstance(record, dict) else {}

    def is_known(self, file: PlannedFile) -> bool:
        """Return True if the last render of this output was of this input, in whatever state."""
        return bool(self._last(file).get("input") == _identity(file))

    def foreign(self, file: PlannedFile, target: str) -> str:
        """Return a line if an output exists that no render into this folder, and nobody else here, wrote."""
        left, stamp = self._last(file).get("wrote"), self.out.stamp(target)
        if stamp is None or (isinstance(left, dict) and left.get(target) == stamp):
            return ""
        return self.out.foreign(target)

    def is_whole(self, file: PlannedFile) -> bool:
        """Return True if the outputs of a file are as they were when it was finished."""
        outputs = self.read(file).get("outputs")
        return outputs is not None and outputs == self._outputs(file)

    def failed(self, file: PlannedFile) -> str:
        """Return the error with which a file failed; empty if none, or if it or its outputs changed since."""
        record = self.read(file)
        same = "error" in record and record.get("found") == self._outputs(file)
        return str(record["error"]) if same else ""

    def _outputs(self, file: PlannedFile) -> dict[str, list[Any] | None]:
        return {target: self.out.stamp(target) for target in file.targets.values()}

    def write(self, file: PlannedFile, stamp: list[Any] | None, **facts: Any) -> None:
        """Write that a file is finished; ``stamp`` is of its input before the render."""
        outputs = self._outputs(file)
        self._write(file, {"stamp": stamp, "outputs": outputs, "wrote": outputs, **facts})

    def write_failure(
        self, file: PlannedFile, stamp: list[Any] | None, error: str, *, written: bool = False
    ) -> None:
        """Write that a file failed; ``written`` if its outputs were written, although parts are missing."""
        found = self._outputs(file)
        left = found if written else self._last(file).get("wrote")
        self._write(file, {"stamp": stamp, "error": error, "found": found, "wrote": left})

    def _write(self, file: PlannedFile, facts: Mapping[str, Any]) -> None:
        same = {"input": _identity(file), "options": self.options, "version": __version__}
        self.out.write(_name(file), {**same, **facts})


def _name(file: PlannedFile) -> str:
    return f"records/{file.name}.json"


def _identity(file: PlannedFile) -> str:
    """Return what tells an input from others of the same size and time."""
    text = input_path(file.input)
    return text if is_url(text) else str(file.input.resolve())
