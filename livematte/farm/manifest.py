"""Manifests of files that a cluster renders: with them a new driver goes on after a crash.

A manifest is a text file with one JSON object per line, in the private folder of the output folder. The
first line says what is rendered; each further line is a finished or failed segment. The parts of finished
segments lie beside it until their file is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from livematte.farm.files import PRIVATE
from livematte.offline.worker import SegmentResult
from livematte.video.concat import EncodedPart

CANCEL = "cancel"
"""Name of the file in the private folder that asks the driver to stop."""


def manifest_folder(out_dir: Path) -> Path:
    """Return the folder of all manifests of an output folder."""
    return out_dir / PRIVATE / "farm"


@dataclass
class Manifest:
    """The manifest of one file.

    Attributes:
        folder: folder of the manifest and the parts.
        done: results by number of the segment.
    """

    folder: Path
    done: dict[int, SegmentResult]

    @property
    def path(self) -> Path:
        """The manifest itself."""
        return self.folder / "manifest.jsonl"

    def finish(self, number: int, result: SegmentResult) -> SegmentResult:
        """Move the parts of a segment into the folder and write down that it is done."""
        parts = []
        for index, part in enumerate(result.parts):
            path = self.folder / f"{number}-{index}{part.path.suffix}"
            if part.times:
                os.replace(part.path, path)
            parts.append(EncodedPart(path, part.times))
        self.done[number] = replace(result, parts=tuple(parts))
        self._append({"done": number, "result": _encode(self.done[number])})
        return self.done[number]

    def fail(self, number: int, error: str, section: str) -> None:
        """Write down that a segment failed in all attempts."""
        self._append({"failed": number, "error": error, "section": section})

    def _append(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Remove parts and manifest, when the file is complete."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path == self.path):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def open_manifest(out_dir: Path, name: str, facts: Mapping[str, Any]) -> Manifest:
    """Open the manifest of a file; what is done is kept if it was made from the same ``facts``.

    Args:
        name: name of the file in the output folder.
        facts: all that the parts depend on, as JSON.
    """
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    folder = manifest_folder(out_dir) / key
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(folder, {})
    lines = read_lines(manifest.path)
    header = {"name": name, **facts}
    same = bool(lines) and lines[0] == json.loads(json.dumps(header))
    for line in lines[1:] if same else []:
        if "done" in line:
            result = _decode(line["result"], folder)
            if all(part.path.is_file() for part in result.parts if part.times):
                manifest.done[line["done"]] = result
    kept = {part.path for result in manifest.done.values() for part in result.parts}
    for path in folder.iterdir():
        if path not in kept and path != manifest.path:
            path.unlink()
    new = folder / "manifest.new"
    entries = [header, *({"done": n, "result": _encode(r)} for n, r in manifest.done.items())]
    new.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    os.replace(new, manifest.path)
    return manifest


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a manifest; a last line that a crash has cut off is left out."""
    lines = []
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="utf-8").splitlines():
            lines.append(json.loads(line))
    return lines


def _encode(result: SegmentResult) -> dict[str, Any]:
    parts = [{"name": part.path.name, "times": part.times} for part in result.parts]
    return {**vars(result), "parts": parts}


def _decode(stored: Mapping[str, Any], folder: Path) -> SegmentResult:
    parts = tuple(
        EncodedPart(folder / part["name"], tuple((pts, length) for pts, length in part["times"]))
        for part in stored["parts"]
    )
    return SegmentResult(**{**stored, "parts": parts, "notes": tuple(stored["notes"])})
