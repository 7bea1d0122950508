"""Input files of a call for many files, and the paths of their outputs."""

from __future__ import annotations

import os
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livematte.errors import InputError, UsageError
from livematte.farm.storage import input_path, is_url
from livematte.options import PathLike, VideoOutputOptions
from livematte.options.declaration import declared
from livematte.video.encoders import CONTAINERS
from livematte.video.images import is_numbered

PRIVATE = ".livematte"
"""Folder in an output folder for the records of finished files and for unfinished files."""

VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
})  # fmt: skip
"""Extensions of the files that are taken from a folder; a file that is named is always taken."""

_WITH_ALPHA = (".mov", ".mkv", ".webm")


@dataclass(frozen=True)
class PlannedFile:
    """A file to render.

    Attributes:
        input: the video.
        name: path of the main output, relative to the output folder; it identifies the file there.
        targets: path of each output, relative to the output folder, by the name of its option; the main
            output has the name ``output``.
    """

    input: Path
    name: str
    targets: Mapping[str, str]


def find_inputs(inputs: Iterable[PathLike], *, recursive: bool, leave_out: Path) -> list[tuple[Path, Path]]:
    """Return each video with the folder that its name is relative to, in order, each file once.

    Args:
        inputs: files and URLs, which are all taken, and folders, from which videos are taken by their
            extension.
        leave_out: the output folder; nothing is taken from it unless it is named.

    Raises:
        InputError: a path does not exist, or nothing is left.
    """
    found: dict[Path, Path] = {}
    given = [Path(each) for each in inputs]
    for path in given:
        if is_url(input_path(path)):
            found.setdefault(path, path.parent)
            continue
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        if not path.is_dir():
            found.setdefault(path, path.parent)
            continue
        for inside in _videos(path, recursive):
            if path.resolve() == leave_out.resolve() or not inside.resolve().is_relative_to(
                leave_out.resolve()
            ):
                found.setdefault(inside, path)
    if not found:
        named = ", ".join(map(str, given)) or "nothing"
        hint = "" if recursive else "; --recursive also takes sub-folders"
        raise InputError(f"no video was found in {named}{hint}")
    return list(found.items())


def _videos(folder: Path, recursive: bool) -> list[Path]:
    taken: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        taken += [
            Path(parent, name) for name in sorted(files)
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")
        ]  # fmt: skip
    return taken


def plan_files(
    found: Sequence[tuple[Path, Path]], options: Mapping[str, Any], *, transparent: bool,
    refuse: Callable[[Path, UsageError], None] | None = None,
) -> list[PlannedFile]:  # fmt: skip
    """Return the outputs of each file.

    Args:
        refuse: called with a file whose output is that of an earlier one, which is left out. None: it is an
            error.

    Raises:
        UsageError: a pattern is invalid, or two files would have the same output.
    """
    others = {
        each.name: os.fspath(options[each.name]) for each in declared(VideoOutputOptions)
        if options[each.name] is not None
    }  # fmt: skip
    for option, pattern in others.items():
        if (len(found) > 1 or refuse is not None) and "{stem}" not in pattern:
            raise UsageError(
                f"{_flag(option)} {pattern}: for many files use a pattern, such as {{stem}}-matte.mp4"
            )
    planned: list[PlannedFile] = []
    taken: dict[str, Path] = {}
    for path, base in found:
        folder = path.parent.relative_to(base)
        names = {"output": _main_name(path, options["out_name"], transparent=transparent)}
        names |= {option: _filled(pattern, path, _flag(option)) for option, pattern in others.items()}
        targets = {option: (folder / name).as_posix() for option, name in names.items()}
        for target in targets.values():
            if target in taken:
                clash = UsageError(
                    f"{taken[target]} and {path} would both become {target}: use a pattern for the names, "
                    "such as --out-name '{stem}-2.mp4', or render them into two folders"
                )
                if refuse is None:
                    raise clash
                refuse(path, clash)
                break
            taken[target] = path
        else:
            planned.append(PlannedFile(path, targets["output"], targets))
    return planned


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _main_name(path: Path, pattern: str | None, *, transparent: bool) -> str:
    if pattern is not None:
        return _filled(pattern, path, "--out-name")
    suffix = path.suffix.lower()
    good = suffix in CONTAINERS and (not transparent or suffix in _WITH_ALPHA)
    return path.name if good else f"{path.stem}{'.mov' if transparent else '.mp4'}"


def _filled(pattern: str, path: Path, flag: str) -> str:
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None]
        if set(fields) - {"stem"}:
            raise ValueError
        filled = pattern.format(stem=path.stem)
    except (ValueError, IndexError, KeyError):
        raise UsageError(f"{flag} {pattern!r} is invalid: {{stem}} is the only name in braces") from None
    given = Path(filled)
    if given.is_absolute() or ".." in given.parts:
        raise UsageError(f"{flag} {pattern!r} is invalid: it is a name in the output folder")
    if is_numbered(given) or filled.endswith(("/", os.sep)):
        raise UsageError(
            f"{flag} {pattern!r} is invalid: numbered pictures are rendered from one file at a time"
        )
    return filled
