"""People and rooms for training, packed once so that a crop costs milliseconds.

The folder layout is that of ``people/*.jpg``, ``alpha/*.png``, ``backgrounds/*.jpg`` and ``split.json``;
:func:`pack` decodes it into two flat files that are memory-mapped, with straight foreground colours
already estimated, so that a person cut out of one picture does not bring its old background along.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.training.datasets import files_of, with_layouts

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


def _blur_fusion(image: Picture, alpha: Picture, radius: int) -> Picture:
    """Straight foreground colours (Forte 2021, "Approximate Fast Foreground Colour Estimation")."""
    i = image.astype(np.float32)
    foreground, background = i, i
    a = (alpha.astype(np.float32) / 255)[..., None]
    for size in (radius, max(3, radius // 9)):
        k = (2 * size + 1, 2 * size + 1)
        blurred_a = cv2.blur(a, k)[..., None]
        f_mean = cv2.blur(foreground * a, k) / (blurred_a + 1e-4)
        b_mean = cv2.blur(background * (1 - a), k) / (1 - blurred_a + 1e-4)
        known = np.clip(blurred_a * 8, 0, 1)
        f_mean = known * f_mean + (1 - known) * i
        foreground = np.clip(f_mean + a * (i - a * f_mean - (1 - a) * b_mean), 0, 255)
        background = np.clip(b_mean, 0, 255)
    return foreground.astype(np.uint8)


def is_validation_room(name: str) -> bool:
    """One room in eight, by hash of its file name, is kept out of training."""
    return zlib.crc32(name.encode()) % 8 == 0


def pack(data: Path, cache: Path) -> Path:
    """Decode ``data`` into ``cache`` (about 5 GB) unless that was done before; gives ``cache``.

    Keypoints, where ``data`` has ``pose.json`` (name to 25 x [x, y, visibility]), come along. A folder
    without ``split.json`` is a data set of another layout: :mod:`livematte.training.packing` knows those.

    Raises:
        UsageError: ``data`` is of no known layout.
        InputError: its files are of no use.
    """
    index_file = cache / "index.json"
    cache.mkdir(parents=True, exist_ok=True)
    if (data / "pose.json").exists() and not (cache / "pose.json").exists():
        shutil.copyfile(data / "pose.json", cache / "pose.json")
    if index_file.exists():
        return cache
    if not (data / "split.json").exists():
        from livematte.training.packing import pack_folders

        return pack_folders([data], cache)
    split = json.loads((data / "split.json").read_text())
    validation = set(split["val"])
    index: dict[str, list[dict[str, Any]]] = {"people": [], "rooms": []}
    offset = 0
    with open(cache / "people.bin", "wb") as out:
        for file in sorted((data / "people").glob("*.jpg")):
            image = cv2.imread(str(file))
            alpha = cv2.imread(str(data / "alpha" / f"{file.stem}.png"), cv2.IMREAD_GRAYSCALE)
            if image is None or alpha is None or file.stem not in validation | set(split["train"]):
                continue
            rgb: Picture = np.ascontiguousarray(image[..., ::-1], np.uint8)
            alpha8: Picture = np.asarray(alpha, np.uint8)
            box = cv2.boundingRect((alpha8 > 25).astype(np.uint8))
            out.write(rgb.tobytes() + _blur_fusion(rgb, alpha8, 45).tobytes() + alpha8.tobytes())
            index["people"].append(
                {
                    "name": file.stem,
                    "shape": alpha.shape,
                    "offset": offset,
                    "box": box,
                    "val": file.stem in validation,
                }
            )
            offset += alpha.size * 7
    offset = 0
    with open(cache / "rooms.bin", "wb") as out:
        for file in sorted((data / "backgrounds").glob("*.jpg")):
            image = cv2.imread(str(file))
            if image is None:
                continue
            out.write(np.ascontiguousarray(image[..., ::-1]).tobytes())
            index["rooms"].append(
                {
                    "name": file.stem,
                    "shape": image.shape[:2],
                    "offset": offset,
                    "val": is_validation_room(file.stem),
                }
            )
            offset += image.size
    index_file.write_text(json.dumps(index))
    return cache


class PeopleStore:
    """The packed people and rooms of one split, memory-mapped; keypoints where the cache has them."""

    def __init__(self, cache: Path, validation: bool = False) -> None:
        index = json.loads((cache / "index.json").read_text())
        self.people = [p for p in index["people"] if p["val"] == validation]
        self.rooms = [r for r in index["rooms"] if r["val"] == validation]
        self._people = np.memmap(cache / "people.bin", np.uint8, "r")
        self._rooms = np.memmap(cache / "rooms.bin", np.uint8, "r")
        pose = cache / "pose.json"
        self._pose = json.loads(pose.read_text(encoding="utf-8")) if pose.exists() else {}

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


def data_hash(*folders: Path, layouts: Sequence[str] = ("auto",), backgrounds: Path | None = None) -> str:
    """What a card names the data by: sha256 over the names and sizes of its files.

    Arguments and errors as for :func:`livematte.training.packing.pack_folders`.
    """
    digest = hashlib.sha256()
    files = [pair for folder, layout in with_layouts(folders, layouts) for pair in files_of(folder, layout)]
    if backgrounds is not None:
        rooms = sorted(file for file in backgrounds.rglob("*") if file.is_file())
        files += [(file.relative_to(backgrounds).as_posix(), file) for file in rooms]
    for name, file in files:
        digest.update(f"{name} {file.stat().st_size}\n".encode())
    return digest.hexdigest()
