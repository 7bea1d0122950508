"""Data sets of any known layout, packed for :class:`livematte.training.data.PeopleStore`.

The cache is that of :mod:`livematte.training.data`: ``people.bin`` and ``rooms.bin`` with ``index.json``,
which is written last, so that a cache that was broken off is made anew.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.errors import InputError, OutputError, UsageError
from livematte.training.data import Person, Picture, is_validation_room
from livematte.training.datasets import PICTURES, VIDEOS, Sample, samples, with_layouts
from livematte.training.foregrounds import Estimator, extended, push_pull

GREY = 128
"""What foregrounds are on where there is no background."""

FAINT = 25
"""Alpha up to this does not count for a person's box."""


def load(
    sample: Sample,
    *,
    long_side: int | None = None,
    estimate: Estimator = push_pull,
    background: Picture | None = None,
) -> Person:
    """A sample's arrays: photograph, straight foreground everywhere, alpha; uint8, all of one size.

    Args:
        long_side: pictures that are longer are shrunk to this many pixels.
        estimate: the foreground's colours from a photograph; foregrounds that are given are carried on
            beyond the alpha (FBA sec. 3.5).
        background: (h, w, 3) RGB that a given foreground is put on, from its top left corner, enlarged
            where it is smaller (as Composition-1k's own script does); otherwise it is put on grey.

    Raises:
        InputError: a file is missing or cannot be read, or sizes differ; names the sample.
    """
    if sample.alpha is None:
        raise InputError(f"{sample.layout} {sample.name}: there is no alpha for {sample.picture}")
    picture = _rgb(_read(sample.picture, sample.frame))
    alpha = _alpha(_read(sample.alpha, sample.frame))
    if picture.shape[:2] != alpha.shape:
        sizes = [f"{a.shape[1]}x{a.shape[0]}" for a in (picture, alpha)]
        raise InputError(
            f"{sample.layout} {sample.name}: the picture is {sizes[0]} but {sample.alpha} is {sizes[1]}"
        )
    scale = min(1.0, (long_side or max(alpha.shape)) / max(alpha.shape))
    size = max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale))
    if sample.image is not None:
        image, alpha = _shrunk(picture, size), _shrunk(alpha, size)
        return Person(sample.name, image, estimate(image, alpha), alpha)
    foreground, alpha = _shrunk_together(picture, alpha, size)
    foreground = extended(foreground, alpha)
    behind = np.full_like(foreground, GREY) if background is None else covering(background, size)
    a = alpha[..., None].astype(np.float32) / 255
    image = (behind + a * (foreground.astype(np.float32) - behind) + 0.5).astype(np.uint8)
    return Person(sample.name, image, foreground, alpha)


