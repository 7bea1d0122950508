"""Packed training data: people and backgrounds ("rooms") in a memory-mapped cache.

:mod:`livematte.training.packing` writes a cache. It consists of ``people.bin``, ``rooms.bin``, ``index.json``
and, if there are keypoints, ``pose.json``. People are stored as picture, straight foreground and alpha, so
that composites do not contain colours of the original background.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from livematte.errors import InputError, UsageError

FORMAT = 3
"""Version of the cache format, ``format`` in ``index.json``; caches of other versions are packed again."""

Kind = Literal["photograph", "cutout", "clip"]
"""Source of a person. Only a photograph has a real background; the others are always composited."""

SHARES: Mapping[str, float] = {"photograph": 0.45, "cutout": 0.45, "clip": 0.10}
"""Sampling probability of each kind if a cache has several; within a kind, sampling is uniform."""

Picture = NDArray[np.uint8]

Keypoints = NDArray[np.float32]
"""(25, 3): x and y in pixels and visibility in [0, 1] of one person's joints, in BODY_25 order."""


@dataclass(frozen=True)
class Person:
    """One person; all arrays are uint8 with the same height and width."""

    name: str
    image: Picture
    """(H, W, 3) RGB, the original picture."""
    foreground: Picture
    """(H, W, 3) straight RGB of the person, extended to pixels with alpha 0."""
    alpha: Picture
    """(H, W) 0..255."""
    scale: float = 1.0
    """Size of these arrays relative to the source file."""


def is_validation_room(name: str) -> bool:
    """Return True for backgrounds in the validation split: one in eight, selected by a hash of the name."""
    return zlib.crc32(name.encode()) % 8 == 0


def read_index(cache: Path) -> dict[str, Any] | None:
    """Read ``index.json`` of a cache; return None if the cache has another :data:`FORMAT`.

    Raises:
        InputError: the file does not exist or cannot be read.
    """
    file = cache / "index.json"
    try:
        index: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    return index if index.get("format") == FORMAT else None


class PeopleStore:
    """People, keypoints and backgrounds of one split of a packed cache, memory-mapped.

    Raises:
        UsageError: the cache has another :data:`FORMAT`.
        InputError: the cache does not exist, or its index cannot be read.
    """

    shares: Mapping[str, float] = SHARES
    _indices: dict[str, list[int]] | None = None

    def __init__(self, cache: Path, validation: bool = False) -> None:
        index = read_index(cache)
        if index is None:
            raise UsageError(
                f"{cache} was packed by another version of livematte: pack its data again (livematte train)"
            )
        self.people = [p for p in index["people"] if p["val"] == validation]
        self.rooms = [r for r in index["rooms"] if r["val"] == validation]
        self._people = np.memmap(cache / "people.bin", np.uint8, "r")
        self._rooms = np.memmap(cache / "rooms.bin", np.uint8, "r")
        pose = cache / "pose.json"
        self._pose = json.loads(pose.read_text(encoding="utf-8")) if pose.exists() else {}

    def only(self, kind: Kind) -> PeopleStore:
        """Return a store with only people of one kind; with all people if there are none of this kind."""
        other = copy(self)
        other.people = [entry for entry in self.people if entry["kind"] == kind] or self.people
        other._indices = None
        return other

    def indices_by_kind(self) -> dict[str, list[int]]:
        """Return the indices in :attr:`people` for each kind that occurs."""
        if self._indices is None:
            self._indices = {}
            for number, entry in enumerate(self.people):
                self._indices.setdefault(entry["kind"], []).append(number)
        return self._indices

    def draw(self, rng: np.random.Generator, *, whole: bool = False) -> int:
        """Draw an index in :attr:`people`: first a kind according to :attr:`shares`, then a person uniformly.

        Args:
            whole: draw only photographs, if there are any.
        """
        indices = self.indices_by_kind()
        weights = {kind: self.shares.get(kind, 0.0) for kind in indices}
        if whole and "photograph" in indices:
            weights = {"photograph": 1.0}
        kinds = [kind for kind, weight in weights.items() if weight > 0] or list(indices)
        kind = kinds[0]
        if len(kinds) > 1:
            shares = np.array([weights[kind] for kind in kinds])
            kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
        return indices[kind][int(rng.integers(len(indices[kind])))]

    def person(self, number: int) -> Person:
        """Return the person with index ``number`` in :attr:`people`; the arrays are views of the file."""
        entry = self.people[number]
        height, width = entry["shape"]
        area, start = height * width, entry["offset"]
        planes = self._people[start : start + 7 * area]
        return Person(
            entry["name"],
            planes[: 3 * area].reshape(height, width, 3),
            planes[3 * area : 6 * area].reshape(height, width, 3),
            planes[6 * area :].reshape(height, width),
        )

    def keypoints(self, number: int) -> Keypoints | None:
        """Return the joints of the person with index ``number``; None if there are no annotations."""
        joints = self._pose.get(self.people[number]["name"])
        return None if joints is None else np.asarray(joints, np.float32)

    def room(self, number: int) -> Picture:
        """Return background ``number``: (H, W, 3) uint8 RGB, a view of the file."""
        entry = self.rooms[number]
        height, width = entry["shape"]
        start = entry["offset"]
        return self._rooms[start : start + 3 * height * width].reshape(height, width, 3)
