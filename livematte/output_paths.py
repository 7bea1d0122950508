"""Output files of a call: paths, checks and encoder settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from livematte.errors import UsageError
from livematte.frame import display_size
from livematte.matting import debug_view
from livematte.matting.contracts import check_answer, check_matte, input_size
from livematte.options import EncodingOptions, OutputOptions, PathLike
from livematte.options.declaration import declared, names
from livematte.protocols import Model, SourceInfo
from livematte.video.atomic_file import check_name
from livematte.video.container import exists
from livematte.video.images import STILLS, is_numbered
from livematte.video.output_stream import STREAM
from livematte.video.picture_sequence import PATTERN, printf_pattern
from livematte.video.written_files import foreign_file


def output_paths(picture: PathLike | None, options: Mapping[str, Any]) -> dict[str, str]:
    """Return the path of each output by kind: ``picture`` unless it is None, and those of
    :class:`OutputOptions`.

    Paths are text, because a trailing slash marks a folder.
    """
    additional = {each.option.output: options[each.name] for each in declared(OutputOptions)}
    every = {"picture": picture, **additional}
    return {kind: with_printf_pattern(path) for kind, path in every.items() if path is not None}


def with_printf_pattern(path: PathLike) -> str:
    """Return the path of an output as text, with ``####`` as ``%04d``."""
    name = os.fspath(path)
    return name if name.endswith(("/", os.sep)) else os.fspath(printf_pattern(name))


def check_without_picture(options: Mapping[str, Any]) -> None:
    """Raise UsageError if a render without picture has no other output, or has options of its encoder."""
    flags = " or ".join(each.flag for each in declared(OutputOptions))
    if all(options[each.name] is None for each in declared(OutputOptions)):
        raise UsageError(f"no output is named: give OUT, or {flags}; see livematte render --help")
    unused = [each.flag for each in declared(EncodingOptions) if options.get(each.name) not in (None, False)]
    if unused:
        raise UsageError(f"{unused[0]} is for OUT, which is missing: name OUT, or leave the option out")


def sink_settings(kind: str, options: Mapping[str, Any], *, transparent: bool) -> dict[str, Any]:
    """Return arguments of :func:`livematte.video.writer.open_sink` for an output kind.

    Transparency and the encoding options apply only to the kind ``picture``.
    """
    written = {"alpha": "alpha", "trimap": "alpha", "foreground": "foreground"}.get(kind, "picture")
    if kind != "picture":
        return {"kind": written, "alpha": False}
    return {"kind": written, "alpha": transparent, **{name: options[name] for name in names(EncodingOptions)}}


def is_picture(target: PathLike) -> bool:
    """Return True if the target is one picture, not a video or numbered pictures."""
    name = os.fspath(target)
    path = Path(name)
    return path.suffix.lower() in STILLS and not is_numbered(path) and not name.endswith(("/", os.sep))


def check_outputs(
    inputs: Mapping[str, Any], targets: Iterable[str | Path], options: Mapping[str, Any]
) -> None:
    """Raise UsageError if a target is an input, is given twice, or exists and must not be replaced.

    With ``overwrite`` None, files that livematte wrote are replaced.
    Raises OutputError if it cannot be a name on this system.

    Args:
        inputs: path of each input by its name in errors; values that are not paths are ignored.
    """
    paths = [Path(target) for target in targets]
    for number, target in enumerate(paths):
        if str(target) == STREAM:
            continue
        check_name(target)
        for name, given in inputs.items():
            if isinstance(given, (str, os.PathLike)) and _same_file(Path(given), target):
                raise UsageError(f"{target} is also the {name}: give the output another name")
        if any(_same_file(target, other) for other in paths[:number]):
            raise UsageError(f"{target} is given twice: give every output its own name")
        overwrite = options["overwrite"]
        if overwrite is None and not is_numbered(target) and (line := foreign_file(target)):
            raise UsageError(f"{line}: use another name for the output, or --overwrite to replace it")
        check_new(str(target), options, there=overwrite is False and _exists(target))


def check_new(target: str, options: Mapping[str, Any], *, there: bool) -> None:
    """Raise UsageError if a target is ``there`` and must not be replaced, whoever wrote it."""
    if there and options["overwrite"] is False:
        raise UsageError(f"{target} already exists: use another name or --overwrite")


def _same_file(a: Path, b: Path) -> bool:
    try:
        return a.resolve() == b.resolve() or os.path.samefile(a, b)
    except OSError:
        return False


def _exists(target: Path) -> bool:
    """Return True if the file exists, or at least one file of numbered pictures."""
    if not is_numbered(target):
        return exists(target)
    numbered = re.compile(r"\d+".join(map(re.escape, PATTERN.split(target.name))))
    return target.parent.is_dir() and any(numbered.fullmatch(file.name) for file in target.parent.iterdir())


def debug_info(info: SourceInfo, model: Model, *, refined: bool) -> SourceInfo:
    """Return the format of a debug view, with the maps of a refiner if ``refined``. Runs the model once."""
    size = input_size(model, *display_size((info.height, info.width), info.sample_aspect))
    black = np.zeros((*size, 3), np.uint8)
    matte, _ = check_answer(model, model(black, None))
    check_matte(model, "model", matte, *size)
    return debug_view.debug_view_info(info, len(debug_view.cells(black, matte)) + 2 * refined)