def pack_samples(
    chosen: Iterable[Sample],
    cache: Path,
    backgrounds: Path | None,
    *,
    keypoints: Mapping[str, Any] | None = None,
    long_side: int = 576,
    estimate: Estimator = push_pull,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Decode samples and the pictures in ``backgrounds`` into ``cache``, unless it is packed; gives it.

    A person takes 7 bytes a pixel: at the default ``long_side`` at most 2.3 MB. Samples that cannot be read
    are left out, each with a line to ``say``. Straight foregrounds are put on the background that the data
    set lists for them, or on one drawn by their name.

    Args:
        keypoints: sample name to 25 x [x, y, visibility], in pixels of the picture as it lies on disk.

    Raises:
        InputError: no sample of one of the two splits can be read, or there are fewer than two backgrounds.
        OutputError: ``cache`` cannot be written.
    """
    try:
        if (cache / "index.json").exists():
            return cache
        files = _backgrounds(backgrounds)
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / "rooms.bin", "wb") as out:
            rooms = _pack_rooms(files, out, long_side)
        chosen = list(chosen)
        with open(cache / "people.bin", "wb") as out:
            people = _pack_people(chosen, out, files, long_side, estimate, say)
        if keypoints:
            shrunk = _shrunk_keypoints(keypoints, chosen, people)
            (cache / "pose.json").write_text(json.dumps(shrunk), encoding="utf-8")
        for split, val in (("training", False), ("validation", True)):
            if not any(entry["val"] == val for entry in people):
                raise InputError(f"not one of {len(people)} samples is for {split}: add a data set with some")
        (cache / "index.json").write_text(json.dumps({"people": people, "rooms": rooms}), encoding="utf-8")
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
    estimate: Estimator = push_pull,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Pack whole data sets together, unless ``cache`` is packed already; gives ``cache``.

    Args:
        backgrounds: pictures without people; where it is None, the folder ``backgrounds`` in the first that
            has one.
        layouts: keys of :data:`livematte.training.datasets.LAYOUTS` or ``auto``: one for all folders, or one
            for each.
        only: a text file with a file name a line: nothing else is used. Papers on people take the people
            out of data sets of everything.

    Raises:
        UsageError: a folder is of no known layout, or not of the one that is named; other counts of layouts
            and folders; ``only`` names nothing that is there.
        InputError, OutputError: as :func:`pack_samples`.
    """
    if (cache / "index.json").exists():
        return cache  # before anything is looked for: the data may be gone by now
    pairs = with_layouts(folders, layouts)
    chosen = [sample for folder, layout in pairs for sample in samples(folder, layout)]
    if only is not None:
        names = {Path(line.strip()).stem for line in only.read_text(encoding="utf-8").splitlines()}
        chosen = [sample for sample in chosen if sample.picture.stem in names]
        if not chosen:
            raise UsageError(f"{only} names no picture of {', '.join(map(str, folders))}")
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
    """What the folders' ``pose.json`` say together, by sample name."""
    found: dict[str, Any] = {}
    for file in (folder / "pose.json" for folder in folders):
        if not file.exists():
            continue
        try:
            found |= json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{file} is not a list of keypoints by name: {error}") from error
    return found


def _shrunk_keypoints(
    keypoints: Mapping[str, Any], chosen: Sequence[Sample], people: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """In pixels of what was packed."""
    widths = {entry["name"]: entry["shape"][1] for entry in people}
    found = {}
    for sample in chosen:
        if sample.name in keypoints and sample.name in widths:
            factor = widths[sample.name] / _read(sample.picture, sample.frame).shape[1]
            found[sample.name] = [[x * factor, y * factor, v] for x, y, v in keypoints[sample.name]]
    return found


def _pack_people(
    chosen: Iterable[Sample],
    out: BinaryIO,
    backgrounds: dict[Path, bool],
    long_side: int,
    estimate: Estimator,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    by_name = {file.name: file for file in backgrounds}
    by_split = {val: [file for file, v in backgrounds.items() if v == val] for val in (False, True)}
    index: list[dict[str, Any]] = []
    seen, left_out = set(), 0
    for sample in chosen:
        val = sample.split == "val"
        behind = by_name.get(sample.background or "")
        if sample.background is not None and behind is None:  # one of many that would all be the same
            if sample.picture in seen:
                continue
            seen.add(sample.picture)
        if behind is None:
            behind = by_split[val][zlib.crc32(sample.name.encode()) % len(by_split[val])]
        try:
            background = _rgb(_read(behind)) if sample.foreground is not None else None
            person = load(sample, long_side=long_side, estimate=estimate, background=background)
            if person.alpha.max() <= FAINT:
                raise InputError(f"{sample.layout} {sample.name}: its alpha is empty")
        except InputError as error:
            left_out += 1
            say(f"left out: {error}")
            continue
        box = cv2.boundingRect((person.alpha > FAINT).astype(np.uint8))
        entry = {"name": sample.name, "shape": person.alpha.shape, "offset": out.tell(), "box": box}
        index.append(entry | {"val": val})
        for plane in (person.image, person.foreground, person.alpha):
            out.write(plane.tobytes())
    if left_out:
        say(f"{left_out} of {left_out + len(index)} samples left out")
    return index


def _pack_rooms(files: dict[Path, bool], out: BinaryIO, long_side: int) -> list[dict[str, Any]]:
    index: list[dict[str, Any]] = []
    for file, val in files.items():
        room = _rgb(_read(file))
        scale = min(1.0, long_side / max(room.shape))
        room = _shrunk(room, (max(1, round(room.shape[1] * scale)), max(1, round(room.shape[0] * scale))))
        index.append({"name": file.stem, "shape": room.shape[:2], "offset": out.tell(), "val": val})
        out.write(room.tobytes())
    return index


def _backgrounds(folder: Path | None) -> dict[Path, bool]:
    """The pictures in a folder, however deep, and whether they are for validation."""
    files = [] if folder is None else sorted(f for f in folder.rglob("*") if f.suffix.lower() in PICTURES)
    found = {file: is_validation_room(file.stem) for file in files if not file.name.startswith(".")}
    if len(found) < 2:
        where = f"in {folder}: " if folder is not None else "given: "
        raise InputError(f"no backgrounds {where}training composites people on pictures without any")
    if len(set(found.values())) == 1:  # a handful: the hash puts them all on one side
        found[max(found)] = not found[max(found)]
    return found


def _read(file: Path, frame: int | None = None) -> NDArray[Any]:
    """(H, W) or (H, W, 3 or 4) BGR as the file has it; a video's frame as BGR."""
    if file.suffix.lower() in VIDEOS:
        return _frame(file, frame or 0)
    try:
        data = np.fromfile(file, np.uint8)  # imread cannot open every name on Windows
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if array is None:
        raise InputError(f"{file} is not a picture that can be read")
    return np.asarray(array // 257 if array.dtype == np.uint16 else array)


def _frame(video: Path, number: int) -> NDArray[Any]:
    """Frame ``number`` of a video, found from the key frame before it."""
    import av

    try:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            rate, base = stream.average_rate, stream.time_base
            start = stream.start_time or 0
            wanted = start + round(number / (rate * base)) if rate and base else 0
            container.seek(wanted, stream=stream)
            last = None
            for last in container.decode(stream):
                if last.pts is None or last.pts >= wanted:
                    break
            if last is None:
                raise InputError(f"{video} has no frame {number}")
            return np.asarray(last.to_ndarray(format="bgr24"))
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{video} is not a video that can be read: {error}") from error


def _rgb(array: NDArray[Any]) -> Picture:
    if array.ndim == 2:
        return np.asarray(cv2.cvtColor(array, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.ascontiguousarray(array[..., 2::-1], np.uint8)


def _alpha(array: NDArray[Any]) -> Picture:
    """The fourth channel where it says something, else the grey value."""
    if array.ndim == 3 and array.shape[2] == 4 and array[..., 3].min() < 255:
        array = array[..., 3]
    return np.ascontiguousarray(array if array.ndim == 2 else array[..., 1], np.uint8)


def _shrunk(picture: Picture, size: tuple[int, int]) -> Picture:
    """To (width, height) ``size``."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _shrunk_together(foreground: Picture, alpha: Picture, size: tuple[int, int]) -> tuple[Picture, Picture]:
    """Straight foreground and alpha, without colours from where alpha is zero."""
    if (alpha.shape[1], alpha.shape[0]) == size:
        return foreground, alpha
    weight = alpha.astype(np.float32)[..., None]
    sums = cv2.resize(foreground * weight, size, interpolation=cv2.INTER_AREA)
    weights = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    colours = sums / np.maximum(weights, 1e-3)[..., None]
    return np.clip(colours + 0.5, 0, 255).astype(np.uint8), (weights + 0.5).astype(np.uint8)


def covering(background: Picture, size: tuple[int, int]) -> Picture:
    """The top left of a background, enlarged where it does not cover (width, height) ``size``."""
    width, height = size
    scale = max(1.0, height / background.shape[0], width / background.shape[1])
    if scale > 1:
        whole = math.ceil(background.shape[1] * scale), math.ceil(background.shape[0] * scale)
        background = np.asarray(cv2.resize(background, whole, interpolation=cv2.INTER_CUBIC), np.uint8)
    return background[:height, :width]
