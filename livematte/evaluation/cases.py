"""Read evaluation cases, which are pictures and clips with ground-truth alpha, from a folder.

Five kinds of folders are recognised by their contents:

- People in the training layout: packed (``index.json``) or unpacked (``people/``, ``alpha/``,
  ``backgrounds/``, ``split.json``). Validation people are composited on validation backgrounds, so the ground
  truth is exact.
- The folders ``cutouts`` and ``cutclips`` beside such people: validation people on validation backgrounds,
  with alpha that was not made by a network (:mod:`livematte.evaluation.true_alpha`).
- Pairs: ``image/`` and ``alpha/`` contain files with the same stems, which are pictures, videos or folders of
  frames. ``foreground/`` and ``trimap/`` beside them are optional.
- A public data set in a known layout (:mod:`livematte.training.datasets`): its validation photographs.
- Clips: one folder for each clip, with a pair of frame folders or of videos (``image.mp4``, ``alpha.mp4``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
from livematte.training.split_file import read_split

IMAGES = ("image", "images", "img", "rgb", "input", "com", "merged", "original", "fgr")
ALPHAS = ("alpha", "alphas", "pha", "matte", "mattes", "mask", "masks", "gt")
FOREGROUNDS = ("foreground", "foregrounds", "fgr", "fg")
TRIMAPS = ("trimap", "trimaps")
"""Names of folders and files in order of preference; the comparison ignores case."""

SPLITS = {"train", "training", "val", "valid", "validation", "test", "eval"}

CLIP = 6
"""Number of frames of a clip made from one still person."""


def find_cases(data: Path, *, moving: bool = False) -> list[Case]:
    """Return all cases in ``data``, sorted by name.

    Args:
        moving: for people, return clips of :data:`CLIP` frames in which the person moves, instead of
            pictures; for ``cutclips``, simulate a hand-held camera instead of a static one.

    Raises:
        InputError: the folder does not exist, or contains no picture with ground-truth alpha.
    """
    if not data.is_dir():
        raise InputError(f"{data}: no such folder; use a folder with pictures and their true alphas")
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
    """Return ``count`` evenly spaced cases, always the same ones; all cases if there are fewer."""
    if count is None or count >= len(cases):
        return list(cases)
    return [cases[number] for number in np.linspace(0, len(cases) - 1, count).round().astype(int)]


# People composited on backgrounds


def _people(data: Path) -> PeopleStore | None:
    if (data / "index.json").is_file():
        store = PeopleStore(data, validation=True).only("photograph")
    elif (data / "split.json").is_file() and (data / "people").is_dir():
        store = LoosePeople(data)
    else:
        return None
    if not store.people or not store.rooms:
        raise InputError(
            f"{data} has no validation people or no validation backgrounds: add some, or use another folder"
        )
    return store


class LoosePeople(PeopleStore):
    """The validation people and backgrounds of an unpacked folder, with the interface of a packed one."""

    def __init__(self, data: Path) -> None:
        held_out = set(read_split(data / "split.json")["val"])
        self._data = data
        self.people: list[dict[str, Any]] = [
            {"name": file.stem, "kind": "photograph"}
            for file in sorted((data / "people").glob("*.jpg"))
            if file.stem in held_out and (data / "alpha" / f"{file.stem}.png").is_file()
        ]
        rooms = sorted((data / "backgrounds").glob("*.jpg"))
        self.rooms: list[dict[str, Any]] = [{"name": r.stem} for r in rooms if is_validation_room(r.stem)]

    def person(self, number: int) -> Person:
        """Return the person with index ``number`` in :attr:`people`."""
        name = self.people[number]["name"]
        image = read_rgb(self._data / "people" / f"{name}.jpg")
        alpha = np.rint(read_alpha(self._data / "alpha" / f"{name}.png") * 255).astype(np.uint8)
        return Person(name, image, blur_fusion(image, alpha), alpha)

    def keypoints(self, number: int) -> None:
        """Return None: evaluation needs no keypoints."""

    def room(self, number: int) -> Picture:
        """Return background ``number``: (H, W, 3) uint8 RGB."""
        return read_rgb(self._data / "backgrounds" / f"{self.rooms[number]['name']}.jpg")


def people_cases(store: PeopleStore) -> list[Case]:
    """Return one picture for each person, composited on a validation background."""

    def frames(number: int) -> Iterator[Truth]:
        rgb, alpha, foreground = validation_picture(store, number)
        yield Truth(rgb, unit(alpha), foreground)

    return [Case(entry["name"], partial(frames, number)) for number, entry in enumerate(store.people)]


def moving_cases(store: PeopleStore) -> list[Case]:
    """Return one clip for each person.

    The person moves 2 pixels per frame over a static validation background; sensor noise is added.
    """

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

    return [Case(entry["name"], partial(frames, number)) for number, entry in enumerate(store.people)]


# Pairs of files


@dataclass(frozen=True)
class _Paths:
    """Paths of one case: pictures, videos or folders of frames."""

    image: Path
    alpha: Path
    foreground: Path | None
    trimap: Path | None


def _children(folder: Path) -> dict[str, Path]:
    """Map stems to the pictures, videos and folders in ``folder``."""
    return {
        path.stem if path.is_file() else path.name: path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in STILLS | VIDEOS)
    }


def _pair(folder: Path) -> _Paths | None:
    """Return the image and alpha in ``folder``, each a folder or a file; None if one is missing."""
    there = {name.lower(): path for name, path in _children(folder).items()}

    def first(names: tuple[str, ...], *taken: Path | None) -> Path | None:
        return next((there[name] for name in names if name in there and there[name] not in taken), None)

    image, alpha = first(IMAGES), first(ALPHAS)
    if image is None or alpha is None:
        return None
    return _Paths(image, alpha, first(FOREGROUNDS, image), first(TRIMAPS))


def _paired(data: Path) -> list[Case]:
    """Return one case for each stem that is in both the image folder and the alpha folder."""
    pair = _pair(data)
    if pair is None:
        return []
    kinds = {name: _children(path) for name, path in vars(pair).items() if path is not None and path.is_dir()}
    if "image" not in kinds or "alpha" not in kinds:
        return [_case(data.resolve().name, pair)]
    names = [name for name in kinds["image"] if name in kinds["alpha"]]
    if not names:
        raise InputError(f"no file in {pair.image} has the same name as a file in {pair.alpha}")
    return [
        _case(name, _Paths(*(kinds.get(kind, {}).get(name) for kind in vars(pair))))  # type: ignore[arg-type]
        for name in names
    ]


def _data_set(data: Path) -> list[Case]:
    """Return the validation photographs of a data set.

    The list is empty if ``data`` has no known layout, or if it may be a folder of clips.
    """
    try:
        layout = find_layout(data)
    except UsageError:
        return []
    split = any(folder.name.lower() in SPLITS for folder in data.iterdir() if folder.is_dir())
    if layout in ("image-alpha", "foreground-alpha") and not split:
        return []
    validation = [
        sample for sample in samples(data, layout) if sample.split == "val" and sample.alpha is not None
    ]
    if validation and not any(sample.image for sample in validation):
        raise InputError(
            f"{data} ({layout}) has foregrounds without pictures: use a folder with frames and alphas, or "
            "the packed folder that livematte train made from it"
        )
    return [
        _case(sample.name, _Paths(sample.image, sample.alpha, None, sample.trimap))
        for sample in validation
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
                        f"{where} is {rgb.shape[1]} x {rgb.shape[0]}, but its ground truth is "
                        f"{other.shape[1]} x {other.shape[0]}: both must have the same size"
                    )
            yield Truth(
                rgb, alpha, foreground, None if trimap is None else np.rint(trimap * 255).astype(np.uint8)
            )

    return Case(name, frames)
