"""Samples of a data set: files of picture, alpha and trimap, and the split (training or validation).

The folders of each data set are in :mod:`livematte.training.layouts`.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from livematte.errors import InputError, UsageError
from livematte.training.cutouts import CUTCLIPS, CUTOUTS, find_clips, is_validation_clip, split_cutouts
from livematte.training.data import Kind
from livematte.training.layouts import COMPOSITION_TEST, LAYOUTS, Part, find_root, folder_below, part_folders
from livematte.training.split_file import read_split

Split = Literal["train", "val"]
T = TypeVar("T")

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm"}


@dataclass(frozen=True)
class Sample:
    """One sample of a data set; files that the data set does not have are None.

    Attributes:
        name: path of the picture in the data set without suffix; in a ``livematte`` folder, its stem.
        layout: a key of :data:`LAYOUTS`.
        split: training or validation.
        alpha: None if it is missing; such a sample cannot be used.
        image: photograph. Each sample has either an image or a foreground.
        foreground: straight colours, valid where alpha is not 0.
        background: file name of the background prescribed by a benchmark.
        frame: frame number from 0, if the files are videos.
        teacher: True if the alpha was predicted by a network.
    """

    name: str
    layout: str
    split: Split
    alpha: Path | None
    image: Path | None = None
    foreground: Path | None = None
    trimap: Path | None = None
    background: str | None = None
    frame: int | None = None
    teacher: bool = False

    @property
    def kind(self) -> Kind:
        """Photograph, cut-out, or frame of a keyed clip."""
        if self.image is not None:
            return "photograph"
        return "cutout" if self.frame is None and self.layout != "videomatte240k" else "clip"

    @property
    def picture(self) -> Path:
        """The photograph or the foreground."""
        file = self.image or self.foreground
        assert file is not None
        return file


def find_layout(folder: Path) -> str:
    """Return the key of :data:`LAYOUTS` that fits ``folder``, or the only folder in it.

    Raises:
        UsageError: no layout fits.
    """
    return find_root(folder, "auto")[1]


def samples(folder: Path, layout: str = "auto", *, clip_frames: int = 16) -> list[Sample]:
    """Return all samples of a data set, sorted by name within each of its parts.

    Args:
        layout: a key of :data:`LAYOUTS`; ``auto`` recognises the layout.
        clip_frames: maximum number of frames of a clip; they are evenly spaced.

    Raises:
        UsageError: the layout is unknown or does not fit ``folder``.
        InputError: there are no pictures, or a list of the data set cannot be read.
    """
    root, name = find_root(folder, layout)
    result = []
    for part in LAYOUTS[name]:
        if (here := part_folders(root, part)) is not None:
            result += list(_pairs(root, name, part, here, clip_frames))
    if name == "livematte":
        result = list(_by_split_file(root / "split.json", result))
        result += _true_alpha(root, clip_frames)
    if name == "composition-1k":
        result = list(_on_listed_backgrounds(root, result))
    if not result:
        raise InputError(f"{folder} has the folders of {name}, but there is no picture in them")
    return result


def list_files(folder: Path, layout: str = "auto") -> list[tuple[str, Path]]:
    """Return all files of a data set that training reads, as relative POSIX path and absolute path.

    Raises:
        UsageError: the layout is unknown or does not fit ``folder``.
    """
    root, name = find_root(folder, layout)
    folders = []
    for part in LAYOUTS[name]:
        folders += [f for f in part_folders(root, part) or () if f is not None]
    own = (CUTOUTS, CUTCLIPS) if name == "livematte" else ()
    others = [folder_below(root, path) for path in ("background|backgrounds|bg", *own)]
    folders += [folder for folder in others if folder is not None]
    return [
        (file.relative_to(root).as_posix(), file)
        for folder in dict.fromkeys(folders)
        for file in sorted(folder.rglob("*"), key=lambda f: f.as_posix())
        if file.is_file()
    ]


def with_layouts(folders: Sequence[Path], layouts: Sequence[str]) -> list[tuple[Path, str]]:
    """Return pairs of folder and layout.

    Args:
        layouts: one layout for all folders, or one for each folder.

    Raises:
        UsageError: the number of layouts is neither 1 nor the number of folders.
    """
    if len(layouts) == 1:
        layouts = [layouts[0]] * len(folders)
    if len(layouts) != len(folders):
        raise UsageError(
            f"{len(layouts)} layouts for {len(folders)} folders: use one for all of them, or one for each "
            "(auto recognises the layout)"
        )
    return list(zip(folders, layouts, strict=True))


def _by_stem(folder: Path) -> dict[str, Path]:
    """Map relative paths without suffix to pictures and videos in ``folder``; hidden files are skipped."""
    return {
        file.relative_to(folder).with_suffix("").as_posix(): file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in PICTURES | VIDEOS and not file.name.startswith(".") and file.is_file()
    }


def _pairs(
    root: Path, layout: str, part: Part, folders: tuple[Path, Path, Path | None], clip_frames: int
) -> Iterator[Sample]:
    alphas = _by_stem(folders[1])
    trimaps = _by_stem(folders[2]) if folders[2] is not None else {}
    pictures = _by_stem(folders[0])
    if layout == "videomatte240k":
        pictures = _thinned(pictures, clip_frames)
    for key, file in pictures.items():
        alpha = alphas.get(key.replace(*part.swap) if part.swap[0] else key)
        split: Split = part.split if part.split != "hash" else _hash_split(key)
        name = key if layout == "livematte" else f"{folders[0].relative_to(root).as_posix()}/{key}"
        image, foreground = (file, None) if part.whole else (None, file)
        sample = Sample(name, layout, split, alpha, image, foreground, trimaps.get(key))
        if file.suffix.lower() in VIDEOS:
            frames = _spread(list(range(frame_count(file))), clip_frames)
            yield from (replace(sample, name=f"{name}/{n:05d}", frame=n) for n in frames)
        else:
            yield sample


def _hash_split(key: str) -> Split:
    return "val" if zlib.crc32(key.encode()) % 10 == 0 else "train"


def _spread(things: list[T], count: int) -> list[T]:
    """Return at most ``count`` evenly spaced elements, including the first."""
    return things if len(things) <= count else [things[i * len(things) // count] for i in range(count)]


def _thinned(pictures: dict[str, Path], clip_frames: int) -> dict[str, Path]:
    """Keep at most ``clip_frames`` frames of each clip, which is a folder of frames."""
    clips: dict[str, list[str]] = defaultdict(list)
    for key in pictures:
        clips[key.rpartition("/")[0]].append(key)
    kept = {key for clip, keys in clips.items() for key in (_spread(keys, clip_frames) if clip else keys)}
    return {key: file for key, file in pictures.items() if key in kept}


def frame_count(video: Path) -> int:
    """Return the number of frames of a video. Raises InputError."""
    import av

    from livematte.video.container import ffmpeg_name

    try:
        with av.open(ffmpeg_name(video)) as container:
            stream = container.streams.video[0]
            return stream.frames or sum(1 for _ in container.decode(stream))
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{video} is not a readable video: {error}") from error


def _by_split_file(file: Path, unsplit: Iterable[Sample]) -> Iterator[Sample]:
    """Yield samples with the split from ``split.json``; samples that it does not list are skipped."""
    split = read_split(file)
    train, val = set(split["train"]), set(split["val"])
    for sample in unsplit:
        if sample.name in train | val:
            yield replace(sample, split="val" if sample.name in val else "train", teacher=True)


def _true_alpha(root: Path, clip_frames: int) -> list[Sample]:
    """Return cut-outs, then frames of keyed clips; the split is by person, not by frame."""
    result = []
    for split, stems in split_cutouts(root).items():
        for stem in stems:
            file = root / CUTOUTS / f"{stem}.webp"
            name = f"{CUTOUTS}/{stem}"
            result.append(
                Sample(name, "livematte", "val" if split == "val" else "train", file, foreground=file)
            )
    for clip, (colour, alpha) in find_clips(root).items():
        held_out: Split = "val" if is_validation_clip(clip) else "train"
        for n in _spread(list(range(frame_count(alpha))), clip_frames):
            name = f"{CUTCLIPS}/{clip}/{n:05d}"
            result.append(Sample(name, "livematte", held_out, alpha, foreground=colour, frame=n))
    return result


def _on_listed_backgrounds(root: Path, all_samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield each test foreground once for each background that the data set's lists assign to it."""
    test = folder_below(root, "Test_set")
    lists = [] if test is None else [test / f"test_{kind}_names.txt" for kind in ("fg", "bg")]
    if not lists or not all(file.exists() for file in lists):
        yield from all_samples
        return
    foregrounds, backgrounds = (file.read_text(encoding="utf-8").split("\n") for file in lists)
    foregrounds = [line.strip() for line in foregrounds if line.strip()]
    backgrounds = [line.strip() for line in backgrounds if line.strip()]
    each = len(backgrounds) // max(len(foregrounds), 1)
    order = {name: number for number, name in enumerate(foregrounds)}
    trimaps = (
        _by_stem(trimap_folder)
        if (trimap_folder := folder_below(root, f"{COMPOSITION_TEST}/trimaps"))
        else {}
    )
    for sample in all_samples:
        number = order.get(sample.picture.name) if sample.split == "val" else None
        if number is None or not each:
            yield sample
            continue
        for n, background in enumerate(backgrounds[number * each : (number + 1) * each]):
            trimap = trimaps.get(f"{sample.picture.stem}_{n}")
            yield replace(sample, name=f"{sample.name}_{n}", background=background, trimap=trimap)
