"""Manifests of files that a cluster renders: with them a new driver goes on after a crash.

A manifest is a private folder of the output folder: ``file.json`` says what is rendered, ``done-N.json`` and
``failed-N.json`` are finished and failed segments. The parts of finished segments lie beside them until their
file is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from livematte.farm.out_dir import OutDir
from livematte.offline.worker import SegmentResult
from livematte.video.concat import EncodedPart

FOLDER = "farm"
"""Private folder of all manifests."""

CANCEL = "cancel.json"
"""Name of the private file that asks the driver to stop."""

_HEADER = "file.json"


@dataclass
class Manifest:
    """The manifest of one file.

    Attributes:
        name: name of its private folder.
        done: results by number of the segment; paths of parts are private names.
    """

    out: OutDir
    name: str
    done: dict[int, SegmentResult] = field(default_factory=dict)

    def finish(self, number: int, result: SegmentResult) -> SegmentResult:
        """Keep the parts of a segment and write down that it is done. Raises OSError, OutputError."""
        parts = []
        for index, part in enumerate(result.parts):
            name = f"{self.name}/{number}-{index}{part.path.suffix}"
            parts.append(replace(part, path=self.out.part(name, part.path) if part.times else Path(name)))
        self.done[number] = replace(result, parts=tuple(parts))
        self.out.write(f"{self.name}/done-{number}.json", _encode(self.done[number]))
        return self.done[number]

    def fail(self, number: int, error: str, section: str) -> None:
        """Write down that a segment failed in all attempts."""
        self.out.write(f"{self.name}/failed-{number}.json", {"error": error, "section": section})

    def remove(self) -> None:
        """Remove parts and manifest, when the file is complete."""
        for name in sorted(self.out.names(self.name), key=lambda name: name == _HEADER):
            self.out.remove(f"{self.name}/{name}")


def manifest_name(file: str) -> str:
    """Return the name of the private folder of a manifest, for the name of a file in the output folder."""
    return f"{FOLDER}/{hashlib.sha256(file.encode()).hexdigest()[:16]}"


def read_manifest(out: OutDir, file: str, facts: Mapping[str, Any]) -> Manifest:
    """Return the manifest of a file, without changes: what is done, if it was made from the same ``facts``.

    Args:
        file: name of the file in the output folder.
        facts: all that the parts depend on, as JSON.
    """
    manifest = Manifest(out, manifest_name(file))
    if out.read(f"{manifest.name}/{_HEADER}") != _header(file, facts):
        return manifest
    names = out.names(manifest.name)
    for number, stored in _entries(manifest, names, "done"):
        result = _decode(stored)
        if {part.path.name for part in result.parts if part.times} <= set(names):
            manifest.done[number] = result
    return manifest


def open_manifest(out: OutDir, file: str, facts: Mapping[str, Any]) -> Manifest:
    """Return the manifest of a file as :func:`read_manifest`; what does not belong to it is removed."""
    manifest = read_manifest(out, file, facts)
    kept = {part.path.name for result in manifest.done.values() for part in result.parts}
    kept |= {_HEADER, *(f"done-{number}.json" for number in manifest.done)}
    out.write(f"{manifest.name}/{_HEADER}", _header(file, facts))
    for name in out.names(manifest.name):
        if name not in kept:
            out.remove(f"{manifest.name}/{name}")
    return manifest


def read_segments(out: OutDir, name: str) -> tuple[Any, list[int], dict[int, Any]]:
    """Return the header of a manifest (None if there is none), finished segments, and the failed ones."""
    manifest, names = Manifest(out, f"{FOLDER}/{name}"), out.names(f"{FOLDER}/{name}")
    done = sorted(int(each[5:-5]) for each in names if each.startswith("done-") and each.endswith(".json"))
    failed = {number: entry for number, entry in _entries(manifest, names, "failed") if number not in done}
    return out.read(f"{manifest.name}/{_HEADER}"), done, failed


def _header(file: str, facts: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps({"name": file, **facts}))


def _entries(manifest: Manifest, names: list[str], kind: str) -> Iterator[tuple[int, Any]]:
    for name in names:
        number = name.removeprefix(f"{kind}-").removesuffix(".json")
        if name == f"{kind}-{number}.json" and number.isdecimal():
            entry = manifest.out.read(f"{manifest.name}/{name}")
            if entry is not None:
                yield int(number), entry


def _encode(result: SegmentResult) -> dict[str, Any]:
    parts = [{"path": part.path.as_posix(), "times": part.times} for part in result.parts]
    return {**vars(result), "parts": parts}


def _decode(stored: Mapping[str, Any]) -> SegmentResult:
    parts = tuple(
        EncodedPart(Path(part["path"]), tuple((pts, length) for pts, length in part["times"]))
        for part in stored["parts"]
    )
    return SegmentResult(**{**stored, "parts": parts, "notes": tuple(stored["notes"])})
