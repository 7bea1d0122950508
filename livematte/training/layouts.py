"""Folders of the field's data sets, as people have them on disk.

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
- ``livematte``: ``people``, ``alpha``, ``backgrounds`` and ``split.json``; ``cutouts`` and ``cutclips`` as
  :mod:`livematte.training.cutouts` has them.
- ``image-alpha`` and ``foreground-alpha``: any two folders of such names, by themselves or in train and val.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from livematte.errors import UsageError


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
_ADOBE = "Adobe-licensed images"
COMPOSITION_TEST = "Test_set/Adobe-licensed images"
"""Of ``composition-1k``: where the pictures for validation lie."""

LAYOUTS: dict[str, tuple[Part, ...]] = {
    "livematte": (Part("people", "alpha", "hash"),),
    "composition-1k": (
        *(
            Part(f"Training_set/{owner}/fg", f"Training_set/{owner}/alpha", "train", False)
            for owner in (_ADOBE, "Other")
        ),
        Part(
            f"{COMPOSITION_TEST}/fg", f"{COMPOSITION_TEST}/alpha", "val", False, f"{COMPOSITION_TEST}/trimaps"
        ),
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


def find_root(folder: Path, layout: str) -> tuple[Path, str]:
    """The folder that has a layout's folders, ``folder`` or the only one in it, and the layout's name.

    Raises:
        UsageError: ``folder`` is none, the layout is unknown or another.
    """
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
            if any(part_folders(root, part) for part in LAYOUTS[name]):
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


def folder_below(folder: Path, path: str) -> Path | None:
    """The folder at ``path``, whose names have alternatives, without regard to case."""
    for names in path.split("/"):
        entries = {f.name.casefold(): f for f in sorted(folder.iterdir()) if f.is_dir()}
        known = [entries[n.casefold()] for n in names.split("|") if n.casefold() in entries]
        if not known:
            return None
        folder = known[0]
    return folder


def part_folders(root: Path, part: Part) -> tuple[Path, Path, Path | None] | None:
    """Where pictures, alphas and trimaps of a part are."""
    picture, alpha = folder_below(root, part.picture), folder_below(root, part.alpha)
    if picture is None or alpha is None:
        return None
    return picture, alpha, folder_below(root, part.trimap) if part.trimap else None
