"""Pack data sets of any known layout into a cache, from which a training crop is read in milliseconds.

The cache is described in :mod:`livematte.training.data`. ``index.json`` is written last: a cache without it
is incomplete and is packed again, like a cache of another format.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from livematte.errors import InputError, OutputError, UsageError
from livematte.training.data import FORMAT, is_validation_room, read_index
from livematte.training.datasets import PICTURES, Sample, list_files, samples, with_layouts
from livematte.training.foregrounds import Estimator
from livematte.training.loading import load, read, shrink, to_rgb

FAINT = 25
"""Pixels with alpha (0 to 255) up to this value are outside a person's bounding box."""


def is_packed(cache: Path) -> bool:
    """Return True if ``cache`` is complete and has the current format.

    Raises:
        InputError: its ``index.json`` cannot be read.
    """
    return (cache / "index.json").exists() and read_index(cache) is not None


def pack(data: Path, cache: Path) -> Path:
    """Pack one folder with its own backgrounds; see :func:`pack_folders`."""
    return pack_folders([data], cache)


def pack_samples(
    chosen: Iterable[Sample],
    cache: Path,
    backgrounds: Path | None,
    *,
    keypoints: Mapping[str, Any] | None = None,
    long_side: int = 576,
    estimate: Estimator | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Decode samples and backgrounds into ``cache``, unless it is already packed; return ``cache``.

    A person needs 7 bytes per pixel, which is at most 2.3 MB at the default ``long_side``. Unreadable samples
    are skipped. Straight foregrounds are composited on the background that the data set prescribes, otherwise
    on one selected by a hash of the sample's name.

    Args:
        backgrounds: folder of pictures without people.
        keypoints: 25 x [x, y, visibility] by sample name, in pixels of the source file.
        long_side: larger pictures are resized to this long side, in pixels.
        estimate: as for :func:`livematte.training.loading.load`.
        say: called with a line for each skipped sample.

    Raises:
        InputError: a split has no readable sample, or there are fewer than two backgrounds.
        OutputError: ``cache`` cannot be written.
    """
    try:
        if is_packed(cache):
            return cache
        (cache / "index.json").unlink(missing_ok=True)
        files = _backgrounds(backgrounds)
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / "rooms.bin", "wb") as out:
            rooms = _pack_rooms(files, out, long_side)
        chosen = list(chosen)
        with open(cache / "people.bin", "wb") as out:
            people = _pack_people(chosen, out, files, long_side, estimate, say)
        (cache / "pose.json").unlink(missing_ok=True)
        if keypoints:
            pose = _scaled_keypoints(keypoints, people)
            (cache / "pose.json").write_text(json.dumps(pose), encoding="utf-8")
        for split, val in (("training", False), ("validation", True)):
            if not any(entry["val"] == val for entry in people):
                raise InputError(
                    f"none of {len(people)} samples is for {split}: add a data set with such samples"
                )
        index = {"format": FORMAT, "people": people, "rooms": rooms}
        (cache / "index.json").write_text(json.dumps(index), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot pack into {cache}: {error.strerror or error}") from error
    return cache


def pack_folders(
    folders: Sequence[Path],
    cache: Path,
    backgrounds: Path | None = None,
    *,
    layouts: Sequence[str] = ("auto",),
    only: Path | None = None,
    long_side: int = 576,
    clip_frames: int = 16,
    estimate: Estimator | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Pack one or more data sets into one cache, unless it is already packed; return ``cache``.

    Args:
        backgrounds: folder of pictures without people; default is the first folder ``backgrounds`` in the
            data sets.
        layouts: keys of :data:`livematte.training.datasets.LAYOUTS` or ``auto``: one for all folders, or one
            for each folder.
        only: text file with one file name per line; other files are not used. This selects the pictures of
            people from a general data set.
        clip_frames: maximum number of frames of a clip; they are evenly spaced.

    Raises:
        UsageError: a layout is unknown or does not fit its folder; the number of layouts is wrong; ``only``
            lists no existing picture.
        InputError, OutputError: as :func:`pack_samples`.
    """
    if is_packed(cache):
        return cache  # before any access to the data, which may have been deleted
    pairs = with_layouts(folders, layouts)
    chosen = [
        sample for folder, layout in pairs for sample in samples(folder, layout, clip_frames=clip_frames)
    ]
    if only is not None:
        names = {Path(line.strip()).stem for line in only.read_text(encoding="utf-8").splitlines()}
        chosen = [sample for sample in chosen if sample.picture.stem in names]
        if not chosen:
            raise UsageError(f"{only} lists no picture of {', '.join(map(str, folders))}")
    if backgrounds is None:
        backgrounds = next((f / "backgrounds" for f in folders if (f / "backgrounds").is_dir()), None)
    return pack_samples(
        chosen,
        cache,
        backgrounds,
        keypoints=_keypoints(folders),
        long_side=long_side,
        estimate=estimate,
        say=say,
    )


def _keypoints(folders: Sequence[Path]) -> dict[str, Any]:
    """Read keypoints by sample name from all ``pose.json`` files."""
    keypoints: dict[str, Any] = {}
    for file in (folder / "pose.json" for folder in folders):
        if not file.exists():
            continue
        try:
            keypoints |= json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{file} does not contain keypoints by name: {error}") from error
    return keypoints


def _scaled_keypoints(keypoints: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Convert keypoints to pixels of the packed pictures."""
    return {
        entry["name"]: [[x * entry["scale"], y * entry["scale"], v] for x, y, v in keypoints[entry["name"]]]
        for entry in people
        if entry["name"] in keypoints
    }


def _pack_people(
    chosen: Iterable[Sample],
    out: BinaryIO,
    backgrounds: dict[Path, bool],
    long_side: int,
    estimate: Estimator | None,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    by_name = {file.name: file for file in backgrounds}
    by_split = {val: [file for file, v in backgrounds.items() if v == val] for val in (False, True)}
    index: list[dict[str, Any]] = []
    seen, skipped = set(), 0
    for sample in chosen:
        val = sample.split == "val"
        behind = by_name.get(sample.background or "")
        if (
            sample.background is not None and behind is None
        ):  # all composites of this foreground would be equal
            if sample.picture in seen:
                continue
            seen.add(sample.picture)
        if behind is None:
            behind = by_split[val][zlib.crc32(sample.name.encode()) % len(by_split[val])]
        try:
            background = to_rgb(read(behind)) if sample.foreground is not None else None
            person = load(sample, long_side=long_side, estimate=estimate, background=background)
            if person.alpha.max() <= FAINT:
                raise InputError(f"{sample.layout} {sample.name}: its alpha is empty")
        except InputError as error:
            skipped += 1
            say(f"skipped: {error}")
            continue
        box = cv2.boundingRect((person.alpha > FAINT).astype(np.uint8))
        entry: dict[str, Any] = {
            "name": sample.name,
            "shape": person.alpha.shape,
            "offset": out.tell(),
            "box": box,
        }
        index.append(
            entry | {"val": val, "scale": person.scale, "kind": sample.kind, "teacher": sample.teacher}
        )
        for plane in (person.image, person.foreground, person.alpha):
            out.write(plane.tobytes())
    if skipped:
        say(f"{skipped} of {skipped + len(index)} samples skipped")
    return index


def _pack_rooms(files: dict[Path, bool], out: BinaryIO, long_side: int) -> list[dict[str, Any]]:
    index: list[dict[str, Any]] = []
    for file, val in files.items():
        room = to_rgb(read(file))
        scale = min(1.0, long_side / max(room.shape))
        room = shrink(room, (max(1, round(room.shape[1] * scale)), max(1, round(room.shape[0] * scale))))
        index.append({"name": file.stem, "shape": room.shape[:2], "offset": out.tell(), "val": val})
        out.write(room.tobytes())
    return index


def _backgrounds(folder: Path | None) -> dict[Path, bool]:
    """Return all pictures below a folder; the value is True for those in the validation split."""
    files = [] if folder is None else sorted(f for f in folder.rglob("*") if f.suffix.lower() in PICTURES)
    for_validation = {file: is_validation_room(file.stem) for file in files if not file.name.startswith(".")}
    if len(for_validation) < 2:
        where = f"in {folder}: " if folder is not None else "given: "
        raise InputError(f"no backgrounds {where}use a folder with at least two pictures without people")
    if len(set(for_validation.values())) == 1:  # with few files, the hash can assign all to one split
        for_validation[max(for_validation)] = not for_validation[max(for_validation)]
    return for_validation


def data_hash(*folders: Path, layouts: Sequence[str] = ("auto",), backgrounds: Path | None = None) -> str:
    """Return the sha256 over the names and sizes of all files; model cards identify the data by it.

    Arguments and errors as for :func:`pack_folders`.
    """
    digest = hashlib.sha256()
    files = [pair for folder, layout in with_layouts(folders, layouts) for pair in list_files(folder, layout)]
    if backgrounds is not None:
        rooms = sorted(file for file in backgrounds.rglob("*") if file.is_file())
        files += [(file.relative_to(backgrounds).as_posix(), file) for file in rooms]
    for name, file in files:
        digest.update(f"{name} {file.stat().st_size}\n".encode())
    return digest.hexdigest()
