"""The files that a call writes: their paths, checks, and the settings of their encoders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from livematte.errors import UsageError
from livematte.matting import debug_view
from livematte.matting.contracts import check_answer, check_matte, input_size
from livematte.options import EncodingOptions, OutputOptions, PathLike
from livematte.options.declaration import declared, names
from livematte.protocols import Model, SourceInfo
from livematte.video.container import PATTERN
from livematte.video.images import STILLS


def output_paths(picture: PathLike, options: Mapping[str, Any]) -> dict[str, str]:
    """Path of each output by its kind: ``picture``, and those of :class:`OutputOptions` that are asked for.

    Paths are text, since a closing slash says that a folder is meant.
    """
    asked = {each.option.output: options[each.name] for each in declared(OutputOptions)}
    every = {"picture": picture, **asked}
    return {kind: os.fspath(path) for kind, path in every.items() if path is not None}


def sink_settings(kind: str, options: Mapping[str, Any], *, transparent: bool) -> dict[str, Any]:
    """Arguments of :func:`livematte.video.writer.open_sink` for an output of a kind.

    Transparency and the encoder that was asked for are the picture's alone.
    """
    written = {"alpha": "alpha", "trimap": "alpha", "foreground": "foreground"}.get(kind, "picture")
    if kind != "picture":
        return {"kind": written, "alpha": False}
    return {"kind": written, "alpha": transparent, **{name: options[name] for name in names(EncodingOptions)}}


def is_picture(target: PathLike) -> bool:
    """True where the target is one picture, not a video or numbered ones."""
    name = os.fspath(target)
    path = Path(name)
    return (
        path.suffix.lower() in STILLS and not PATTERN.search(path.name) and not name.endswith(("/", os.sep))
    )


def check_outputs(
    inputs: Mapping[str, Any], targets: Iterable[str | Path], options: Mapping[str, Any]
) -> None:
    """Raise UsageError where a target is an input, is asked for twice, or is there and may not be replaced.

    Args:
        inputs: what each is called, and its path; whatever is no path is no file.
    """
    paths = [Path(target) for target in targets]
    for number, target in enumerate(paths):
        for name, given in inputs.items():
            if isinstance(given, (str, os.PathLike)) and _same_file(Path(given), target):
                raise UsageError(f"{target} is the {name} itself: give the output another name")
        if any(_same_file(target, other) for other in paths[:number]):
            raise UsageError(f"{target} is asked for twice: give every output its own name")
        if not options["overwrite"] and _is_there(target):
            raise UsageError(f"{target} exists already and overwriting was not allowed")


def _same_file(a: Path, b: Path) -> bool:
    try:
        return a.resolve() == b.resolve() or os.path.samefile(a, b)
    except OSError:
        return False


def _is_there(target: Path) -> bool:
    """Also of numbered pictures, if one of them is."""
    if not PATTERN.search(target.name):
        return target.exists()
    numbered = re.compile(r"\d+".join(map(re.escape, PATTERN.split(target.name))))
    return target.parent.is_dir() and any(numbered.fullmatch(file.name) for file in target.parent.iterdir())


def debug_info(info: SourceInfo, model: Model, *, refined: bool) -> SourceInfo:
    """The frames of a debug view, with a refiner's maps where ``refined``. Runs the model once."""
    size = input_size(model, info.height, info.width)
    black = np.zeros((*size, 3), np.uint8)
    matte, _ = check_answer(model, model(black, None))
    check_matte(model, "model", matte, *size)
    return debug_view.debug_view_info(info, len(debug_view.cells(black, matte)) + 2 * refined)
