"""Folder layouts of public matting data sets.

Comparison of folder names ignores case. The layouts and their sources:

- ``composition-1k`` (Xu et al. 2017, also called AIM): its README, and public training code.
  ``Training_set/{Adobe-licensed images,Other}/{fg,alpha}`` and
  ``Test_set/Adobe-licensed images/{fg,alpha,trimaps}``. ``test_fg_names.txt`` and ``test_bg_names.txt``
  assign twenty backgrounds of PASCAL VOC to each test foreground; trimap ``name_7.png`` belongs to the eighth
  of them.
- ``p3m-10k``: the authors' configuration and a table in a public port. ``train/{blurred_image,mask}``,
  ``validation/P3M-500-P/{blurred_image,mask,trimap}`` and
  ``validation/P3M-500-NP/{original_image,mask,trimap}``.
- ``aisegment``: the authors' README (alpha is the fourth channel of the PNG), and public code that reads it.
  ``clip_img/*/clip_*/*.jpg`` and ``matting/*/matting_*/*.png``; two pictures have no alpha.
- ``videomatte240k``: the authors' training configuration. ``{train,test}/{fgr,pha}``, each with a folder of
  frames or a video for each clip.
- ``distinctions-646``: public code that trains on it. ``{Train,Test}/{FG,GT}``.
- ``ppm-100``: public evaluation code. ``image`` and ``matte``, in a folder with ``ppm`` in its name. It is a
  benchmark, so all pictures are for validation.
- ``human-2k``: public code that reads foregrounds and alphas. The folder names ``{train,test}/{fg,alpha}``
  are an unverified assumption.
- ``livematte``: ``people``, ``alpha``, ``backgrounds`` and ``split.json``; ``cutouts`` and ``cutclips`` as in
  :mod:`livematte.training.cutouts`.
- ``image-alpha`` and ``foreground-alpha``: any two folders with such names, at the top or in train and val.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from livematte.errors import UsageError


@dataclass(frozen=True)
class Part:
    """A pair of folders with equal file names; ``|`` separates alternative folder names.

    Attributes:
        picture, alpha, trimap: folder paths; ``trimap`` is empty if there are none.
        split: ``hash`` assigns one file in ten to validation, selected by a hash of its name.
        whole: the pictures are photographs; otherwise they are straight foregrounds.
        swap: this part of a picture's path, and its replacement in the alpha's path.
    """

    picture: str
    alpha: str
    split: Literal["train", "val", "hash"]
    whole: bool = True
    trimap: str = ""
    swap: tuple[str, str] = ("", "")


def _splits(picture: str, alpha: str, whole: bool) -> tuple[Part, ...]:
    """Return the parts of a layout with the same folder names for training and validation."""
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
"""Folder with the validation pictures of ``composition-1k``."""

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
"""Parts of each layout. Recognition tries them in this order; folder names unique to a data set are first."""

NAMED = {"ppm-100": "ppm", "human-2k": "human"}
"""Layouts with common folder names: recognised only if the name of the folder contains this text."""


def find_root(folder: Path, layout: str) -> tuple[Path, str]:
    """Return the root folder of a data set, which is ``folder`` or the only folder in it, and its layout.

    Raises:
        UsageError: ``folder`` does not exist, or the layout is unknown or does not fit.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder: use the folder of the data set")
    if layout != "auto" and layout not in LAYOUTS:
        raise UsageError(f"unknown layout {layout!r}: allowed are auto, {', '.join(LAYOUTS)}")
    names = list(LAYOUTS) if layout == "auto" else [layout]
    inside = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    for root in [folder, *(inside if len(inside) == 1 else [])]:  # archives often contain one folder
        for name in names:
            if layout == "auto" and not _is_named(root, name):
                continue
            if any(part_folders(root, part) for part in LAYOUTS[name]):
                return root, name
    there = ", ".join(f.name for f in inside[:8]) + (", ..." if len(inside) > 8 else "") or "no folders"
    wanted = " or ".join(f"{p.picture} with {p.alpha}" for p in LAYOUTS[layout]) if layout != "auto" else ""
    raise UsageError(
        f"{folder} does not have the layout {layout} ({wanted}): it has {there}"
        if wanted
        else f"{folder} does not have a known layout ({', '.join(LAYOUTS)}): it has {there}"
    )


def _is_named(root: Path, layout: str) -> bool:
    if layout == "livematte":
        return (root / "split.json").exists()
    return NAMED.get(layout, "") in f"{root.parent.name}/{root.name}".casefold()


def folder_below(folder: Path, path: str) -> Path | None:
    """Return the folder at ``path``, ignoring case; None if it does not exist.

    Args:
        path: folder names separated by ``/``; ``|`` separates alternatives of a name.
    """
    for names in path.split("/"):
        entries = {f.name.casefold(): f for f in sorted(folder.iterdir()) if f.is_dir()}
        known = [entries[n.casefold()] for n in names.split("|") if n.casefold() in entries]
        if not known:
            return None
        folder = known[0]
    return folder


def part_folders(root: Path, part: Part) -> tuple[Path, Path, Path | None] | None:
    """Return the folders of pictures, alphas and trimaps; None if pictures or alphas are missing."""
    picture, alpha = folder_below(root, part.picture), folder_below(root, part.alpha)
    if picture is None or alpha is None:
        return None
    return picture, alpha, folder_below(root, part.trimap) if part.trimap else None
