"""Values that training works on: a person, a packed cache of people and rooms.

A cache is ``people.bin`` and ``rooms.bin``, memory-mapped, with ``index.json`` and, where keypoints are
known, ``pose.json``; :mod:`livematte.training.packing` writes it. A person is stored as picture, straight
foreground colours and alpha, so that a cut-out does not bring its old background along.
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
"""Version of the cache, ``format`` in ``index.json``; a cache of another version is packed anew."""

Kind = Literal["photograph", "cutout", "clip"]
"""What somebody was packed from. Only a photograph is a whole picture: the others have a background of no
meaning and are composited, never shown as they are."""

SHARES: Mapping[str, float] = {"photograph": 0.45, "cutout": 0.45, "clip": 0.10}
"""How often each kind is drawn where a cache has several; within a kind all people are as likely."""

Picture = NDArray[np.uint8]

Keypoints = NDArray[np.float32]
"""(25, 3): x and y in pixels and visibility in [0, 1] of one person's joints, in BODY_25 order."""


@dataclass(frozen=True)
class Person:
    """One photograph: all arrays uint8, same height and width."""

    name: str
    image: Picture
    """(H, W, 3) RGB as photographed."""
    foreground: Picture
    """(H, W, 3) straight RGB of the person, also beyond the alpha."""
    alpha: Picture
    """(H, W) 0..255."""
    scale: float = 1.0
    """Its size by that of the file it came from."""


def is_validation_room(name: str) -> bool:
    """One room in eight, by hash of its file name, is kept out of training."""
    return zlib.crc32(name.encode()) % 8 == 0


def read_index(cache: Path) -> dict[str, Any] | None:
    """``index.json`` of a cache; None where it is of another :data:`FORMAT`.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    file = cache / "index.json"
    try:
        index: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    return index if index.get("format") == FORMAT else None


class PeopleStore:
    """The packed people and rooms of one split, memory-mapped; keypoints where the cache has them.

    Raises:
        UsageError: the cache is of another :data:`FORMAT`.
        InputError: there is no cache, or its index cannot be read.
    """

    shares: Mapping[str, float] = SHARES
    _places: dict[str, list[int]] | None = None

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
        """The people of one kind; all of them where there are none of it."""
        other = copy(self)
        other.people = [entry for entry in self.people if entry["kind"] == kind] or self.people
        other._places = None
        return other

    def places(self) -> dict[str, list[int]]:
        """Of each kind that is there: the places in :attr:`people`."""
        if self._places is None:
            self._places = {}
            for number, entry in enumerate(self.people):
                self._places.setdefault(entry["kind"], []).append(number)
        return self._places

    def draw(self, rng: np.random.Generator, *, whole: bool = False) -> int:
        """A place in :attr:`people`: a kind by :attr:`shares`, then anybody of it.

        Args:
            whole: photographs alone, where there are any.
        """
        places = self.places()
        weights = {kind: self.shares.get(kind, 0.0) for kind in places}
        if whole and "photograph" in places:
            weights = {"photograph": 1.0}
        kinds = [kind for kind, weight in weights.items() if weight > 0] or list(places)
        kind = kinds[0]
        if len(kinds) > 1:
            shares = np.array([weights[kind] for kind in kinds])
            kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
        return places[kind][int(rng.integers(len(places[kind])))]

    def person(self, number: int) -> Person:
        """The person at ``number`` in :attr:`people`; the arrays are views of the file."""
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
        """The joints of the person at ``number``; None where nobody marked them."""
        found = self._pose.get(self.people[number]["name"])
        return None if found is None else np.asarray(found, np.float32)

    def room(self, number: int) -> Picture:
        """(H, W, 3) uint8 RGB, a view of the file."""
        entry = self.rooms[number]
        height, width = entry["shape"]
        start = entry["offset"]
        return self._rooms[start : start + 3 * height * width].reshape(height, width, 3)
