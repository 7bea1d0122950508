"""Pictures and clips whose true alpha is known, read from a folder for judging a model by.

Five kinds of folder are told apart by what is in them:

- people, as trained on: packed (``index.json``) or as they are (``people/``, ``alpha/``, ``backgrounds/``,
  ``split.json``); the held-out people are put into rooms that no training sees, so the truth is exact;
- the folders ``cutouts`` and ``cutclips`` of such people: who is held out, on rooms that no training sees, by
  alphas that no network made (:mod:`livematte.evaluation.true_alpha`);
- pairs: ``image/`` and ``alpha/`` with files of the same stem, pictures or videos or folders of frames; a
  ``foreground/`` and a ``trimap/`` beside them are used too;
- a data set of the field as people have it on disk (:mod:`livematte.training.datasets`): its validation
  photographs;
- clips: a folder for each, in it such a pair of frame folders or of videos (``image.mp4``, ``alpha.mp4``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from livematte.errors import InputError, UsageError
from livematte.evaluation.true_alpha import clip_cases, still_cases
from livematte.evaluation.truth import (
    STILLS,
    VIDEOS,
    Case,
    Truth,
    read_alpha,
    read_alphas,
    read_pictures,
    read_rgb,
    unit,
)
from livematte.training.augment import validation_picture
from livematte.training.cutouts import CUTCLIPS, CUTOUTS
from livematte.training.data import PeopleStore, Person, Picture, is_validation_room
from livematte.training.datasets import find_layout, samples
from livematte.training.foregrounds import blur_fusion

IMAGES = ("image", "images", "img", "rgb", "input", "com", "merged", "original", "fgr")
ALPHAS = ("alpha", "alphas", "pha", "matte", "mattes", "mask", "masks", "gt")
FOREGROUNDS = ("foreground", "foregrounds", "fgr", "fg")
TRIMAPS = ("trimap", "trimaps")
"""Names of folders and files, in order of preference; capitals do not matter."""

SPLITS = {"train", "training", "val", "valid", "validation", "test", "eval"}

CLIP = 6
"""Frames of a person made to move; six of a walk are enough for a mean change."""


def find_cases(data: Path, *, moving: bool = False) -> list[Case]:
    """All there is in ``data``, sorted by name.

    Args:
        moving: of people, clips of :data:`CLIP` frames in which they walk, instead of pictures; of
            ``cutclips``, a room seen by a hand-held camera instead of one that stands still.

    Raises:
        InputError: no such folder, or nothing in it has a true alpha.
    """
    if not data.is_dir():
        raise InputError(f"{data}: no such folder; give one with true alphas")
    if data.name == CUTOUTS and (data.parent / f"{CUTOUTS}.json").is_file():
        return still_cases(data.parent)
    if data.name == CUTCLIPS and any(data.glob("*_alpha.mp4")):
        return clip_cases(data.parent, moving=moving)
    store = _people(data)
    if store is not None:
        return moving_cases(store) if moving else people_cases(store)
    folders = sorted(folder for folder in data.iterdir() if folder.is_dir())
    cases = _paired(data) or _data_set(data) or [case for folder in folders for case in _clip(folder)]
    if not cases:
        raise InputError(
            f"{data} has no pictures with a true alpha: it needs image/ and alpha/ with files of the same "
            "names, a folder with such a pair for each clip, or people/, alpha/, backgrounds/ and split.json"
        )
    return cases


def spread(cases: Sequence[Case], count: int | None) -> list[Case]:
    """``count`` of them, evenly spread, always the same ones; all where there are not so many."""
    if count is None or count >= len(cases):
        return list(cases)
    return [cases[number] for number in np.linspace(0, len(cases) - 1, count).round().astype(int)]


# People who are put into rooms


def _people(data: Path) -> PeopleStore | None:
    if (data / "index.json").is_file():
        store = PeopleStore(data, validation=True).only("photograph")
    elif (data / "split.json").is_file() and (data / "people").is_dir():
        store = LoosePeople(data)
    else:
        return None
    if not store.people or not store.rooms:
        raise InputError(f"{data} holds nobody out of training, or no room: there is nothing to judge by")
    return store


class LoosePeople(PeopleStore):
    """The held-out people and rooms of a folder that was not packed; they come out the same."""

    def __init__(self, data: Path) -> None:
        held_out = set(json.loads((data / "split.json").read_text(encoding="utf-8"))["val"])
        self._data = data
        self.people: list[dict[str, Any]] = [
            {"name": file.stem, "kind": "photograph"}
            for file in sorted((data / "people").glob("*.jpg"))
            if file.stem in held_out and (data / "alpha" / f"{file.stem}.png").is_file()
        ]
        rooms = sorted((data / "backgrounds").glob("*.jpg"))
        self.rooms: list[dict[str, Any]] = [{"name": r.stem} for r in rooms if is_validation_room(r.stem)]

    def person(self, number: int) -> Person:
        """The person at ``number`` in :attr:`people`."""
        name = self.people[number]["name"]
        image = read_rgb(self._data / "people" / f"{name}.jpg")
        alpha = np.rint(read_alpha(self._data / "alpha" / f"{name}.png") * 255).astype(np.uint8)
        return Person(name, image, blur_fusion(image, alpha), alpha)

    def keypoints(self, number: int) -> None:
        """Nobody is judged by them."""

    def room(self, number: int) -> Picture:
        """(H, W, 3) uint8 RGB."""
        return read_rgb(self._data / "backgrounds" / f"{self.rooms[number]['name']}.jpg")


def people_cases(store: PeopleStore) -> list[Case]:
    """Each person on an unseen room."""

    def frames(number: int) -> Iterator[Truth]:
        rgb, alpha, foreground = validation_picture(store, number)
        yield Truth(rgb, unit(alpha), foreground)

    return [Case(entry["name"], _of(frames, number)) for number, entry in enumerate(store.people)]


def moving_cases(store: PeopleStore) -> list[Case]:
    """Each person moving 2 pixels a frame over an unseen room that stands still, with sensor noise."""

    def frames(number: int) -> Iterator[Truth]:
        rng = np.random.default_rng(number)
        person = store.person(number)
        room = store.room(int(rng.integers(len(store.rooms))))
        rows, columns = person.alpha.shape
        background = cv2.resize(room, (columns, rows)).astype(np.float32)
        for step in range(CLIP):
            shift = np.array([[1, 0, 2.0 * step - CLIP], [0, 1, 0]], np.float64)
            moved = [
                cv2.warpAffine(plane, shift, (columns, rows), borderMode=cv2.BORDER_REPLICATE)
                for plane in (person.alpha, person.foreground)
            ]
            alpha, foreground = unit(np.asarray(moved[0], np.uint8)), np.asarray(moved[1], np.uint8)
            scene = background + alpha[..., None] * (foreground - background)
            noisy = np.clip(scene + rng.normal(0, 3, scene.shape) + 0.5, 0, 255).astype(np.uint8)
            yield Truth(noisy, alpha, foreground)

    return [Case(entry["name"], _of(frames, number)) for number, entry in enumerate(store.people)]


def _of(frames: Callable[[int], Iterator[Truth]], number: int) -> Callable[[], Iterator[Truth]]:
    return lambda: frames(number)


# Pairs of files


@dataclass(frozen=True)
class _Paths:
    """Where one case lies: files of pictures or videos, or folders of frames."""

    image: Path
    alpha: Path
    foreground: Path | None
    trimap: Path | None


def _children(folder: Path) -> dict[str, Path]:
    """What can be read in ``folder``, by stem: pictures, videos and folders."""
    return {
        path.stem if path.is_file() else path.name: path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in STILLS | VIDEOS)
    }


def _pair(folder: Path) -> _Paths | None:
    """Picture and alpha that lie in ``folder``, each as a folder or as a file."""
    there = {name.lower(): path for name, path in _children(folder).items()}

    def first(names: tuple[str, ...], *taken: Path | None) -> Path | None:
        return next((there[name] for name in names if name in there and there[name] not in taken), None)

    image, alpha = first(IMAGES), first(ALPHAS)
    if image is None or alpha is None:
        return None
    return _Paths(image, alpha, first(FOREGROUNDS, image), first(TRIMAPS))


def _paired(data: Path) -> list[Case]:
    """A case for each stem that the image folder and the alpha folder share."""
    pair = _pair(data)
    if pair is None:
        return []
    kinds = {name: _children(path) for name, path in vars(pair).items() if path is not None and path.is_dir()}
    if "image" not in kinds or "alpha" not in kinds:
        return [_case(data.resolve().name, pair)]
    names = [name for name in kinds["image"] if name in kinds["alpha"]]
    if not names:
        raise InputError(f"no file in {pair.image} has the name of one in {pair.alpha}")
    return [
        _case(name, _Paths(*(kinds.get(kind, {}).get(name) for kind in vars(pair))))  # type: ignore[arg-type]
        for name in names
    ]


def _data_set(data: Path) -> list[Case]:
    """The validation photographs of a data set; nothing where ``data`` is none, or may be clips."""
    try:
        layout = find_layout(data)
    except UsageError:
        return []
    split = any(folder.name.lower() in SPLITS for folder in data.iterdir() if folder.is_dir())
    if layout in ("image-alpha", "foreground-alpha") and not split:
        return []
    found = [sample for sample in samples(data, layout) if sample.split == "val" and sample.alpha is not None]
    if found and not any(sample.image for sample in found):
        raise InputError(
            f"{data} ({layout}) has foregrounds without pictures: name its folder with frames and alphas, or "
            "what livematte train packed of it"
        )
    return [
        _case(sample.name, _Paths(sample.image, sample.alpha, None, sample.trimap))
        for sample in found
        if sample.image is not None and sample.alpha is not None and sample.frame is None
    ]


def _clip(folder: Path) -> list[Case]:
    pair = _pair(folder)
    return [] if pair is None else [_case(folder.name, pair)]


def _case(name: str, paths: _Paths) -> Case:
    def frames() -> Iterator[Truth]:
        alphas = read_alphas(paths.alpha)
        foregrounds = read_pictures(paths.foreground) if paths.foreground else None
        trimaps = read_alphas(paths.trimap) if paths.trimap else None
        for number, rgb in enumerate(read_pictures(paths.image), 1):
            where = f"{paths.image}, frame {number}"
            alpha = next(alphas, None)
            if alpha is None:
                raise InputError(f"{where}: {paths.alpha} has no alpha for it")
            foreground = next(foregrounds, None) if foregrounds is not None else None
            trimap = next(trimaps, None) if trimaps is not None else None
            for other in (alpha, foreground, trimap):
                if other is not None and other.shape[:2] != rgb.shape[:2]:
                    raise InputError(
                        f"{where} is {rgb.shape[1]} x {rgb.shape[0]}, what is true of it "
                        f"{other.shape[1]} x {other.shape[0]}: they must be of one size"
                    )
            yield Truth(
                rgb, alpha, foreground, None if trimap is None else np.rint(trimap * 255).astype(np.uint8)
            )

    return Case(name, frames)
