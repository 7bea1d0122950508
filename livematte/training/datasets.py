"""The field's data sets as people have them on disk: which is which, what is in it, and one example of it.

Folder names are compared without regard to case. Where each layout was learnt from:

- ``composition-1k`` (Xu et al. 2017, also called AIM): its own read-me, and public training code for it.
  ``Training_set/{Adobe-licensed images,Other}/{fg,alpha}`` and
  ``Test_set/Adobe-licensed images/{fg,alpha,trimaps}``; ``test_fg_names.txt`` and ``test_bg_names.txt``
  pair each test foreground with twenty backgrounds of PASCAL VOC, trimap ``name_7.png`` being that of its
  eighth.
- ``p3m-10k``: the authors' configuration and a table in a public port. ``train/{blurred_image,mask}``,
  ``validation/P3M-500-P/{blurred_image,mask,trimap}`` and
  ``validation/P3M-500-NP/{original_image,mask,trimap}``.
- ``aisegment``: the authors' read-me (alpha is the fourth channel of the PNG) and public code that walks it.
  ``clip_img/*/clip_*/*.jpg`` beside ``matting/*/matting_*/*.png``; two of its pictures have no alpha.
- ``videomatte240k``: the authors' training configuration. ``{train,test}/{fgr,pha}``, each with a folder of
  frames or a video for every clip.
- ``distinctions-646``: public code that trains on it. ``{Train,Test}/{FG,GT}``.
- ``ppm-100``: public evaluation code. ``image`` and ``matte``, in a folder that is called after it; a
  benchmark, so all of it is for validation.
- ``human-2k``: public code names its foregrounds and alphas; that the folders are called
  ``{train,test}/{fg,alpha}`` is a guess that nobody here could check.
- ``livematte``: ``people``, ``alpha``, ``backgrounds`` and ``split.json``.
- ``image-alpha`` and ``foreground-alpha``: any two folders of such names, by themselves or in train and val.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from livematte.errors import InputError, UsageError

Split = Literal["train", "val"]
T = TypeVar("T")

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm"}


@dataclass(frozen=True)
class Sample:
    """One example of a data set; where nothing is said of a file, the data set has none.

    Attributes:
        name: path of the picture in the data set, without its suffix; of a ``livematte`` folder its stem.
        alpha: None where it is missing: the example is of no use.
        image: a photograph. Either this or ``foreground`` is there.
        foreground: straight colours, valid where alpha is not zero.
        background: file name of the picture that it is to be put on, so that a benchmark is the same for all.
        frame: where the files are videos: which frame, from 0.
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

    @property
    def picture(self) -> Path:
        """The photograph or the foreground."""
        found = self.image or self.foreground
        assert found is not None
        return found


@dataclass(frozen=True)
class Part:
    """Two folders with files of the same names; ``|`` is between names that will do.

    Attributes:
        whole: the pictures are photographs; else straight foregrounds.
        split: ``hash`` keeps one in ten by hash of its name for validation.
        swap: the alphas' folders have the second of these where the pictures' have the first.
    """

    picture: str
    alpha: str
    split: Literal["train", "val", "hash"]
    whole: bool = True
    trimap: str = ""
    swap: tuple[str, str] = ("", "")


def _splits(picture: str, alpha: str, whole: bool) -> tuple[Part, ...]:
    """The parts of a layout whose training and validation folders look alike."""
    train, val = "train|training", "val|valid|validation|test|eval"
    return (
        Part(f"{train}/{picture}", f"{train}/{alpha}", "train", whole),
        Part(f"{val}/{picture}", f"{val}/{alpha}", "val", whole),
    )


_ALPHA = "alpha|alphas|matte|mattes|mask|masks|gt|pha"
_IMAGE = "people|image|images|img|imgs|original|originals|rgb"
_FOREGROUND = "fg|fgr|foreground|foregrounds"
_ADOBE, _TEST = "Adobe-licensed images", "Test_set/Adobe-licensed images"

