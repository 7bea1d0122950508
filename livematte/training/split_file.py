"""``split.json``: the names of the people to train on and of those that are held out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from livematte.errors import InputError
from livematte.text_files import read_json

_FORM = 'it must be {"train": ["name", ...], "val": ["name", ...]}'


def read_split(file: Path) -> dict[str, list[str]]:
    """Return the names below ``train`` and ``val``; other keys are ignored.

    Raises:
        InputError: it cannot be read, is not of this form, or has a name twice: a person in both lists would
            be judged by what was trained on.
    """
    given = read_json(file, "list of train and val names", InputError)
    what = f"{file} is not a list of train and val names"
    if not isinstance(given, dict):
        raise InputError(f"{what}: it holds {_kind(given)}; {_FORM}")
    for key in ("train", "val"):
        if key not in given:
            raise InputError(f"{what}: {key!r} is missing; {_FORM}")
        if not isinstance(given[key], list):
            raise InputError(f"{what}: {key!r} is {_kind(given[key])}; {_FORM}")
        for each in given[key]:
            if not isinstance(each, str) or not each:
                raise InputError(f"{what}: {key!r} holds {shortened(each)}, which is no name; {_FORM}")
    split = {key: list[str](given[key]) for key in ("train", "val")}
    name, count = next(iter(Counter(split["train"] + split["val"]).most_common(1)), ("", 0))
    if count > 1:
        both = name in split["train"] and name in split["val"]
        where = "in train and in val" if both else "twice in one list"
        raise InputError(f"{what}: {shortened(name)} is {where}; name everybody once")
    return split


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
