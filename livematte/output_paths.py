"""Output files of a call: paths, checks and encoder settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from livematte.errors import OutputError, UsageError
from livematte.frame import display_size
from livematte.matting import debug_view
from livematte.matting.contracts import check_matte, input_size, run_model
from livematte.options import EncodingOptions, PathLike, VideoOutputOptions
from livematte.options.declaration import declared, names
from livematte.protocols import Model, SourceInfo
from livematte.video.atomic_file import check_name
from livematte.video.container import exists
from livematte.video.images import STILLS, is_numbered
from livematte.video.output_stream import STREAM
from livematte.video.picture_sequence import is_sequence, numbered_files, printf_pattern
from livematte.video.written_files import foreign_file, foreign_pictures


def output_paths(
    picture: PathLike | None, options: Mapping[str, Any], source: str = STREAM, suffix: str = ".mp4"
) -> dict[str, str]:
    """Return the path of each output by kind: ``picture`` unless it is None, and those of
    :class:`VideoOutputOptions`. Arguments and errors as :func:`output_path`.
    """
    additional = {each.option.output: options.get(each.name) for each in declared(VideoOutputOptions)}
    every = {"picture": picture, **additional}
    return {kind: output_path(path, source, suffix) for kind, path in every.items() if path is not None}


def output_path(path: PathLike, source: str, suffix: str) -> str:
    """Return the path of an output: with ``####`` as ``%04d``, and in a folder with the name of the input.

    ``results/`` means ``results/lecture.mp4``. A folder that does not exist is created.

    Args:
        path: text, or a path: only text can end with a slash.
        source: path of the input, or the name of a source.
        suffix: extension of a file in a folder.

    Raises:
        OutputError: the folder cannot be created.
    """
    name = os.fspath(path)
    if name == STREAM or not (name.endswith(("/", os.sep)) or os.path.isdir(name)):  # noqa: PTH112 - any name
        return os.fspath(printf_pattern(name))
    try:
        Path(name).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {Path(name)} cannot be created: {error.strerror}") from error
    given = Path("input" if source == STREAM else source)
    sequence = is_sequence(given) and not given.is_dir()
    return str(Path(name) / f"{given.absolute().parent.name if sequence else given.stem}{suffix}")


def check_without_picture(options: Mapping[str, Any]) -> None:
    """Raise UsageError if a render without picture has no other output, or has options of its encoder."""
    flags = " or ".join(each.flag for each in declared(VideoOutputOptions))
    if all(options.get(each.name) is None for each in declared(VideoOutputOptions)):
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


def check_splittable(targets: Mapping[str, str], instead: str) -> None:
    """Raise UsageError if an output is made from all frames of a video in order. ``instead``: what to do."""
    for each in declared(VideoOutputOptions):
        if each.option.output in ("debug", "report") and each.option.output in targets:
            raise UsageError(f"{each.flag} needs a single device: {instead}")


def is_picture(target: PathLike) -> bool:
    """Return True if the target is one picture, not a video or numbered pictures."""
    path = Path(target)
    return path.suffix.lower() in STILLS and not is_numbered(path)


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
            if isinstance(given, (str, os.PathLike)) and same_file(Path(given), target):
                raise UsageError(f"{target} is also the {name}: give the output another name")
        if any(same_file(target, other) for other in paths[:number]):
            raise UsageError(f"{target} is given twice: give every output its own name")
        overwrite = options["overwrite"]
        if overwrite is None and (line := foreign_output(target)):
            raise UsageError(f"{line}: use another name for the output, or --overwrite to replace it")
        check_new(str(target), options, there=overwrite is False and _exists(target))


def check_new(target: str, options: Mapping[str, Any], *, there: bool) -> None:
    """Raise UsageError if a target is ``there`` and must not be replaced, whoever wrote it."""
    if there and options["overwrite"] is False:
        raise UsageError(f"{target} already exists: use another name or --overwrite")


def same_file(a: Path, b: Path) -> bool:
    """Return True if two paths are the same file."""
    try:
        return a.resolve() == b.resolve() or os.path.samefile(a, b)
    except OSError:
        return False


def foreign_output(target: str | Path) -> str:
    """Return a line if an output exists, a file or pictures, that livematte did not write; else nothing."""
    path = Path(target)
    return foreign_pictures(path, numbered_files(path)) if is_numbered(path) else foreign_file(path)


def _exists(target: Path) -> bool:
    """Return True if the file exists, or at least one file of numbered pictures."""
    return bool(numbered_files(target)) if is_numbered(target) else exists(target)


def debug_info(info: SourceInfo, model: Model, *, refined: bool) -> SourceInfo:
    """Return the format of a debug view, with the maps of a refiner if ``refined``. Runs the model once."""
    size = input_size(model, *display_size((info.height, info.width), info.sample_aspect))
    black = np.zeros((*size, 3), np.uint8)
    matte, _ = run_model(model, black, None)
    check_matte(model, "model", matte, *size)
    return debug_view.debug_view_info(info, len(debug_view.cells(black, matte)) + 2 * refined)