LAYOUTS: dict[str, tuple[Part, ...]] = {
    "livematte": (Part("people", "alpha", "hash"),),
    "composition-1k": (
        *(
            Part(f"Training_set/{owner}/fg", f"Training_set/{owner}/alpha", "train", False)
            for owner in (_ADOBE, "Other")
        ),
        Part(f"{_TEST}/fg", f"{_TEST}/alpha", "val", False, f"{_TEST}/trimaps"),
    ),
    "p3m-10k": (
        Part("train/blurred_image", "train/mask", "train"),
        *(
            Part(f"{folder}/{kind}_image", f"{folder}/mask", "val", True, f"{folder}/trimap")
            for folder, kind in (("validation/P3M-500-P", "blurred"), ("validation/P3M-500-NP", "original"))
        ),
    ),
    "aisegment": (Part("clip_img", "matting", "hash", swap=("clip_", "matting_")),),
    "videomatte240k": _splits("fgr", "pha", False),
    "distinctions-646": _splits("FG", "GT", False),
    "ppm-100": (Part("image", "matte", "val"),),
    "human-2k": _splits("fg", "alpha", False),
    "image-alpha": (*_splits(_IMAGE, _ALPHA, True), Part(_IMAGE, _ALPHA, "hash")),
    "foreground-alpha": (*_splits(_FOREGROUND, _ALPHA, False), Part(_FOREGROUND, _ALPHA, "hash", False)),
}
"""Tried in this order: names that only one data set uses come first."""

NAMED = {"ppm-100": "ppm", "human-2k": "human"}
"""Layouts of everyday names are recognised only where the folder's own name has this in it."""


def find_layout(folder: Path) -> str:
    """Which of :data:`LAYOUTS` ``folder``, or the only folder in it, has.

    Raises:
        UsageError: none.
    """
    return _find(folder, "auto")[1]


def samples(folder: Path, layout: str = "auto", *, clip_frames: int = 16) -> list[Sample]:
    """All examples of a data set, in the order of their names within each of its parts.

    Args:
        layout: a key of :data:`LAYOUTS`; ``auto`` looks what is there.
        clip_frames: at most so many frames of a clip, evenly spread.

    Raises:
        UsageError: the layout is unknown, or not that of ``folder``.
        InputError: there is no picture in it, or its lists cannot be read.
    """
    root, name = _find(folder, layout)
    found = []
    for part in LAYOUTS[name]:
        if (here := _folders(root, part)) is not None:
            found += list(_pairs(root, name, part, here, clip_frames))
    if name == "livematte":
        found = list(_by_split_file(root / "split.json", found))
    if name == "composition-1k":
        found = list(_on_listed_backgrounds(root, found))
    if not found:
        raise InputError(f"{folder} has the folders of {name} but no picture in them")
    return found


def files_of(folder: Path, layout: str = "auto") -> list[tuple[str, Path]]:
    """Every file of a data set that training reads, with its path in it (``/`` between folders).

    Raises:
        UsageError: the layout is unknown.
    """
    root, name = _find(folder, layout)
    folders = []
    for part in LAYOUTS[name]:
        folders += [f for f in _folders(root, part) or () if f is not None]
    folders += [f for f in (_below(root, "background|backgrounds|bg"),) if f is not None]
    return [
        (file.relative_to(root).as_posix(), file)
        for folder in dict.fromkeys(folders)
        for file in sorted(folder.rglob("*"), key=lambda f: f.as_posix())
        if file.is_file()
    ]


def with_layouts(folders: Sequence[Path], layouts: Sequence[str]) -> list[tuple[Path, str]]:
    """Each folder and its layout, of which there is one for all folders, or one for each.

    Raises:
        UsageError: neither.
    """
    if len(layouts) == 1:
        layouts = [layouts[0]] * len(folders)
    if len(layouts) != len(folders):
        raise UsageError(
            f"{len(layouts)} layouts for {len(folders)} folders: give one for all of them, or one for each "
            "(auto looks what is there)"
        )
    return list(zip(folders, layouts, strict=True))


def _find(folder: Path, layout: str) -> tuple[Path, str]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder: give the data set's folder")
    if layout != "auto" and layout not in LAYOUTS:
        raise UsageError(f"unknown layout {layout!r}: known are auto, {', '.join(LAYOUTS)}")
    names = list(LAYOUTS) if layout == "auto" else [layout]
    inside = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    for root in [folder, *(inside if len(inside) == 1 else [])]:  # archives have a folder of their own
        for name in names:
            if layout == "auto" and not _is_named(root, name):
                continue
            if any(_folders(root, part) for part in LAYOUTS[name]):
                return root, name
    there = ", ".join(f.name for f in inside[:8]) + (", ..." if len(inside) > 8 else "") or "no folders"
    wanted = " or ".join(f"{p.picture} with {p.alpha}" for p in LAYOUTS[layout]) if layout != "auto" else ""
    raise UsageError(
        f"{folder} is not laid out as {layout} ({wanted}): it has {there}"
        if wanted
        else f"{folder} is no data set of a known layout ({', '.join(LAYOUTS)}): it has {there}"
    )


def _is_named(root: Path, layout: str) -> bool:
    if layout == "livematte":
        return (root / "split.json").exists()
    return NAMED.get(layout, "") in f"{root.parent.name}/{root.name}".casefold()


def _below(folder: Path, path: str) -> Path | None:
    """The folder at ``path``, whose names have alternatives, without regard to case."""
    for names in path.split("/"):
        entries = {f.name.casefold(): f for f in sorted(folder.iterdir()) if f.is_dir()}
        known = [entries[n.casefold()] for n in names.split("|") if n.casefold() in entries]
        if not known:
            return None
        folder = known[0]
    return folder


def _folders(root: Path, part: Part) -> tuple[Path, Path, Path | None] | None:
    """Where pictures, alphas and trimaps of a part are."""
    picture, alpha = _below(root, part.picture), _below(root, part.alpha)
    if picture is None or alpha is None:
        return None
    return picture, alpha, _below(root, part.trimap) if part.trimap else None


def _by_stem(folder: Path) -> dict[str, Path]:
    """Pictures and videos below ``folder`` by their path in it without suffix, but for what macOS adds."""
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
            frames = _spread(list(range(_frame_count(file))), clip_frames)
            yield from (replace(sample, name=f"{name}/{n:05d}", frame=n) for n in frames)
        else:
            yield sample


def _hash_split(key: str) -> Split:
    return "val" if zlib.crc32(key.encode()) % 10 == 0 else "train"


def _spread(things: list[T], count: int) -> list[T]:
    """At most ``count`` of them, evenly spread, the first among them."""
    return things if len(things) <= count else [things[i * len(things) // count] for i in range(count)]


def _thinned(pictures: dict[str, Path], clip_frames: int) -> dict[str, Path]:
    """Of the frames of each clip, a folder of its own, ``clip_frames``."""
    clips: dict[str, list[str]] = defaultdict(list)
    for key in pictures:
        clips[key.rpartition("/")[0]].append(key)
    kept = {key for clip, keys in clips.items() for key in (_spread(keys, clip_frames) if clip else keys)}
    return {key: file for key, file in pictures.items() if key in kept}


def _frame_count(video: Path) -> int:
    import av

    try:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            return stream.frames or sum(1 for _ in container.decode(stream))
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{video} is not a video that can be read: {error}") from error


def _by_split_file(file: Path, found: Iterable[Sample]) -> Iterator[Sample]:
    """With the splits that ``split.json`` gives; what it does not name is left out."""
    try:
        split = json.loads(file.read_text(encoding="utf-8"))
        train, val = set(split["train"]), set(split["val"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is not a list of train and val names: {error}") from error
    for sample in found:
        if sample.name in train | val:
            yield replace(sample, split="val" if sample.name in val else "train")


def _on_listed_backgrounds(root: Path, found: Iterable[Sample]) -> Iterator[Sample]:
    """Test foregrounds once for each of the backgrounds that the data set's lists give them."""
    test = _below(root, "Test_set")
    lists = [] if test is None else [test / f"test_{kind}_names.txt" for kind in ("fg", "bg")]
    if not lists or not all(file.exists() for file in lists):
        yield from found
        return
    foregrounds, backgrounds = (file.read_text(encoding="utf-8").split("\n") for file in lists)
    foregrounds = [line.strip() for line in foregrounds if line.strip()]
    backgrounds = [line.strip() for line in backgrounds if line.strip()]
    each = len(backgrounds) // max(len(foregrounds), 1)
    order = {name: number for number, name in enumerate(foregrounds)}
    trimaps = _by_stem(trimap_folder) if (trimap_folder := _below(root, f"{_TEST}/trimaps")) else {}
    for sample in found:
        number = order.get(sample.picture.name) if sample.split == "val" else None
        if number is None or not each:
            yield sample
            continue
        for n, background in enumerate(backgrounds[number * each : (number + 1) * each]):
            trimap = trimaps.get(f"{sample.picture.stem}_{n}")
            yield replace(sample, name=f"{sample.name}_{n}", background=background, trimap=trimap)
